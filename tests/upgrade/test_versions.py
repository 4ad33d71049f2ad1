"""Two versions side by side, as in an upgrade that stops nothing (docs/operations.md): each job of a graph that runs
meanwhile notes what it does, and the check from outside (tests/support/check.py) counts."""
import collections
import json
import os
import random
import signal

import pytest

from check import Check, read_log
from fleet import BUILD, until

OLD = os.environ["FLOTILLA_OLD_BUILD"]
SIDES = {"up": (OLD, BUILD), "back": (BUILD, OLD)}
WIDTH, DEPTH = 12, 8


def noting(log, work):
    return ["sh", "-c", 'note() { read -r up _ </proc/uptime; echo "$1 $FLOTILLA_ID $FLOTILLA_ATTEMPT $PPID $up" >>%s; }; '
            "note start; %s; note ok" % (log, work)]


class Graph:
    """DEPTH layers of WIDTH jobs, each job after some of the layer before, the last one after all of them."""

    def __init__(self, fleet, seed=5):
        rng = random.Random(seed)
        self.fleet, self.log, self.jobs = fleet, os.path.join(fleet.dir, "log"), {}
        for layer in range(DEPTH):
            for n in range(WIDTH):
                after = rng.sample(range(WIDTH), 3) if layer else []
                self.add("%d/%d" % (layer, n), ["%d/%d" % (layer - 1, p) for p in after], "sleep %.2f" % rng.uniform(0.05, 0.4))
        self.add("last", ["%d/%d" % (DEPTH - 1, n) for n in range(WIDTH)], "true")

    def add(self, id, after, work):
        self.jobs[id] = {"id": id, "task": "exec", "argv": noting(self.log, work), "after": after, "run": "all"}

    def publish(self):
        ids = list(self.jobs)
        random.Random(6).shuffle(ids)  # children come before parents, too
        self.fleet.publish_many([(self.jobs[id], {}) for id in ids])

    def ended(self):
        return int(self.fleet.redis.hget(self.fleet.key("run", "all"), "succeeded") or 0)

    def lines(self):
        return read_log(self.log)

    def check(self, lost=False):
        """Call it when all workers have left."""
        problems = Check(self.fleet, self.jobs, dict.fromkeys(self.jobs, "succeeded"), self.jobs, self.lines(), deaths=lost).all()
        assert not problems, problems
        counts = collections.Counter(line.id for line in self.lines() if line.what == "ok")
        assert lost or set(counts.values()) == {1}


def leave(workers, seconds=40):
    """All at a time, each told once: a second SIGTERM would mean `at once`, and its jobs would be handed back unfinished."""
    for worker in workers:
        worker.process.send_signal(signal.SIGTERM)
    assert [worker.stop(sig=0, seconds=seconds) for worker in workers] == [0] * len(workers), [worker.log() for worker in workers]


@pytest.mark.parametrize("way", SIDES)
def test_workers_are_replaced_one_by_one_while_a_graph_runs(fleet, way):
    before, after = SIDES[way]
    workers = [fleet.worker("--allow-exec", "--slots", 3, build=before) for _ in range(3)]
    graph = Graph(fleet)
    graph.publish()
    for step in range(3):
        until(lambda: graph.ended() >= (step + 1) * len(graph.jobs) // 5, 60, fleet.logs)
        new = fleet.worker("--allow-exec", "--slots", 3, build=after)
        leave([workers.pop(0)])
        workers.append(new)
    fleet.wait_all(graph.jobs)
    fleet.settled()
    records = [fleet.job(id) for id in graph.jobs]
    leave(workers)
    graph.check()
    assert {record["attempt"] for record in records} == {"1"} and {record.get("lost", "0") for record in records} == {"0"}
    ran = {record["worker"][:2] for record in records}
    assert ran & {"w0", "w1", "w2"} and ran & {"w3", "w4", "w5"}  # both versions have run some


@pytest.mark.parametrize("way", SIDES)
def test_what_a_killed_worker_of_one_version_left_the_other_finishes(fleet, way):
    before, after = SIDES[way]
    options = ["--allow-exec", "--slots", 3, "--lease", "2s"]
    dying = fleet.worker(*options, build=before)
    graph = Graph(fleet)
    graph.publish()
    until(lambda: graph.ended() >= 10, 60, fleet.logs)
    dying.process.kill()
    dying.process.wait()
    living = fleet.worker(*options, build=after)
    fleet.wait_all(graph.jobs)
    fleet.settled()
    leave([living])
    graph.check(lost=True)


def workflow(fleet):
    path = os.path.join(fleet.dir, "flow.yaml")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"name": "flow", "jobs": {
            "a": {"task": "noop", "args": {"n": 1}}, "b": {"task": "fail", "args": {"message": "on purpose"}},
            "c": {"task": "noop", "after": ["a", "b"]}, "d": {"task": "sleep", "args": {"ms": 600000}}}}, file)
    return path


@pytest.mark.parametrize("way", SIDES)
def test_the_command_of_one_version_with_the_workers_of_the_other(fleet, way):
    command, worker = SIDES[way]
    fleet.worker("--slots", 3, build=worker)

    def ask(*words, exit_code=0):
        return fleet.command(*words, build=command, check=exit_code).stdout

    ask("run", workflow(fleet), "--name", "r", "--detach")
    fleet.wait("r/c", "skipped")
    fleet.wait("r/d", "running")
    assert json.loads(ask("status", "r/b", "--json"))["reason"] == "error"
    assert "r/b" in ask("why", "r/c")
    assert json.loads(ask("result", "r/a")) == {"n": 1}
    assert len(ask("ls", "--run", "r", "--json").splitlines()) == 4
    ask("retry", "r/b")
    until(lambda: fleet.job("r/b")["attempt"] == "2", 20, fleet.logs)
    ask("cancel", "r/d")
    fleet.wait("r/d", "cancelled")
    assert ask("submit", "noop", "--id", "one", "--wait").split() == ["one"]
    assert ask("submit", "noop", "--id", "two", "--after", "one", "--dedup", "k", "--wait").split() == ["two"]
    assert fleet.workers[0].name in ask("workers")
    fleet.settled()
    ask("doctor")


@pytest.mark.parametrize("way", SIDES)
def test_what_one_version_left_waiting_the_other_goes_on_with(fleet, way):
    """All of the one is gone before any of the other is there: waiting, scheduled, queued, to be retried, and a key that is held."""
    before, after = SIDES[way]
    first = fleet.worker("--allow-exec", "--slots", 1, "--grace", "0s", build=before)
    replies = fleet.reply_queue()
    fleet.publish({"task": "exec", "id": "busy", "argv": ["sh", "-c", "test -e %s/go || sleep 600" % fleet.dir]})
    fleet.wait("busy", "running")
    fleet.publish({"task": "sleep", "id": "queued", "args": {"ms": 20}}, reply_to=replies, correlation_id="7")
    fleet.publish({"task": "noop", "id": "waiting", "after": ["busy", "never"]})
    fleet.publish({"task": "noop", "id": "scheduled", "delay_ms": 3000})
    fleet.publish({"task": "noop", "id": "holder", "dedup": "k", "after": ["busy"]})
    fleet.publish({"task": "noop", "id": "joined", "dedup": "k"}, encoding="msgpack")
    for id, state in (("queued", "queued"), ("waiting", "waiting"), ("scheduled", "scheduled"), ("holder", "waiting"), ("joined", "waiting")):
        fleet.wait(id, state)
    open(fleet.dir + "/go", "w").close()
    leave([first])
    assert fleet.state("busy") == "queued"
    fleet.worker("--allow-exec", "--slots", 1, build=after)
    for id in ("busy", "queued", "scheduled", "holder", "joined"):
        assert fleet.wait(id)["state"] == "succeeded", (id, fleet.job(id))
    assert fleet.job("joined")["duplicate_of"] == "holder"
    _, properties, body = fleet.get(replies)
    assert properties.correlation_id == "7" and json.loads(body)["state"] == "succeeded"
    assert fleet.job("waiting")["pending"] == "1"
    fleet.publish({"task": "noop", "id": "never"})
    fleet.wait("waiting", "succeeded")
    fleet.settled()
