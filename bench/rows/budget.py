"""Where the time of a no-op job goes: processor time by process, beside that of the raw loops."""
import os
import subprocess

from ground import LOAD, URL, Ground, cpu, load, servers, size, unique, within
from rows import Row

JOBS = size("BUDGET_JOBS", 40000)


def client_cpu(*args):
    """Runs a load; the processor time that it used, in seconds."""
    process = subprocess.Popen([LOAD, *map(str, args)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError("a load failed: %s" % (args,))
    return usage.ru_utime + usage.ru_stime


class Budget(Row):
    name = "budget"
    rounds = 3

    def begin(self):
        self.fleet = Ground()
        self.worker = self.fleet.worker()
        self.fleet.jobs_rate(JOBS // 4)

    def spent(self, work):
        """By name: (µs a job, of it in the kernel) of what `work` makes the processes do; it returns its client's seconds."""
        processes = {**servers(), "worker": self.worker.process.pid}
        before = {name: cpu(pid) for name, pid in processes.items()}
        client = work()
        after = {name: cpu(pid) for name, pid in processes.items()}
        used = {name: tuple((a - b) / JOBS * 1e6 for a, b in zip(after[name], before[name])) for name in processes}
        used["client"] = (client / JOBS * 1e6, 0)
        return used

    def jobs(self):
        before = self.fleet.ended()
        used = client_cpu("jobs", URL, self.fleet.prefix, "default.normal", unique("n"), JOBS)
        within(lambda: self.fleet.ended() - before >= JOBS, 600, "%d jobs" % JOBS)
        return used

    def raw_redis(self):
        load("redis", "127.0.0.1", os.environ["FLOTILLA_REDIS_PORT"], unique("raw"), JOBS, 256)
        return 0

    def round(self):
        raw = self.spent(lambda: client_cpu("raw", URL, "bench-raw", JOBS))
        alone = self.spent(self.raw_redis)["Redis"]
        ours = self.spent(self.jobs)
        add = self.figures.add
        total = sum(used for used, _ in ours.values())
        add("budget of a no-op job, all", "µs", total, raw["RabbitMQ"][0] + raw["client"][0], "raw loop: RabbitMQ and its client")
        add("budget: RabbitMQ", "µs", ours["RabbitMQ"][0], raw["RabbitMQ"][0], "raw loop, a message")
        add("budget: RabbitMQ, of it kernel", "µs", ours["RabbitMQ"][1], raw["RabbitMQ"][1], "raw loop, a message")
        add("budget: Redis", "µs", ours["Redis"][0], alone[0], "raw Redis loop, one HSET")
        add("budget: Redis, of it kernel", "µs", ours["Redis"][1], alone[1], "raw Redis loop, one HSET")
        add("budget: worker", "µs", ours["worker"][0])
        add("budget: worker, of it kernel", "µs", ours["worker"][1])
        add("budget: client that publishes", "µs", ours["client"][0], raw["client"][0], "raw loop: publishes and consumes")
