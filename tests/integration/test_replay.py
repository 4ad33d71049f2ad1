"""Recorded workflows (WfFormat 1.5) replayed by the command on three workers of four slots. The proof is the log that the
processes themselves write, against the edges as this test reads them from the recording: each task once, and none before its
predecessors have ended. The recordings lie beside the repository, where there are any; a synthetic one is made here."""
import collections
import glob
import json
import os
import re

import pytest

from fleet import ROOT

SCALE = "0.001"
RECORDINGS = sorted(glob.glob(os.path.join(ROOT, "..", "shared", "data", "wfinstances", "*.json")))
# What is known of some: tasks, edges, the widest fan-in.
KNOWN = {
    "helloworld-forkjoin-10-chameleon.json": (10, 16, 8),
    "sarek-dirt02-001.json": (26, 50, 12),
    "montage-chameleon-2mass-005d-001.json": (58, 114, 6),
    "montage-chameleon-2mass-05d-001.json": (1738, 4698, 414),
}


def name_of(id):
    """A task's id as a job's name: what an id cannot have becomes an underscore."""
    return re.sub(r"[^A-Za-z0-9._@+=,-]", "_", id)


def parents_of(path):
    """By job's name: the names of its predecessors, whether the recording has the edge at the child, the parent or both."""
    with open(path, encoding="utf-8") as file:
        tasks = json.load(file)["workflow"]["specification"]["tasks"]
    parents = {name_of(task["id"]): set() for task in tasks}
    assert len(parents) == len(tasks)
    for task in tasks:
        for parent in task.get("parents") or ():
            parents[name_of(task["id"])].add(name_of(parent))
        for child in task.get("children") or ():
            parents[name_of(child)].add(name_of(task["id"]))
    return parents


def read_log(path, run):
    """{event: {name: [(line, attempt, monotonic ns)]}}"""
    seen = {"start": collections.defaultdict(list), "end": collections.defaultdict(list)}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file):
            event, id, attempt, clock, _ = line.split()
            assert id.startswith(run + "/"), line
            seen[event][id[len(run) + 1:]].append((number, int(attempt), int(clock)))
    return seen


def check_log(path, run, parents):
    seen = read_log(path, run)
    for event in ("start", "end"):
        assert set(seen[event]) == set(parents), "%s: only in one: %s" % (event, sorted(set(seen[event]) ^ set(parents))[:5])
        again = {name: lines for name, lines in seen[event].items() if len(lines) != 1 or lines[0][1] != 1}
        assert not again, "%s not exactly once: %s" % (event, list(again.items())[:5])
    for name, of in parents.items():
        line, _, clock = seen["start"][name][0]
        for parent in of:
            parent_line, _, parent_clock = seen["end"][parent][0]
            assert parent_line < line and parent_clock <= clock, "%s began before %s had ended" % (name, parent)


def check_records(fleet, run, parents):
    pipe = fleet.redis.pipeline(transaction=False)
    names = list(parents)
    for name in names:
        pipe.hgetall(fleet.key("job", "%s/%s" % (run, name)))
    records = dict(zip(names, pipe.execute()))
    for name, of in parents.items():
        record = records[name]
        assert record["state"] == "succeeded" and record["attempt"] == "1", (name, record)
        assert all(int(records[parent]["ended_at"]) <= int(record["started_at"]) for parent in of), (name, record)
    counts = fleet.redis.hgetall(fleet.key("run", run))
    assert int(counts["jobs"]) == int(counts["succeeded"]) == len(parents), counts
    assert fleet.redis.scard(fleet.key("run", run, "jobs")) == len(parents)
    return collections.Counter(record["worker"] for record in records.values())


def replay(fleet, path):
    """Replays it, checks all that there is to check, and returns the run's name and how many tasks each worker had."""
    parents = parents_of(path)
    log = os.path.join(fleet.dir, "replay.log")
    for _ in range(3):
        fleet.worker("--slots", 4, env={"REPLAY_LOG": log})
    done = fleet.command("run", path, "--replay", SCALE, "--shared-dir", os.path.join(fleet.dir, "shared"), "--json", timeout=300)
    assert done.returncode == 0, (done.stdout, done.stderr[-2000:], fleet.logs())
    summary = json.loads(done.stdout)
    assert summary["jobs"] == summary["succeeded"] == len(parents), summary
    check_log(log, summary["run"], parents)
    workers = check_records(fleet, summary["run"], parents)
    fleet.settled()
    assert "closed the channel" not in fleet.logs() and " error " not in fleet.logs(), fleet.logs()
    print("%s: %d tasks, %d edges in %.1f s; by worker %s" % (
        os.path.basename(path), len(parents), sum(map(len, parents.values())), summary["elapsed_ms"] / 1000, dict(workers)))
    return summary["run"], workers


@pytest.mark.skipif(not RECORDINGS, reason="no recordings in ../shared/data/wfinstances")
@pytest.mark.parametrize("path", RECORDINGS, ids=[os.path.basename(path) for path in RECORDINGS])
def test_recorded_workflow(fleet, path):
    parents = parents_of(path)
    shape = (len(parents), sum(map(len, parents.values())), max(map(len, parents.values())))
    assert shape == KNOWN.get(os.path.basename(path), shape)
    _, workers = replay(fleet, path)
    assert len(parents) < 100 or len(workers) == 3, "a worker was left out: %s" % workers


def synthetic(path, width):
    """One task splits, `width` tasks work on a part each, one merges all of them and one reads what the first and the last
    wrote. Every edge has a file; some edges are known to the parent only, some to the child only."""
    tasks, files = [], {"raw": 5000}

    def task(id, parents=(), children=(), inputs=(), outputs=()):
        tasks.append({"id": id, "name": id.split("-")[0], "parents": list(parents), "children": list(children),
                      "inputFiles": list(inputs), "outputFiles": list(outputs)})
        files.update((name, 1000) for name in outputs)
    workers = ["work-%04d" % i for i in range(width)]
    task("report", ["split", "merge"], [], ["part-0000", "merged"], ["report.txt"])  # children come before their parents
    task("merge", workers[1::2], ["report"], ["done-%04d" % i for i in range(width)], ["merged"])
    for i, id in enumerate(workers):
        task(id, ["split"] if i % 3 else [], [] if i % 2 else ["merge"], ["part-%04d" % i], ["done-%04d" % i])
    task("split", [], workers[0::3], ["raw"], ["part-%04d" % i for i in range(width)])
    document = {"name": "synthetic", "schemaVersion": "1.5", "workflow": {
        "specification": {"tasks": tasks, "files": [{"id": n, "sizeInBytes": s} for n, s in files.items()]},
        "execution": {"tasks": [{"id": t["id"], "runtimeInSeconds": 1 + i % 3} for i, t in enumerate(tasks)]}}}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)


def test_fan_out_and_fan_in_of_a_thousand(fleet):
    path = os.path.join(fleet.dir, "synthetic.json")
    synthetic(path, 1000)
    parents = parents_of(path)
    assert len(parents["merge"]) == 1000 and all(parents["work-%04d" % i] == {"split"} for i in range(1000))
    run, _ = replay(fleet, path)
    # The same again, under the same name: it is there already, and nothing runs a second time.
    fleet.command("run", path, "--replay", SCALE, "--shared-dir", os.path.join(fleet.dir, "shared"), "--name", run, check=0)
    fleet.settled()
    check_log(os.path.join(fleet.dir, "replay.log"), run, parents)
