"""make fault: breaks a fleet at every fault point (shared/base/fault.h), then at random, and checks from outside what became of
the work. Ends with a line `N passed, N failed`."""
import argparse
import collections
import glob
import os
import random
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(ROOT, "tests", "support"), os.path.join(ROOT, "tests", "integration")]


class Services:
    """A RabbitMQ and a Redis of its own, unless the environment names some."""

    def __enter__(self):
        self.dir = None
        if "FLOTILLA_AMQP_URL" in os.environ and "FLOTILLA_REDIS_URL" in os.environ:
            return self
        self.dir = tempfile.mkdtemp(prefix="flotilla-fault.")
        script = os.path.join(ROOT, "scripts", "services")
        up = subprocess.run([script, "up", "--dir", self.dir], capture_output=True, text=True, check=False)
        if up.returncode != 0:
            sys.exit("fault: RabbitMQ and Redis do not start: %s%s" % (up.stdout, up.stderr))
        env = subprocess.run(["bash", "-c", 'eval "$("$0" env --dir "$1")" && env -0', script, self.dir], capture_output=True, text=True,
                             check=True).stdout
        os.environ.update(dict(line.split("=", 1) for line in env.split("\0") if line.startswith("FLOTILLA_")))
        return self

    def __exit__(self, *_):
        if self.dir:
            subprocess.run([os.path.join(ROOT, "scripts", "services"), "down", "--dir", self.dir], capture_output=True, check=False)


def run_points(arguments):
    from chaos import told
    from points import Lanes, trials
    chosen = trials(arguments.points, arguments.actions)
    print("Faults at %d points: %d trials, %d side by side" % (len({t[0] for t in chosen}), len(chosen), arguments.lanes), flush=True)
    began = time.monotonic()
    results = Lanes(chosen, arguments.lanes).run()
    kinds = collections.Counter(kind for trial in results for kind, _ in trial.problems)
    for action in ("kill", "stall", "error"):
        told("from a %s to the end of all work" % action, [t.recovery for t in results if t.action == action and t.recovery is not None])
    print("points: %d trials in %.0f s; %s" % (len(results), time.monotonic() - began, ", ".join(
        "%s %d" % (kind, kinds[kind]) for kind in ("lost", "early", "twice", "stuck", "wrong", "count", "reached"))), flush=True)
    bad = sum(bool(trial.problems) for trial in results)
    return len(results) - bad, bad + (len(results) != len(chosen))


def chaos(arguments):
    from chaos import run_random
    seed = random.SystemRandom().randrange(1 << 30) if arguments.seed is None else arguments.seed
    return run_random(arguments.random, seed, arguments.random_lanes)


def lease(_):
    from lease import run_lease
    return run_lease()


def stories(_):
    from stories import run_stories
    return run_stories()


def sanitizers():
    """What they wrote, whichever program it was."""
    reports = glob.glob(os.path.join(os.environ.get("FLOTILLA_BUILD", ""), "log", "fault-sanitizer.*"))
    for path in reports:
        with open(path, encoding="utf-8", errors="replace") as file:
            print(file.read())
    return len(reports)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", default=".", help="only those whose name matches (regex); - for none")
    parser.add_argument("--actions", default="kse", help="letters of kill, stall, error")
    parser.add_argument("--lanes", type=int, default=2 * (os.cpu_count() or 2), help="trials side by side")
    parser.add_argument("--random", type=float, default=0, help="seconds of faults at random")
    parser.add_argument("--seed", type=int, default=None, help="of the first cycle at random; printed where it is not given")
    parser.add_argument("--random-lanes", type=int, default=2, help="fleets side by side at random")
    parser.add_argument("--no-lease", action="store_true", help="without the measurement of a recovery with the default lease")
    arguments = parser.parse_args()
    passed = failed = 0
    with Services():
        for wanted, part in ((not arguments.no_lease, lease), (arguments.points != "-", stories), (arguments.points != "-", run_points), (arguments.random, chaos)):
            if wanted:
                good, bad = part(arguments)
                passed, failed = passed + good, failed + bad
    failed += sanitizers()
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
