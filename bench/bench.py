"""make bench: how fast, each figure beside a baseline that was measured in the same run, rounds interleaved; medians, and the
spread from the least to the most. Prints a table and writes the rows to BUILD/bench.tsv."""
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests", "support"))

from fleet import BUILD, Fleet, until  # noqa: E402

LOAD = os.path.join(BUILD, "bench", "load")
URL = os.environ["FLOTILLA_AMQP_URL"]
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
JOBS = int(os.environ.get("BENCH_JOBS", "20000"))
CHAIN = 40
FAN = 1000


def load(*args):
    return float(subprocess.run([LOAD, *map(str, args)], check=True, capture_output=True, text=True).stdout)


def raw_rate():
    return JOBS / load("raw", URL, "bench-raw", JOBS)


def hop_ms():
    return load("hop", URL, "bench-hop", 500) / 500 * 1000


def noop_rate(fleet):
    """From the first publish to the last end, publishing and running at the same time."""
    before = int(fleet.redis.hget(fleet.key("stats"), "succeeded") or 0)
    begin = time.monotonic()
    load("jobs", URL, fleet.prefix, "default.normal", "n" + uuid.uuid4().hex[:8], JOBS)
    until(lambda: int(fleet.redis.hget(fleet.key("stats"), "succeeded") or 0) - before >= JOBS, 300)
    return JOBS / (time.monotonic() - begin)


def chain_ms(fleet):
    """Time a step: children are there before their parents, so that only the steps are measured."""
    run = uuid.uuid4().hex[:8]
    ids = ["%s-%d" % (run, i) for i in range(CHAIN)]
    for i in reversed(range(1, CHAIN)):
        fleet.publish({"task": "noop", "id": ids[i], "after": [ids[i - 1]]})
    fleet.wait(ids[1], "waiting")
    fleet.publish({"task": "noop", "id": ids[0]})
    fleet.wait(ids[-1], "succeeded")
    return (int(fleet.job(ids[-1])["ended_at"]) - int(fleet.job(ids[0])["ended_at"])) / (CHAIN - 1)


def fan_rate(fleet):
    """One job, FAN that wait for it, one that waits for all of those: jobs a second from the first start to the last end."""
    run = uuid.uuid4().hex[:8]
    middle = ["%s-m%d" % (run, i) for i in range(FAN)]
    fleet.publish({"task": "noop", "id": run + "-last", "after": middle})
    for id in middle:
        fleet.publish({"task": "noop", "id": id, "after": [run + "-first"]})
    fleet.wait(middle[-1], "waiting")
    until(lambda: int(fleet.redis.hlen(fleet.key("job", run + "-first", "dependents"))) == FAN, 60)
    fleet.publish({"task": "noop", "id": run + "-first"})
    fleet.wait(run + "-last", "succeeded", 120)
    took = int(fleet.job(run + "-last")["ended_at"]) - int(fleet.job(run + "-first")["started_at"])
    return (FAN + 2) / (took / 1000)


def show(rows):
    print("%-46s %12s %12s %8s   %s" % ("what", "measured", "baseline", "ratio", "ratio, least to most"))
    for name, unit, values, base, base_name in rows:
        ratios = [v / b for v, b in zip(values, base)]
        print("%-46s %8.4g %-4s %8.4g %-4s %7.3f   %.3f to %.3f  (%s)" % (
            name, statistics.median(values), unit, statistics.median(base), unit, statistics.median(ratios), min(ratios),
            max(ratios), base_name))


def write(rows):
    path = os.path.join(BUILD, "bench.tsv")
    with open(path, "w", encoding="utf-8") as file:
        file.write("# %s, %d cores, %s\n" % (platform.platform(), os.cpu_count(), time.strftime("%Y-%m-%d %H:%M:%S")))
        file.write("what\tunit\tmeasured\tbaseline\tratio\tbaseline_name\trounds\n")
        for name, unit, values, base, base_name in rows:
            file.write("%s\t%s\t%.5g\t%.5g\t%.4f\t%s\t%s\n" % (
                name, unit, statistics.median(values), statistics.median(base),
                statistics.median(v / b for v, b in zip(values, base)), base_name,
                json.dumps([round(v, 3) for v in values])))
    print("written to", os.path.relpath(path))


def main():
    fleet = Fleet()
    raw, hop, noop, chain, fan = [], [], [], [], []
    try:
        fleet.worker()
        noop_rate(fleet)  # warm
        for number in range(ROUNDS):
            print("round %d of %d" % (number + 1, ROUNDS), file=sys.stderr)
            raw.append(raw_rate())
            noop.append(noop_rate(fleet))
            hop.append(hop_ms())
            chain.append(chain_ms(fleet))
            fan.append(fan_rate(fleet))
        rows = [
            ("no-op jobs, published and run at the same time", "/s", noop, raw, "raw publish + consume + ack"),
            ("chain of %d, a step" % CHAIN, "ms", chain, hop, "raw hop: publish, deliver, ack"),
            ("fan-out and fan-in of %d" % FAN, "/s", fan, noop, "no-op jobs"),
        ]
        show(rows)
        write(rows)
    finally:
        for queue in ("bench-raw", "bench-hop"):
            fleet.connect().queue_delete(queue)
        fleet.close()


main()
