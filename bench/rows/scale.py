"""What does not collapse: more workers, more queues, more jobs in Redis."""
import os
import statistics
import subprocess
import time

from ground import LOAD, URL, Ground, cpu, servers, size, unique, within
from rows import Row

JOBS = size("SCALE_JOBS", 8000)
DEPTHS = [int(n) for n in os.environ.get("BENCH_DEPTHS", "1000 100000").split()]
POOLS = 4


class Best(Row):
    """Several arrangements, each beside the one that was best over all rounds: the best of each round would be the luckiest."""
    rounds = 5
    name_of = ""

    def begin(self):
        self.fleet = Ground()
        self.rates = []

    def end(self):
        if self.rates:
            best = max(self.rates[0], key=lambda n: statistics.median(rates[n] for rates in self.rates))
            for rates in self.rates:
                for count, rate in rates.items():
                    self.figures.add(self.name_of % (count, "s" * (count > 1)), "/s", rate, rates[best], "the best: %d" % best, (">=", 0.9))
        super().end()


class Workers(Best):
    name = "workers"
    name_of = "no-op jobs, %d worker%s on one queue"

    def round(self):
        rates = {}
        for count in (1, 2, 4, 8):
            while len(self.fleet.workers) < count:
                self.fleet.worker()
            self.fleet.jobs_rate(JOBS // 4)
            rates[count] = self.fleet.jobs_rate(JOBS)
        self.rates.append(rates)
        for worker in self.fleet.workers:
            worker.stop()
        self.fleet.workers.clear()


class Queues(Best):
    """Four workers, whose pools are one, two or four."""
    name = "queues"
    name_of = "no-op jobs, 4 workers on %d queue%s"

    def rate(self, pools, jobs):
        before = self.fleet.ended()
        begin = time.monotonic()
        running = [subprocess.Popen([LOAD, "jobs", URL, self.fleet.prefix, "pool%d.normal" % i, unique("q"), str(jobs // pools)],
                                    stdout=subprocess.DEVNULL) for i in range(pools)]
        within(lambda: self.fleet.ended() - before >= jobs // pools * pools, 600, "%d jobs in %d queues" % (jobs, pools))
        took = time.monotonic() - begin
        for process in running:
            process.wait()
        return jobs / took

    def round(self):
        rates = {}
        for pools in (1, 2, 4):
            for i in range(POOLS):
                self.fleet.worker("--pool", "pool%d" % (i % pools))
            self.rate(pools, JOBS // 4)
            rates[pools] = self.rate(pools, JOBS)
            for worker in self.fleet.workers:
                worker.stop()
            self.fleet.workers.clear()
        self.rates.append(rates)

    def end(self):
        for i in range(POOLS):
            for priority in ("high", "normal", "low"):
                self.fleet.channel.queue_delete("%s.pool%d.%s" % (self.fleet.prefix, i, priority))
        super().end()


class Depth(Row):
    """What a no-op job costs beside so many that Redis keeps."""
    name = "depth"
    rounds = 3

    def begin(self):
        self.fleet = Ground()
        self.fleet.worker()

    def round(self):
        redis_pid, kept, first = servers()["Redis"], 0, None
        # The worker's own keys stay: only the jobs of the round before go.
        for key in self.fleet.redis.scan_iter(self.fleet.key("job", "*"), count=10000):
            self.fleet.redis.unlink(key)
        for depth in DEPTHS:
            self.fleet.jobs_rate(depth - kept)
            used = cpu(redis_pid)[0]
            rate = self.fleet.jobs_rate(JOBS)
            us = (cpu(redis_pid)[0] - used) / JOBS * 1e6
            kept = depth + JOBS
            first = first or (rate, us)
            beside = "with %s jobs in Redis" % "{:,}".format(DEPTHS[0])
            self.figures.add("no-op jobs with %s in Redis" % "{:,}".format(depth), "/s", rate, first[0], beside)
            self.figures.add("Redis' time for one with %s in Redis" % "{:,}".format(depth), "µs", us, first[1], beside)
