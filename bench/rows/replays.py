"""Recorded workflows (WfFormat), replayed at a scale where the mean task takes 50 ms of processor time; as many slots as cores.

What is compared with: no schedule can be shorter than the critical path, nor than all work by the slots. Greedy list scheduling
(tasks in the order in which they become ready, nothing lost between them) tells what the graph allows.
"""
import glob
import heapq
import json
import os

from ground import CORES, ROOT, Ground, size, unique
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


def schedule(seconds, parents, slots):
    """The makespan of greedy list scheduling; with slots enough for all: the critical path."""
    children, missing = {id: [] for id in parents}, {id: len(of) for id, of in parents.items()}
    for id, of in parents.items():
        for parent in of:
            children[parent].append(id)
    ready = [id for id in parents if not missing[id]]
    running, now = [], 0.0
    while ready or running:
        while ready and len(running) < slots:
            id = ready.pop(0)
            heapq.heappush(running, (now + seconds[id], id))
        now, done = heapq.heappop(running)
        for child in children[done]:
            missing[child] -= 1
            if not missing[child]:
                ready.append(child)
    return now


class Replay(Row):
    name = "replay"
    rounds = 3

    def why_not(self):
        self.paths = sorted(path for path in glob.glob(os.path.join(WHERE, "**", "*.json"), recursive=True))
        return None if self.paths else "no recorded workflows (*.json) below %s; BENCH_WORKFLOWS names another place" % os.path.normpath(WHERE)

    def begin(self):
        self.fleet = Ground()
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
            bound = max(schedule(seconds, parents, len(parents)), sum(seconds.values()) / CORES)
            took = self.makespan(path, scale)
            name = "replay of %s (%d tasks)" % (os.path.basename(path)[:-5], len(parents))
            self.figures.add(name, "s", took, bound, "max(critical path, work ÷ %d slots)" % CORES, ("<=", 1.05))
            self.figures.add(name + ", the graph", "s", took, schedule(seconds, parents, CORES), "greedy list scheduling, nothing lost")
        self.again = True
