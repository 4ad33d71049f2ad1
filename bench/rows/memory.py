"""What a job takes in Redis, and what a worker takes."""
from ground import Ground, memory_kib, size, within
from rows import Row

JOBS = size("MEMORY_JOBS", 20000)
NOOPS = size("JOBS", 20000)


class Memory(Row):
    name = "memory"
    rounds = 1

    def used(self):
        """Of the data alone: no buffers of clients, nothing that waits to be written."""
        info = self.fleet.redis.memory_stats()
        return info["dataset.bytes"] + sum(info[key][part] for key in info if key.startswith("db.") for part in (
            "overhead.hashtable.main", "overhead.hashtable.expires"))

    def a_job(self, what, state, before, target):
        self.figures.add("Redis memory of %s %s" % ("{:,}".format(JOBS), what), "B a job", (self.used() - before) / JOBS, target=target)
        assert self.fleet.redis.dbsize() > JOBS, state

    def begin(self):
        self.fleet = Ground()

    def round(self):
        fleet = self.fleet
        fleet.command("broker", "apply", check=0)
        path = fleet.many(JOBS)
        before = self.used()
        fleet.command("run", path, "--detach", "--name", "r", check=0, timeout=3000)
        self.a_job("queued jobs of a run", "queued", before, ("<=", 1024))
        worker = fleet.worker()
        self.figures.add("worker memory at rest", "MiB", memory_kib(worker.process.pid) / 1024, target=("<=", 32))
        within(lambda: fleet.ended() >= JOBS, 3000, "%d jobs" % JOBS, 0.05)
        self.a_job("ended jobs of a run", "succeeded", before, None)
        worker.stop()
        fleet.redis.flushall()
        before = self.used()
        worker = fleet.worker()
        fleet.jobs_rate(JOBS)
        self.a_job("ended jobs that came as messages", "succeeded", before, ("<=", 500))
        fleet.jobs_rate(NOOPS)
        self.figures.add("worker memory at its most, prefetch full", "MiB", memory_kib(worker.process.pid, "VmHWM") / 1024, target=("<=", 32))
