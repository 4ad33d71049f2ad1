"""make bench: how fast, each figure beside a baseline that was measured in the same round; medians, and the spread from the least
to the most. Prints a table, writes BUILD/bench.tsv (with the machine's data) and BUILD/bench.md.

    BENCH_ONLY=REGEX    the rows to measure (all); BENCH_ONLY=list names them
    BENCH_ROUNDS=5      rounds of each row; some take fewer
    BENCH_…             sizes, see bench/README.md
"""
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import redis  # noqa: E402

import rows  # noqa: E402
from figures import Figures, machine, markdown, show, write  # noqa: E402
from ground import BUILD, Fleet, size  # noqa: E402

ROUNDS = size("ROUNDS", 5)
TABLE = os.path.join(BUILD, "bench")
ONLY = os.environ.get("BENCH_ONLY", "")


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def measure(cls, figures):
    row = cls(figures)
    reason = row.why_not()
    if reason:
        figures.skip(row.name, reason)
        say("%-10s skipped: %s" % (row.name, reason))
        return
    began = time.monotonic()
    known = set(figures.all)
    try:
        row.begin()
        for _ in range(min(ROUNDS, row.rounds)):
            row.round()
    except (RuntimeError, AssertionError, OSError, subprocess.SubprocessError) as error:
        figures.skip(row.name, "failed: %s" % str(error).split("\n", maxsplit=1)[0])
        say("%-10s failed: %s" % (row.name, error))
    finally:
        row.end()
    say("%-10s %d s" % (row.name, time.monotonic() - began))
    for name in figures.all:
        if name not in known:
            f = figures.all[name]
            say("           %s: %.4g %s%s" % (name, f.value(), f.unit, "" if f.ratio() is None else ", ratio %.3f" % f.ratio()))


def keep(about, figures):
    """After each row, so that what was measured is there if the rest is not waited for."""
    of = list(figures.all.values())
    if of:
        write(TABLE + ".tsv", about, of, figures.skipped)
        with open(TABLE + ".md", "w", encoding="utf-8") as file:
            file.write("%s\n\n%s\n" % ("; ".join("%s %s" % pair for pair in about), markdown(of)))


def main():
    classes = rows.classes()
    if ONLY == "list":
        print("\n".join(c.name for c in classes))
        return 0
    chosen = [c for c in classes if re.search(ONLY, c.name)]
    if not chosen:
        say("bench: no row is called like BENCH_ONLY=%s; there are: %s" % (ONLY, " ".join(c.name for c in classes)))
        return 2
    # Whatever ends it, workers are ended and what was measured is shown.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    about = machine(redis.Redis.from_url(os.environ["FLOTILLA_REDIS_URL"], decode_responses=True))
    figures = Figures()
    try:
        for cls in chosen:
            measure(cls, figures)
            keep(about, figures)
    except KeyboardInterrupt:
        figures.skip("the rest", "interrupted")
    if figures.all:
        print(show(list(figures.all.values())))
        print("written to %s and bench.md beside it" % os.path.relpath(TABLE + ".tsv"))
    for what, why in figures.skipped:
        print("%s: %s" % (what, why))
    return 1 if any(why.startswith("failed") for _, why in figures.skipped) else 0


sys.exit(main())
