"""What the rows share: the loads in C, fleets with their workers, processor time of processes, sizes from the environment."""
import glob
import os
import struct
import subprocess
import sys
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests", "support"))
sys.dont_write_bytecode = True

import msgpack  # noqa: E402

from fleet import BUILD, ROOT, Fleet  # noqa: E402

LOAD = os.path.join(BUILD, "bench", "load")
SPIN = os.path.join(BUILD, "bench", "spin")
PLUGIN = os.path.join(BUILD, "bench", "plugins", "work.so")
URL = os.environ["FLOTILLA_AMQP_URL"]
CORES = os.cpu_count() or 1
# A file system in memory, for rows that are not to measure the disk; None where there is none.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
# Of a worker whose runners are as many as cores: what is claimed before a runner is free, so that none waits for Redis.
AHEAD = 64


def size(name, default):
    """A size that BENCH_NAME in the environment may set."""
    return int(os.environ.get("BENCH_" + name, default))


def load(*args):
    return float(subprocess.run([LOAD, *map(str, args)], check=True, stdout=subprocess.PIPE, text=True).stdout)


def load_many(*args):
    """The figures of a load that prints one a line."""
    return [float(line) for line in subprocess.run([LOAD, *map(str, args)], check=True, stdout=subprocess.PIPE, text=True).stdout.split()]


def raw_rate(count):
    """The broker alone: published (confirmed), consumed and acknowledged at the same time, a second."""
    return count / load("raw", URL, "bench-raw", count)


def hop_ms(count=500):
    return load("hop", URL, "bench-hop", count) / count * 1000


_rounds_a_ms = []


def spin_rounds(us):
    """How much of the computation of bench/spin.h takes so many microseconds of processor time here."""
    if not _rounds_a_ms:
        _rounds_a_ms.append(float(subprocess.run([SPIN, "calibrate"], check=True, capture_output=True, text=True).stdout))
    return int(us * _rounds_a_ms[0] / 1000)


def alone(processes, rounds, times):
    """The same computation with nothing around it, in so many processes at once: how often a second."""
    begin = time.monotonic()
    running = [subprocess.Popen([SPIN, str(rounds), str(times)], stdout=subprocess.DEVNULL) for _ in range(processes)]
    for process in running:
        process.wait()
    return processes * times / (time.monotonic() - begin)


def within(condition, seconds, what, pause=0.002):
    """Looks often, for the end of what is measured; ends the benchmark where it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("%s: not within %d s" % (what, seconds))
        time.sleep(pause)


def unique(prefix):
    return prefix + uuid.uuid4().hex[:8]


class Ground(Fleet):
    """A fleet for a row, with the keys and queues of its own, which go when the row is done."""

    def handlers(self, text):
        """Writes a handlers file; the worker's options for it."""
        path = os.path.join(self.dir, "handlers.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return ["--handlers", path]

    def many(self, count):
        """Writes a workflow of so many no-op jobs; its path."""
        path = os.path.join(self.dir, "many.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("jobs:\n" + "".join("  j%d: { task: noop }\n" % i for i in range(count)))
        return path

    def publish_all(self, jobs, key="default.normal"):
        """Publishes jobs and waits until the broker has them. (A connection that closes loses what is not confirmed.)"""
        bodies = [msgpack.packb(job) for job in jobs]
        subprocess.run([LOAD, "bodies", URL, self.prefix, key], check=True, stdout=subprocess.DEVNULL,
                       input=b"".join(struct.pack(">I", len(body)) + body for body in bodies))

    def ended(self, state="succeeded"):
        return int(self.redis.hget(self.key("stats"), state) or 0)

    def jobs_rate(self, count, task="noop", args=None, key="default.normal", seconds=600):
        """Jobs a second from the first publish to the last end, published and run at the same time."""
        before, failed = self.ended(), self.ended("failed")
        begin = time.monotonic()
        load("jobs", URL, self.prefix, key, unique("n"), count, task, *([args.hex()] if args else []))
        within(lambda: self.ended() - before >= count or self.ended("failed") > failed, seconds, "%d jobs" % count)
        took = time.monotonic() - begin
        if self.ended("failed") > failed:
            raise RuntimeError("jobs of %s fail\n%s" % (task, self.logs()))
        return count / took

    def fitting(self, most, task="noop", args=None):
        """How many of these take some two seconds here, at most `most`: by some that are run for it, more and more, which warm the
        fleet as well."""
        count = max(most // 20, 100)
        while True:
            fit = int(min(self.jobs_rate(count, task, args) * 2, most))
            if fit <= 2 * count:
                return max(fit, 100)
            count = fit // 2

    def close(self):
        """The servers are the benchmark's own: all keys go at once, also those of the rounds before."""
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.terminate()
        for worker in self.workers:
            worker.process.wait(40)
        self.redis.flushall()
        super().close()


# --- processor time

def cpu(pid):
    """(all, of it in the kernel) in seconds that a process has used; all of its threads, those that live."""
    total = 0
    for path in glob.glob("/proc/%d/task/*/schedstat" % pid):
        try:
            with open(path, encoding="ascii") as file:
                total += int(file.read().split()[0])
        except OSError:
            pass
    with open("/proc/%d/stat" % pid, encoding="utf-8") as file:
        user, system = map(int, file.read().rsplit(")", 1)[1].split()[11:13])
    return total / 1e9, total / 1e9 * system / max(user + system, 1)


def servers():
    """The processes of the servers: name and pid."""
    return {"RabbitMQ": int(os.environ["FLOTILLA_RABBITMQ_PID"]), "Redis": int(os.environ["FLOTILLA_REDIS_PID"])}


def memory_kib(pid, field="VmRSS"):
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field + ":"))


__all__ = [name for name in dir() if not name.startswith("_")]
