"""One job at a time, the fleet idle between them."""
import statistics

from ground import URL, Ground, load_many, size, unique
from rows import Row

JOBS = size("LATENCY", 300)
PAUSE_US = 5000


def percentiles(values):
    """(p50, p99) in milliseconds of microseconds."""
    cut = statistics.quantiles(values, n=100, method="inclusive")
    return cut[49] / 1000, cut[98] / 1000


class Latency(Row):
    name = "latency"

    def begin(self):
        self.fleet = Ground()
        self.fleet.worker()
        self.queues = [unique("bench-replies-"), unique("bench-hops-"), unique("bench-hops-")]

    def round(self):
        hops = percentiles(load_many("hops", URL, self.queues[1], self.queues[2], JOBS, PAUSE_US))
        got = percentiles(load_many("latency", URL, self.fleet.prefix, "default.normal", unique("l"), self.queues[0], JOBS, PAUSE_US))
        for name, value, base in zip(("p50", "p99"), got, hops):
            self.figures.add("one idle job, publish to reply, " + name, "ms", value, base, "two raw hops, " + name)

    def end(self):
        for queue in self.queues:
            self.fleet.channel.queue_delete(queue)
        super().end()
