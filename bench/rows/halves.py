"""The smallest task at which the fleet is half efficient (METG 50 %): half as many of them in a second as all cores would compute with nothing
around it."""
import math

import msgpack

from ground import AHEAD, CORES, MEMORY, PLUGIN, SPIN, Ground, alone, size, spin_rounds
from rows import Row

SECONDS = size("HALVES_MS", 700) / 1000
STEPS = 8


class Halves(Row):
    name = "metg"
    rounds = 3

    def begin(self):
        self.fleets = {}
        for task, slots, how in (("runner", AHEAD, "plugin: %s, processes: %d" % (PLUGIN, CORES)),
                                 ("process", CORES, 'command: [%s, "{args}"]' % SPIN)):
            fleet = self.fleets[task] = Ground(where=MEMORY)
            fleet.worker("--slots", slots, *fleet.handlers("handlers: { %s: { %s } }\n" % (task, how)))
        self.near = {"runner": 200, "process": 2000}

    def efficiency(self, task, us):
        """Beside the same computation alone, on all cores, measured at once before: what else runs here slows both."""
        rounds = spin_rounds(us)
        base = alone(CORES, rounds, max(int(SECONDS / 2 / us * 1e6), 10))
        return self.fleets[task].jobs_rate(int(min(max(SECONDS * base, 100), 20000)), task, msgpack.packb(rounds)) / base

    def half(self, task):
        """Between two lengths of which one is less than half efficient and the other more; on the line between them.

        Jobs are as many as would take SECONDS alone, so a round ends soon also where they take much longer."""
        us = self.near[task]
        got = self.efficiency(task, us)
        up = got < 0.5
        for _ in range(STEPS):
            other = us * 2 if up else us / 2
            then = self.efficiency(task, other)
            if (then >= 0.5) == up:
                self.near[task] = us
                return math.exp(math.log(us) + (0.5 - got) / (then - got) * (math.log(other) - math.log(us)))
            us, got = other, then
        raise RuntimeError("%s: not half efficient even with tasks of %d µs" % (task, us))

    def round(self):
        for task, what in (("runner", "a C plugin"), ("process", "a process per job")):
            self.figures.add("METG 50 %%, %s" % what, "µs", self.half(task))

    def end(self):
        for fleet in self.fleets.values():
            fleet.close()
