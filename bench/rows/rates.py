"""How many jobs a second: no-ops, through runners, with a little computation."""
import msgpack

from ground import CORES, HERE, PLUGIN, Ground, alone, load, os, raw_rate, size, spin_rounds, unique
from rows import Row

JOBS = size("JOBS", 20000)
COMPUTE_US = size("COMPUTE_US", 100)
RAW = "raw publish + consume + ack"


class Noop(Row):
    name = "noop"

    def begin(self):
        self.fleet = Ground()
        self.fleet.worker()
        self.fleet.jobs_rate(JOBS)

    def round(self):
        raw = raw_rate(JOBS)
        rate = self.fleet.jobs_rate(JOBS)
        self.figures.add("no-op jobs", "/s", rate, raw, RAW, (">=", 0.5))
        port = os.environ["FLOTILLA_REDIS_PORT"]
        writes = 2 * JOBS / load("redis", "127.0.0.1", port, unique("raw"), 2 * JOBS, 256)
        self.figures.add("no-op jobs, beside Redis alone", "/s", rate, writes / 2, "raw Redis: two HSETs a job, pipelined")


class Plugin(Row):
    name = "plugin"

    def begin(self):
        self.fleet = Ground()
        self.fleet.worker("--slots", CORES, *self.fleet.handlers("handlers: { work: { plugin: %s, processes: %d } }\n" % (PLUGIN, CORES)))
        self.fleet.jobs_rate(JOBS, "work")

    def round(self):
        raw = raw_rate(JOBS)
        self.figures.add("no-op jobs through a C plugin", "/s", self.fleet.jobs_rate(JOBS, "work"), raw, RAW, (">=", 0.4))


class Compute(Row):
    name = "compute"

    def begin(self):
        self.fleet = Ground()
        self.fleet.worker("--slots", CORES, *self.fleet.handlers(
            "handlers:\n  work: { plugin: %s, processes: %d }\n  python: { runner: [/usr/bin/python3, %s], processes: %d }\n" % (
                PLUGIN, CORES, os.path.join(HERE, "plugins", "work.py"), CORES)))
        self.computing = spin_rounds(COMPUTE_US)
        self.fleet.jobs_rate(1000, "python")

    def round(self):
        count = JOBS // 2
        base = alone(CORES, self.computing, count // CORES)
        rate = self.fleet.jobs_rate(count, "work", msgpack.packb(self.computing))
        self.figures.add("jobs of %d µs through a C plugin" % COMPUTE_US, "/s", rate, base, "the computation alone, on all cores")
        raw = raw_rate(count)
        self.figures.add("no-op jobs through a Python runner", "/s", self.fleet.jobs_rate(count, "python"), raw, RAW)
