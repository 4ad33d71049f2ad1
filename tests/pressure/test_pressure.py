"""More than anybody should ask for at once: memory stays bounded in every process, and nothing holds Redis up.

    PRESSURE_JOBS=1000000    published before a worker is there
    PRESSURE_WAITING=10000   messages that wait for one predecessor
    PRESSURE_WIDE=100000     dependents of one job, predecessors of one job, jobs of a run

`make pressure` takes these, and prints what it measured. What is judged is what does not depend on how busy the machine is:
memory, and the work of single commands: how many arguments each has, how many commands a script runs (MONITOR, where there are
few enough). The times that Redis says its commands took (SLOWLOG) are shown only: a Redis that is not scheduled counts as busy.
"""
import json
import os
import re
import subprocess
import time

import pytest

from fleet import BUILD, until

JOBS = int(os.environ.get("PRESSURE_JOBS", 10000))
WAITING = int(os.environ.get("PRESSURE_WAITING", 1000))
WIDE = int(os.environ.get("PRESSURE_WIDE", 2500))
SECONDS = int(os.environ.get("PRESSURE_SECONDS", 3600))
MONITORED = WIDE <= 5000
SLOW_MS = 10
ARGUMENTS_MAX = 1100
CALLS_MAX = 1000
FORBIDDEN = {"SMEMBERS", "HKEYS", "HVALS", "KEYS"}
# What one process may take: what it holds of the broker's is bounded, what a command keeps of a job is some hundred bytes.
WORKER_MIB = 150
COMMAND_MIB = 60


def vm(pid, field="VmHWM"):
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        return int(re.search(field + r":\s*(\d+)", file.read()).group(1)) / 1024


class Watch:
    """What Redis was asked between `with` and its end."""

    def __init__(self, fleet, what, monitor=MONITORED):
        self.fleet, self.what = fleet, what
        self.path = os.path.join(fleet.dir, "monitor") if monitor else None

    def __enter__(self):
        self.fleet.redis.config_set("slowlog-log-slower-than", SLOW_MS * 1000)
        self.fleet.redis.config_set("slowlog-max-len", 1000)
        self.fleet.redis.slowlog_reset()
        if self.path:
            self.file = open(self.path, "wb")
            self.process = subprocess.Popen(["redis-cli", "-u", self.fleet.redis_url, "monitor"], stdout=self.file)
            until(lambda: os.path.getsize(self.path) > 0, what="the monitor")
        self.began = time.monotonic()
        return self

    def __exit__(self, kind, *_):
        seconds = time.monotonic() - self.began
        slow = self.fleet.redis.slowlog_get(1000)
        print("%-58s %8.1f s   slowest calls: %s" % (self.what, seconds, ", ".join(
            "%.0f ms %s" % (entry["duration"] / 1000, entry["command"].decode(errors="replace")[:90])
            for entry in sorted(slow, key=lambda e: -e["duration"])[:3]) or "none above %d ms" % SLOW_MS))
        if self.path:
            self.process.terminate()
            self.process.wait()
            self.file.close()
            if kind is None:
                self.judge()

    def judge(self):
        """No command with too many arguments, no script that runs too many, none that reads all of what may be large."""
        calls, script = 0, ""
        with open(self.path, encoding="utf-8", errors="replace") as file:
            for line in file:
                parts = line.split('"', 4)
                if len(parts) < 5:
                    continue
                origin, name, _, key, rest = parts
                calls = calls + 1 if origin.endswith(" lua] ") else 0
                script = script if calls else line
                assert calls <= CALLS_MAX, script[:300]
                assert len(line) < 20000 or line.count('" "') < ARGUMENTS_MAX, line[:300]
                assert name.upper() not in FORBIDDEN, line[:300]
                assert name.upper() != "HGETALL" or not key.endswith((":waiting", ":replies")), line[:300]
                assert name.upper() not in ("ZRANGE", "LRANGE") or '"0" "-1"' not in rest or key.endswith(":workers"), line[:300]


def memory_to_its_end(process):
    """The most that a process took, in MiB, looked at until it has ended (what wait4 says counts the one that started it as well)."""
    most = 0
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        try:
            most = max(most, vm(process.pid))
        except AttributeError:
            break  # it is ending, and has no memory any more
        time.sleep(0.01)
    process.wait()
    return most


def run(fleet, *args, check=0, most_mib=COMMAND_MIB):
    """A command to its end: what it printed. Its memory is judged."""
    out = open(os.path.join(fleet.dir, "out"), "w+b")
    began = time.monotonic()
    process = subprocess.Popen([os.path.join(BUILD, "bin", "flotilla"), args[0], "--prefix", fleet.prefix, "--redis", fleet.redis_url,
                                *args[1:]], stdout=out, stderr=subprocess.STDOUT, cwd=fleet.dir)
    mib = memory_to_its_end(process)
    out.seek(0)
    text = out.read().decode()
    out.close()
    print("  %-56s %8.1f s   %5.0f MiB" % ("flotilla " + " ".join(args), time.monotonic() - began, mib))
    assert process.returncode == check, (args, process.returncode, text[-2000:])
    assert mib < most_mib, (args, mib)
    return text


def load(fleet, prefix, count):
    """Publishes `count` no-op jobs PREFIX-0, PREFIX-1 ..., confirmed."""
    subprocess.run([os.path.join(BUILD, "bench", "load"), "jobs", os.environ["FLOTILLA_AMQP_URL"], fleet.prefix, "default.normal", prefix,
                    str(count)], check=True, stdout=subprocess.DEVNULL)


def ended(fleet, *states):
    return sum(int(fleet.redis.hget(fleet.key("stats"), state) or 0) for state in states or ("succeeded",))


def in_run(fleet, name, state):
    return int(fleet.redis.hget(fleet.key("run", name), state) or 0)


def judge_workers(fleet):
    for worker in fleet.workers:
        if worker.process.poll() is None:
            mib = vm(worker.process.pid)
            print("  %-56s %21.0f MiB" % ("flotillad, at most", mib))
            assert mib < WORKER_MIB, worker.log()[-2000:]


@pytest.fixture(autouse=True)
def clean(fleet):
    yield
    for worker in fleet.workers:
        worker.stop()
    fleet.redis.flushdb(asynchronous=True)


def workflow(fleet, name, root, child, count=WIDE):
    """A file: one job, and many after it."""
    path = os.path.join(fleet.dir, name + ".yaml")
    with open(path, "w", encoding="ascii") as file:
        json.dump({"name": name, "jobs": {
            "root": root, "w": {**child, "after": [{"id": "root", "when": "succeeded"}], "matrix": {"i": list(range(count - 1))}}}}, file)
    return path


def test_published_before_a_worker_is_there(fleet):
    fleet.command("broker", "apply", check=0)
    load(fleet, "b", JOBS)
    with Watch(fleet, "%d jobs published before two workers start" % JOBS, monitor=False):
        for _ in range(2):
            fleet.worker("--slots", 8)
        until(lambda: ended(fleet) == JOBS, SECONDS, lambda: "%d jobs, ended are %s" % (JOBS, fleet.redis.hgetall(fleet.key("stats"))))
        fleet.settled(60)
    judge_workers(fleet)


def test_many_wait_for_one(fleet):
    fleet.worker("--slots", 8)
    with Watch(fleet, "%d messages that wait for one job" % WAITING):
        fleet.publish_many(({"id": "c-%d" % i, "task": "noop", "after": ["one"]}, {}) for i in range(WAITING))
        until(lambda: fleet.redis.hlen(fleet.key("job", "one", "dependents")) == WAITING, SECONDS, "all wait")
        run(fleet, "why", "c-1")
        fleet.publish_many([({"id": "one", "task": "noop"}, {})])
        until(lambda: ended(fleet) == WAITING + 1, SECONDS, lambda: "the end of all: %s" % fleet.redis.hgetall(fleet.key("stats")))
        fleet.settled(60)
    judge_workers(fleet)


def test_one_waits_for_many(fleet):
    fleet.worker("--slots", 8)
    body = json.dumps({"id": "join", "task": "noop", "after": ["p-%d" % i for i in range(WIDE)]}, separators=(",", ":"))
    with Watch(fleet, "one job with %d predecessors (%.2f MiB)" % (WIDE, len(body) / 2 ** 20)):
        fleet.publish(None, body=body.encode())
        until(lambda: fleet.redis.hget(fleet.key("job", "join"), "pending") == str(WIDE) and
              not fleet.redis.hexists(fleet.key("job", "join", "waiting"), "~"), SECONDS, "it is registered")
        assert fleet.redis.hlen(fleet.key("job", "join", "waiting")) == WIDE and not fleet.redis.hexists(fleet.key("job", "join"), "part")
        assert "waits for %d predecessors" % WIDE in run(fleet, "why", "join")
        load(fleet, "p", WIDE)
        until(lambda: fleet.state("join") == "succeeded", SECONDS, lambda: "its end: %s" % fleet.job("join"))
        fleet.settled(60)
    assert ended(fleet) == WIDE + 1
    judge_workers(fleet)


def test_a_wide_run_and_what_people_ask_about_it(fleet):
    fleet.worker("--slots", 8)
    path = workflow(fleet, "r", {"task": "noop"}, {"task": "noop"})
    with Watch(fleet, "a run of %d jobs" % WIDE):
        run(fleet, "run", path, "--name", "r", most_mib=COMMAND_MIB + WIDE * 2 / 1024)
        fleet.settled(60)
    assert in_run(fleet, "r", "succeeded") == WIDE
    with Watch(fleet, "what people ask about it"):
        for command in (["ls", "--run", "r"], ["ls"], ["stats"], ["top", "--once"], ["why", "r/root"], ["workers"]):
            run(fleet, *command)
    judge_workers(fleet)


def test_cancel_of_a_wide_run(fleet):
    path = workflow(fleet, "c", {"task": "noop"}, {"task": "noop"})
    with Watch(fleet, "a run of %d jobs cancelled, no worker there" % WIDE):
        run(fleet, "run", path, "--name", "c", "--detach", most_mib=COMMAND_MIB + WIDE * 2 / 1024)
        assert in_run(fleet, "c", "waiting") == WIDE - 1
        run(fleet, "why", "c/w.i=1")
        run(fleet, "cancel", "--run", "c")
        until(lambda: in_run(fleet, "c", "cancelled") + in_run(fleet, "c", "skipped") == WIDE, SECONDS, "all are cancelled")
    fleet.worker("--slots", 8)
    fleet.settled(60)
    judge_workers(fleet)


def test_retry_of_a_wide_run(fleet):
    fleet.worker("--slots", 8)
    path = workflow(fleet, "f", {"task": "fail", "retries": 0}, {"task": "noop"})
    with Watch(fleet, "one failed with %d dependents, tried again" % (WIDE - 1)):
        run(fleet, "run", path, "--name", "f", check=1, most_mib=COMMAND_MIB + WIDE * 2 / 1024)
        assert in_run(fleet, "f", "skipped") == WIDE - 1
        run(fleet, "why", "f/w.i=1")
        run(fleet, "retry", "--run", "f", "--failed")
        until(lambda: ended(fleet, "skipped") == 2 * (WIDE - 1) and ended(fleet, "failed") == 2, SECONDS,
              lambda: "all are skipped again: %s" % fleet.redis.hgetall(fleet.key("stats")))
        fleet.settled(60)
    judge_workers(fleet)


def test_retry_of_thousands_that_failed(fleet):
    fleet.worker("--slots", 8)
    path = workflow(fleet, "g", {"task": "noop"}, {"task": "fail", "retries": 0})
    with Watch(fleet, "%d failed, tried again" % (WIDE - 1)):
        run(fleet, "run", path, "--name", "g", check=1, most_mib=COMMAND_MIB + WIDE * 2 / 1024)
        run(fleet, "retry", "--run", "g", "--failed")
        until(lambda: ended(fleet, "failed") == 2 * (WIDE - 1), SECONDS, lambda: "all fail again: %s" % fleet.redis.hgetall(fleet.key("stats")))
        fleet.settled(60)
    judge_workers(fleet)
