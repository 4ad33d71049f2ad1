"""Jobs of 1 ms and of 2 s in one pool: what the short ones wait, and how long slots are idle. Two workers of two slots each.

The jobs sleep: what is asked is whether a short one waits behind a long one, or a slot stands idle while jobs wait, and that is
not to depend on how many cores there are.
"""
import random
import statistics
import time

from ground import Ground, size, unique, within
from rows import Row

SHORT_MS, LONG_MS = 1, 2000
SECONDS = size("MIXED_S", 8)
SHORTS_S = 100
WORKERS, SLOTS = 2, 2


class Mixed(Row):
    name = "mixed"
    rounds = 2

    def begin(self):
        self.fleet = Ground()
        for _ in range(WORKERS):
            self.fleet.worker("--slots", SLOTS)

    def times(self, ids):
        """(created, started, ended) in ms by Redis' clock."""
        pipe = self.fleet.redis.pipeline(transaction=False)
        for id in ids:
            pipe.hmget(self.fleet.key("job", id), "created_at", "started_at", "ended_at")
        return [tuple(map(int, row)) for row in pipe.execute()]

    def stream(self, longs):
        """Short jobs at an even rate, beside them (or not) long ones that take half of the slots; p99 of the short ones, publish to end.

        The time of publishing is this machine's, as is Redis': one clock."""
        run, published, done = unique("m"), {}, 0
        begin = time.monotonic()
        next_long = begin
        while (now := time.monotonic()) < begin + SECONDS:
            if longs and now >= next_long:
                self.fleet.publish({"task": "sleep", "id": "%s-l%d" % (run, next_long * 1000), "args": {"ms": LONG_MS}})
                next_long += LONG_MS / 1000 / (WORKERS * SLOTS / 2)
            if now >= begin + done / SHORTS_S:
                id = "%s-s%d" % (run, done)
                published[id] = time.time() * 1000
                self.fleet.publish({"task": "sleep", "id": id, "args": {"ms": SHORT_MS}})
                done += 1
            else:
                time.sleep(0.0005)
        within(lambda: self.fleet.redis.zcard(self.fleet.key("leases")) == 0 and self.fleet.state(id) == "succeeded", 60, "the mixed jobs", 0.02)
        waits = [end - published[id] for id, (_, _, end) in zip(published, self.times(published))]
        return statistics.quantiles(waits, n=100, method="inclusive")[98]

    def backlog(self):
        """All at once, in an order by chance; of the slots' time until the last one begins, the share that no job slept in. (A job began
        its length before its end at the latest; `started_at` is when it was claimed, which may be ahead of a slot.)"""
        slots = WORKERS * SLOTS
        longs = slots * 2
        jobs = [("s", SHORT_MS)] * (1000 * SECONDS // 4) + [("l", LONG_MS)] * longs
        random.Random(1).shuffle(jobs)
        run = unique("b")
        ids = ["%s-%d" % (run, i) for i in range(len(jobs))]
        self.fleet.publish_all({"task": "sleep", "id": id, "args": {"ms": ms}} for id, (_, ms) in zip(ids, jobs))
        within(lambda: all(self.fleet.state(id) == "succeeded" for id in ids[-10:]) and not self.fleet.redis.zcard(self.fleet.key("leases")),
               120, "the mixed backlog", 0.05)
        times = [(end - ms, end) for (_, _, end), (_, ms) in zip(self.times(ids), jobs)]
        first, last = min(begin for begin, _ in times), max(begin for begin, _ in times)
        busy = sum(min(end, last) - begin for begin, end in times)
        return 100 * (1 - busy / (slots * (last - first)))

    def round(self):
        alone = self.stream(False)
        self.figures.add("1 ms jobs beside 2 s jobs, p99 from publish to end", "ms", self.stream(True), alone, "1 ms jobs alone, p99")
        self.figures.add("slots' idle time while 1 ms and 2 s jobs wait", "%", self.backlog())
