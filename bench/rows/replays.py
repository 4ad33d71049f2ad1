"""Recorded workflows (WfFormat), replayed at a scale where the mean task takes 50 ms of processor time; as many slots as cores.

What is compared with: no schedule can be shorter than the critical path, nor than all work by the slots. And `make -j` with the
same graph and tasks that compute as long (and read and write nothing; ours do, in memory), which shows what the graph allows, and
this machine just now.
"""
import glob
import json
import os
import subprocess
import time

from ground import CORES, MEMORY, ROOT, SPIN, Ground, size, spin_rounds, unique
from rows import Row

WHERE = os.environ.get("BENCH_WORKFLOWS", os.path.join(ROOT, "..", "shared", "data"))
MEAN_S = size("REPLAY_MS", 50) / 1000
ONCE = 500  # what has more tasks than this takes long enough to be measured once


def read(path):
    """(seconds by task, parents by task) as recorded."""
    with open(path, encoding="utf-8") as file:
        workflow = json.load(file)["workflow"]
    parents = {task["id"]: set(task.get("parents", [])) for task in workflow["specification"]["tasks"]}
    for task in workflow["specification"]["tasks"]:
        for child in task.get("children", []):
            parents[child].add(task["id"])
    seconds = {task["id"]: float(task["runtimeInSeconds"]) for task in workflow["execution"]["tasks"]}
    return {id: seconds.get(id, 0.0) for id in parents}, parents


def critical_path(seconds, parents):
    ends, left = {}, dict(parents)
    while left:
        for id in [id for id, of in left.items() if all(parent in ends for parent in of)]:
            ends[id] = seconds[id] + max((ends[parent] for parent in left.pop(id)), default=0)
    return max(ends.values())


def makefile(path, seconds, parents):
    names = {id: "t%d" % i for i, id in enumerate(parents)}
    with open(path, "w", encoding="utf-8") as file:
        file.write("all: %s\n" % " ".join(names.values()))
        for id, of in parents.items():
            file.write("%s: %s\n\t@%s %d\n" % (names[id], " ".join(names[parent] for parent in of), SPIN, spin_rounds(seconds[id] * 1e6)))


class Replay(Row):
    name = "replay"
    rounds = 3

    def why_not(self):
        self.paths = sorted(path for path in glob.glob(os.path.join(WHERE, "**", "*.json"), recursive=True))
        return None if self.paths else "no recorded workflows (*.json) below %s; BENCH_WORKFLOWS names another place" % os.path.normpath(WHERE)

    def begin(self):
        self.fleet = Ground(where=MEMORY)
        self.fleet.worker("--slots", CORES)
        self.again = False

    def makespan(self, path, scale):
        run = unique("replay")
        self.fleet.command("run", path, "--replay", scale, "--name", run, "--shared-dir", os.path.join(self.fleet.dir, run), check=0, timeout=900)
        pipe = self.fleet.redis.pipeline(transaction=False)
        for id in self.fleet.redis.smembers(self.fleet.key("run", run, "jobs")):
            pipe.hmget(self.fleet.key("job", id), "created_at", "ended_at")
        times = pipe.execute()
        return (max(int(end) for _, end in times) - min(int(begin) for begin, _ in times)) / 1000

    def round(self):
        for path in self.paths:
            recorded, parents = read(path)
            if self.again and len(parents) > ONCE:
                continue
            scale = MEAN_S * len(recorded) / sum(recorded.values())
            seconds = {id: s * scale for id, s in recorded.items()}
            bound = max(critical_path(seconds, parents), sum(seconds.values()) / CORES)
            makefile(os.path.join(self.fleet.dir, "Makefile"), seconds, parents)
            begin = time.monotonic()
            subprocess.run(["make", "-s", "-r", "-j", str(CORES), "all"], cwd=self.fleet.dir, check=True)
            make = time.monotonic() - begin
            took = self.makespan(path, scale)
            name = "replay of %s (%d tasks)" % (os.path.basename(path)[:-5], len(parents))
            self.figures.add(name, "s", took, bound, "max(critical path, work ÷ %d slots)" % CORES, ("<=", 1.05))
            self.figures.add(name + ", beside make", "s", took, make, "make -j%d, tasks that compute as long" % CORES)
        self.again = True
