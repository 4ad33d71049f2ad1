"""A file with many jobs, submitted by the command: as messages, and as a workflow that Redis knows. Nobody runs them."""
import json
import os
import time

from ground import URL, Ground, load, size, unique
from rows import Row

JOBS = size("BULK", 100000)
# Of a job's line, with its end: what the raw load publishes.
LINE = 256


def line(id):
    job = {"task": "noop", "id": id, "args": {"pad": ""}}
    job["args"]["pad"] = "x" * (LINE - 1 - len(json.dumps(job)))
    return json.dumps(job) + "\n"


class Bulk(Row):
    name = "bulk"
    rounds = 3

    def begin(self):
        self.fleet = Ground()
        self.fleet.command("broker", "apply", check=0)
        self.queue = self.fleet.prefix + ".default.normal"
        self.workflow = self.fleet.many(JOBS)
        self.lines = os.path.join(self.fleet.dir, "jobs.jsonl")
        with open(self.lines, "w", encoding="ascii") as file:
            file.writelines(line("b-%06d" % i) for i in range(JOBS))

    def rate(self, *command):
        begin = time.monotonic()
        self.fleet.command(*command, check=0, timeout=1200)
        rate = JOBS / (time.monotonic() - begin)
        if self.fleet.queue_length(self.queue) != JOBS:
            raise RuntimeError("%s: %d of %d jobs are in their queue" % (command[0], self.fleet.queue_length(self.queue), JOBS))
        self.fleet.channel.queue_purge(self.queue)
        self.fleet.redis.flushall()
        return rate

    def round(self):
        queue = unique("bench-publish-")
        raw = JOBS / load("publish", URL, queue, JOBS)
        self.fleet.channel.queue_delete(queue)
        self.figures.add("submit a file of %s jobs, as messages (flotilla publish)" % "{:,}".format(JOBS), "/s",
                         self.rate("publish", self.lines), raw, "raw confirmed publish", (">=", 0.6))
        self.figures.add("submit a file of %s jobs, as a workflow (flotilla run --detach)" % "{:,}".format(JOBS), "/s",
                         self.rate("run", self.workflow, "--detach", "--name", unique("r")), raw, "raw confirmed publish")
