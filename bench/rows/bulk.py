"""A file with many jobs, submitted by the command; nobody runs them."""
import time

from ground import URL, Ground, load, size, unique
from rows import Row

JOBS = size("BULK", 100000)


class Bulk(Row):
    name = "bulk"
    rounds = 3

    def begin(self):
        self.fleet = Ground()
        self.fleet.command("broker", "apply", check=0)
        self.path = self.fleet.many(JOBS)

    def round(self):
        queue = unique("bench-publish-")
        raw = JOBS / load("publish", URL, queue, JOBS)
        self.fleet.channel.queue_delete(queue)
        begin = time.monotonic()
        self.fleet.command("run", self.path, "--detach", "--name", unique("r"), check=0, timeout=1200)
        rate = JOBS / (time.monotonic() - begin)
        self.figures.add("submit a file of %s jobs (flotilla run --detach)" % "{:,}".format(JOBS), "/s", rate, raw, "raw confirmed publish",
                         (">=", 0.6))
        self.fleet.channel.queue_purge(self.fleet.prefix + ".default.normal")
        self.fleet.redis.flushall()
