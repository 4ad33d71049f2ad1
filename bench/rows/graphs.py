"""Jobs that wait for others: chains, fan-out and fan-in."""
import os

from ground import Ground, hop_ms, size, unique, within
from rows import Row

CHAIN = size("CHAIN", 40)
CHAINS = size("CHAINS", 10)
FANS = [int(n) for n in os.environ.get("BENCH_FANS", "2000 20000").split()]
JOBS = size("JOBS", 20000)


def chain_ms(fleet, length=CHAIN, chains=CHAINS):
    """Time a step, over several chains one after another. Children are there before their parents, so that only the steps are measured."""
    took = 0
    for _ in range(chains):
        run = unique("c")
        ids = ["%s-%d" % (run, i) for i in range(length)]
        fleet.publish_all([{"task": "noop", "id": ids[i], "after": [ids[i - 1]]} for i in range(1, length)])
        within(lambda: fleet.redis.hlen(fleet.key("job", ids[-2], "dependents")) == 1, 60, "a chain's registration")
        within(lambda: fleet.redis.zcard(fleet.key("settling")) == 0, 60, "a chain's registration")
        fleet.publish_all([{"task": "noop", "id": ids[0]}])
        within(lambda: fleet.state(ids[-1]) == "succeeded", 60, "a chain")
        took += int(fleet.job(ids[-1])["ended_at"]) - int(fleet.job(ids[0])["ended_at"])
    return took / (chains * (length - 1))


def fan_rate(fleet, width):
    """One job, so many that wait for it, one that waits for all of those: jobs a second from the first start to the last end."""
    run = unique("f")
    first, last = run + "-first", run + "-last"
    middle = ["%s-m%d" % (run, i) for i in range(width)]
    fleet.publish_all([{"task": "noop", "id": last, "after": middle}])
    fleet.publish_all([{"task": "noop", "id": id, "after": [first]} for id in middle])
    within(lambda: fleet.redis.hlen(fleet.key("job", first, "dependents")) == width, 300, "a fan's registration", 0.02)
    within(lambda: fleet.redis.zcard(fleet.key("settling")) == 0, 300, "a fan's registration", 0.02)
    fleet.publish_all([{"task": "noop", "id": first}])
    within(lambda: fleet.state(last) == "succeeded", 300, "a fan")
    took = int(fleet.job(last)["ended_at"]) - int(fleet.job(first)["started_at"])
    return (width + 2) / (took / 1000)


class Chain(Row):
    name = "chain"

    def begin(self):
        self.fleet = Ground()
        self.fleet.worker()
        chain_ms(self.fleet)

    def round(self):
        hop = hop_ms()
        self.figures.add("chain of %d, a step" % CHAIN, "ms", chain_ms(self.fleet), hop, "raw hop: publish, deliver, ack", ("<=", 1))


class Fan(Row):
    name = "fan"

    def begin(self):
        self.fleet = Ground()
        self.fleet.worker()
        self.jobs = self.fleet.fitting(JOBS)

    def round(self):
        noop = self.fleet.jobs_rate(self.jobs)
        for width in FANS:
            self.figures.add("fan-out and fan-in of %s" % "{:,}".format(width), "/s", fan_rate(self.fleet, width), noop, "no-op jobs",
                             (">=", 0.4))
