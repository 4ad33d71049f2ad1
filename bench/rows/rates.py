"""How many jobs a second: no-ops, through runners, with a little computation."""
import msgpack

from ground import AHEAD, CORES, HERE, PLUGIN, Ground, alone, load, os, raw_rate, size, spin_rounds, unique
from rows import Row

JOBS = size("JOBS", 20000)
COMPUTE_US = size("COMPUTE_US", 100)
RAW = "raw publish + consume + ack"


class Noop(Row):
    name = "noop"

    def begin(self):
        self.fleet = Ground()
        self.fleet.worker()
        self.jobs = self.fleet.fitting(JOBS)

    def round(self):
        raw = raw_rate(self.jobs)
        rate = self.fleet.jobs_rate(self.jobs)
        self.figures.add("no-op jobs", "/s", rate, raw, RAW, (">=", 0.5))
        writes = 2 * self.jobs / load("redis", "127.0.0.1", os.environ["FLOTILLA_REDIS_PORT"], unique("raw"), 2 * self.jobs, 256)
        self.figures.add("no-op jobs, beside Redis alone", "/s", rate, writes / 2, "raw Redis: two HSETs a job, pipelined")


class Through(Row):
    """Jobs of a handler, beside the raw loop."""
    handler = what = target = None
    slots = AHEAD

    def begin(self):
        self.fleet = Ground()
        self.fleet.worker("--slots", self.slots, *self.fleet.handlers("handlers: { work: { %s, processes: %d } }\n" % (self.handler, CORES)))
        self.jobs = self.fleet.fitting(JOBS, "work")

    def round(self):
        raw = raw_rate(self.jobs)
        self.figures.add("no-op jobs through " + self.what, "/s", self.fleet.jobs_rate(self.jobs, "work"), raw, RAW, self.target)


class Plugin(Through):
    name = "plugin"
    handler = "plugin: " + PLUGIN
    what = "a C plugin"
    target = (">=", 0.4)


class PluginFew(Through):
    name = "plugin-few"
    handler = Plugin.handler
    what = "a C plugin, %d slots" % CORES
    slots = CORES


class Python(Through):
    name = "python"
    handler = "runner: [/usr/bin/python3, %s]" % os.path.join(HERE, "plugins", "work.py")
    what = "a Python runner"


class Compute(Row):
    name = "compute"

    def begin(self):
        self.fleet = Ground()
        self.fleet.worker("--slots", AHEAD, *self.fleet.handlers("handlers: { work: { plugin: %s, processes: %d } }\n" % (PLUGIN, CORES)))
        self.rounds_of_it = spin_rounds(COMPUTE_US)
        self.args = msgpack.packb(self.rounds_of_it)
        self.jobs = self.fleet.fitting(JOBS, "work", self.args)

    def round(self):
        base = alone(CORES, self.rounds_of_it, max(self.jobs // CORES, 1000))
        self.figures.add("jobs of %d µs through a C plugin" % COMPUTE_US, "/s", self.fleet.jobs_rate(self.jobs, "work", self.args), base,
                         "the computation alone, on all cores")
