"""Runs tests and adds up what they say: tests/run BUILD KIND…

    unit, integration, clients
    thread    plain programs of tests/thread: exit code 0 is one test passed
    python    of integration only what is written in Python
    outage    servers that die, networks that are cut, workers that are stopped or killed (tests/fault)
    upgrade   two versions side by side (FLOTILLA_OLD_BUILD: the older one's build, by scripts/old-build)
    pressure  more than anybody should ask for at once: PRESSURE_* say how much; what was measured is shown

One line for each file of tests, when it has ended; the whole output of those that fail. The last line is `N passed, N failed`; the
exit code is 1 where one failed or a file of tests did not come to its end. Every output is kept in BUILD/log/.
    TESTS=regex           only the files whose name it matches
    TESTS_AT_ONCE=number  so many files at a time (2)

Most tests wait more than they compute, so files run side by side, in lanes: each has a RabbitMQ and a Redis of its own
(scripts/services), since there are tests that set a server's limits. What measures runs alone.

Whatever a test starts has the run's directory as its TMPDIR; by that it is found and ended, whatever became of the test."""
import collections
import glob
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from servers import Servers

LIMIT_S = 420  # for one file of tests
CLEAR_S = 15  # for what is interrupted to clear away what it began
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no"]

Outcome = collections.namedtuple("Outcome", "name log seconds passed failed note")
Kind = collections.namedtuple("Kind", "files servers alone limit_s told", defaults=(False, False, LIMIT_S, None))


# --- how each sort of tests is started, and what it says: (passed, failed), or None where it does not come to its end

class Criterion:
    def __init__(self, file, build):
        self.name = file[len("tests/"):-len(".c")]
        self.command = [os.path.join(build, "tests", self.name), "--color=never"]

    def numbers(self, text, _):
        said = re.findall(r"Tested: \d+ \| Passing: (\d+) \| Failing: (\d+) \| Crashing: ", text)
        return tuple(map(int, said[-1])) if said else None


class Program:
    def __init__(self, file, build):
        self.name = file[len("tests/"):-len(".c")]
        self.command = [os.path.join(build, "tests", self.name)]

    def numbers(self, _, status):
        return int(status == 0), int(status != 0)


class Pytest:
    options = []

    def __init__(self, file, _):
        self.name = file[len("tests/"):]
        self.command = PYTEST + self.options + [file]

    def numbers(self, text, _):
        said = dict((what, int(number)) for number, what in re.findall(r"(\d+) (passed|failed|error)", text.rstrip().rsplit("\n", 1)[-1]))
        return (said.get("passed", 0), said.get("failed", 0) + said.get("error", 0)) if said else None


class Measuring(Pytest):
    options = ["-rP"]  # what they measured is told


class Node:
    def __init__(self, file, _):
        self.name = file[len("tests/"):]
        self.command = ["node", "--test", "--test-reporter=tap", file]

    def numbers(self, text, _):
        said = [re.findall(r"^# %s (\d+)$" % what, text, re.MULTILINE) for what in ("pass", "fail")]
        return tuple(int(numbers[-1]) for numbers in said) if all(said) else None


INTEGRATION_PYTHON = ("tests/integration/test_*.py", Pytest)
KINDS = {
    "unit": Kind([("tests/unit/test_*.c", Criterion)]),
    "integration": Kind([("tests/integration/test_*.c", Criterion), INTEGRATION_PYTHON], servers=True),
    "clients": Kind([("tests/clients/test_*.py", Pytest), ("tests/clients/*.test.*js", Node)], servers=True),
    "thread": Kind([("tests/thread/test_*.c", Program)], servers=True),
    "python": Kind([INTEGRATION_PYTHON], servers=True),
    "outage": Kind([("tests/fault/test_*.py", Pytest)], servers=True, alone=True),
    "upgrade": Kind([("tests/upgrade/test_*.py", Pytest)], servers=True),
    "pressure": Kind([("tests/pressure/test_*.py", Measuring)], servers=True, alone=True, limit_s=7200, told=r"^.* [0-9.]+ (?:s|MiB).*$"),
}


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def how_it_ended(status, limit_s):
    """Nothing where it ended well."""
    if status is None:
        return " (stopped after %d s)" % limit_s
    if status < 0:
        return " (%s)" % signal.Signals(-status).name
    return " (exit %d)" % status if status else ""


# --- one file at a time

class Lane:
    """Runs files one after the other, on servers of its own where they need some."""

    def __init__(self, number, log_dir):
        self.log_dir = log_dir
        self.reports = os.path.join(log_dir, "sanitizer-%d" % number)
        self.env = {**os.environ, **self.sanitizer_options()}
        self.servers = None
        self.process, self.lock, self.closed = None, threading.Lock(), False

    def sanitizer_options(self):
        """They write to files of their own: so a report of any program counts, even of a worker that a test started, and of a leak
        found after the test framework has counted the test."""
        options = {"ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:log_path=" + self.reports,
                   "UBSAN_OPTIONS": "print_stacktrace=1:log_path=" + self.reports,
                   "TSAN_OPTIONS": "log_path=" + self.reports,
                   "LSAN_OPTIONS": "print_suppressions=0"}
        return {name: ":".join(filter(None, (value, os.environ.get(name)))) for name, value in options.items()}

    def start_servers(self):
        if not self.servers:
            self.servers = Servers()
            self.env.update(self.servers.env)

    def start(self, command, log):
        with self.lock:
            if self.closed:
                raise RuntimeError("interrupted")
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=self.env,
                                            start_new_session=True)

    def end_early(self):
        """Lets it clear away what it began, then ends all of it."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(CLEAR_S)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def close(self):
        with self.lock:
            self.closed = True
        if self.process and self.process.poll() is None:
            self.end_early()

    def wait(self, limit_s):
        """None where it took too long."""
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.end_early()
            return None

    def take_reports(self, log):
        paths = glob.glob(self.reports + ".*")
        with open(log, "a", encoding="utf-8") as file:
            for path in paths:
                file.write(read(path))
                os.unlink(path)
        return bool(paths)

    def run(self, test, limit_s):
        """A status that the numbers do not explain is a failure as well."""
        log = os.path.join(self.log_dir, test.name.replace("/", "-") + ".log")
        began = time.monotonic()
        with open(log, "wb") as file:
            self.start(test.command, file)
            status = self.wait(limit_s)
        said = test.numbers(read(log), status)
        passed, failed = said or (0, 0)
        note = how_it_ended(status, limit_s)
        if not said and not note:
            note = " (it does not say how many)"
        if note and not failed:
            failed = 1
        if self.take_reports(log):
            failed, note = failed + 1, note + " (a sanitizer found something)"
        return Outcome(test.name, log, time.monotonic() - began, passed, failed, note)


# --- all of them

class Run:
    def __init__(self, build):
        self.build = os.path.abspath(build)
        self.log_dir = os.path.join(self.build, "log")
        os.makedirs(self.log_dir, exist_ok=True)
        for path in glob.glob(self.log_dir + "/sanitizer*"):
            os.unlink(path)
        self.dir = tempfile.mkdtemp(prefix="flotilla-tests.")
        tempfile.tempdir = self.dir
        os.environ.update(TMPDIR=self.dir, FLOTILLA_BUILD=self.build, PATH=self.build + "/bin:" + os.environ["PATH"])
        self.lanes = [Lane(number, self.log_dir) for number in range(int(os.environ.get("TESTS_AT_ONCE", 2)))]
        self.passed = self.failed = 0

    def tests(self, kind):
        wanted = re.compile(os.environ.get("TESTS", ""))
        # The long ones first, as far as their size tells, so that no lane is idle while the last one runs.
        files = [(sort, file) for pattern, sort in kind.files for file in glob.glob(pattern)]
        all_tests = [sort(file, self.build) for sort, file in sorted(files, key=lambda each: -os.path.getsize(each[1]))]
        return [test for test in all_tests if wanted.search(test.name)]

    def kind(self, name):
        print("Tests: " + name, flush=True)
        began, kind = time.monotonic(), KINDS[name]
        tests, results = self.tests(kind), queue.Queue()
        if any(isinstance(test, Node) for test in tests):
            self.install_node_modules()
        left = queue.Queue()
        for test in tests:
            left.put(test)
        for lane in self.lanes[:1 if kind.alone else len(tests)]:
            threading.Thread(target=self.drive, args=(lane, kind, left, results), daemon=True).start()
        for _ in tests:
            outcome = results.get()
            if isinstance(outcome, Exception):
                raise outcome
            self.show(outcome)
            for line in re.findall(kind.told, read(outcome.log), re.MULTILINE) if kind.told else ():
                print(line)
        print("Tests: %s took %d s" % (name, time.monotonic() - began), flush=True)

    @staticmethod
    def drive(lane, kind, left, results):
        try:
            if kind.servers:
                lane.start_servers()
            while True:
                results.put(lane.run(left.get_nowait(), kind.limit_s))
        except queue.Empty:
            pass
        except Exception as e:  # the main thread raises it
            results.put(e)

    def show(self, outcome):
        self.passed += outcome.passed
        self.failed += outcome.failed
        if outcome.failed:
            print("".join("    | %s\n" % line for line in read(outcome.log).splitlines()), end="")
            print("  FAIL %-44s %d passed, %d failed%s" % (outcome.name, outcome.passed, outcome.failed, outcome.note), flush=True)
        else:
            print("  ok   %-44s %3d passed, %3.0f s" % (outcome.name, outcome.passed, outcome.seconds), flush=True)

    def install_node_modules(self):
        """The packages of the JavaScript client, as the lock file names them."""
        directory = "tests/clients"
        lock, modules = directory + "/package-lock.json", directory + "/node_modules"
        if os.path.exists(modules) and os.path.getmtime(modules) > os.path.getmtime(lock):
            return
        with open(self.log_dir + "/npm.log", "wb") as log:
            done = subprocess.run(["npm", "ci", "--prefix", directory, "--no-audit", "--no-fund", "--loglevel=error"], stdin=subprocess.DEVNULL,
                                  stdout=log, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            self.failed += 1
            print(read(log.name) + "tests: npm could not install the packages of %s (above)" % lock, file=sys.stderr)
            return
        os.utime(modules)

    # --- leaving nothing behind

    def strays(self):
        """Who has the run's TMPDIR in its environment, or works below it: a Redis writes its title over its environment."""
        mark = b"TMPDIR=" + self.dir.encode()
        for process in glob.glob("/proc/[0-9]*"):
            try:
                with open(process + "/environ", "rb") as file:
                    ours = mark in file.read().split(b"\0")
                if ours or os.readlink(process + "/cwd").startswith(self.dir + "/"):
                    yield int(process.split("/")[2])
            except OSError:
                pass  # it has ended, or is somebody else's

    def close(self):
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        closing = [threading.Thread(target=lane.close) for lane in self.lanes]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join()
        end = time.monotonic() + CLEAR_S
        while time.monotonic() < end:
            strays = list(self.strays())
            if not strays:
                break
            for pid in strays:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)
        shutil.rmtree(self.dir, ignore_errors=True)


def interrupted(number, _):
    print("tests/run: stopped by %s" % signal.Signals(number).name, file=sys.stderr)
    raise SystemExit(128 + number)


def main(build=None, *kinds):
    unknown = [kind for kind in kinds if kind not in KINDS]
    if not kinds or unknown:
        print("usage: tests/run BUILD KIND…, a kind being one of: %s" % ", ".join(KINDS), file=sys.stderr)
        return 2
    for number in SIGNALS:
        signal.signal(number, interrupted)
    run = Run(build)
    try:
        for kind in kinds:
            run.kind(kind)
    except subprocess.SubprocessError as e:
        print("tests/run: %s (above)" % e, file=sys.stderr)
        return 1
    finally:
        run.close()
    print("%d passed, %d failed" % (run.passed, run.failed))
    return int(run.failed > 0 or run.passed == 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
