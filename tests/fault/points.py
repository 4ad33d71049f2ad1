"""Each fault point, with each thing that can happen there: a trial is one fault, struck in the middle of four kinds of work (a
diamond, a chain with retries, a fan-in, a dedup group) and of some that bring the rarer steps about, on two workers. Then the
check from outside. A trial in which the point was not come to has failed."""
import json
import os
import re
import signal
import subprocess
import threading
import time
import traceback

import pika

from check import Check, left, read_log
from fleet import BUILD, ENDED, until
from supervise import Command, Events, FaultFleet

WORDS = {"k": "kill", "s": "stall", "e": "error", "f": "error"}
OPTIONS = ("--slots", "4", "--lease", "1s", "--grace", "300ms", "--max-lost", "1000")
RETRIES = {"retries": 6, "backoff_ms": 20}
TRIAL_S = 60  # it is stuck after that
WAIT_S = 15   # for a point that is come to by time

# What has to be brought about for a point beyond the work that every trial has, by the beginning of its name.
SCENES = {
    "lose.": "kill", "handback.": "drain", "held.": "drain", "drain.": "drain", "leave.": "drain", "defer.": "unknown",
    "refuse.": "unknown", "unrouted.": "unrouted", "look.": "settling", "owe.": "outbox", "overdue.": "outbox", "depth.": "outbox",
    "ahead.": "ahead", "pass.": "pass",
}
# Where the first time says nothing about work: it is before any.
NTH = {"role.taken": 1, "presence.": 4, "role.": 6, "sweep.": 8, "plain.": 3}
def of(table, point, default):
    return next((value for name, value in table.items() if point.startswith(name)), default)


def table():
    """(point, who, actions, words) for every row of shared/base/fault.h, by the program that has the table compiled in."""
    text = subprocess.run([os.path.join(BUILD, "tests", "programs", "faults")], check=True, capture_output=True, text=True).stdout
    return [tuple(line.split("\t")) for line in text.splitlines()]


def trials(points=".", actions="kse"):
    """(point, who, action): runners' faults are worked like the workers'."""
    return [(point, who, WORDS[action]) for point, all_who, all_actions, _ in table() if re.search(points, point)
            for who in all_who.replace("r", "w") for action in all_actions if action.replace("f", "e") in actions]


class Work:
    """What is handed in, and what is to become of it."""

    def __init__(self, fleet, run):
        self.fleet, self.run = fleet, run
        self.log, self.flag = os.path.join(fleet.dir, "log-" + run), os.path.join(fleet.dir, "flag-" + run)
        self.gate = os.path.join(fleet.dir, "gate-" + run)
        self.jobs, self.expected, self.logged, self.commands = {}, {}, set(), []
        self.published = []
        self.base()

    def id(self, name):
        return "%s/%s" % (self.run, name)

    def args(self, failures=0, seconds=0, flag="", gate=""):
        return {"log": self.log, "failures": failures, "seconds": seconds, "flag": flag, "gate": gate}

    def add(self, name, end="succeeded", after=(), failures=0, seconds=0, flag="", gate="", task="job", publish=True, reply=False, **fields):
        job = {"id": self.id(name), "run": self.run, "task": task, **fields}
        if after:
            job["after"] = [self.id(p) if isinstance(p, str) else {**p, "id": self.id(p["id"])} for p in after]
        if task == "job":
            job.update({"args": self.args(failures, seconds, flag, gate), **({} if flag else RETRIES)})
            self.logged.add(job["id"])
        if task == "note":
            job.update({"args": {"log": self.log}, **RETRIES})
            self.logged.add(job["id"])
        self.jobs[job["id"]], self.expected[job["id"]] = job, end
        if publish:
            self.published.append((job, reply))

    def base(self):
        add = self.add
        add("d/a", seconds=0.1), add("d/b", after=["d/a"]), add("d/c", after=["d/a"], priority="high"), add("d/d", after=["d/b", "d/c"], reply=True)
        add("c/1"), add("c/2", after=["c/1"], failures=2), add("c/3", after=["c/2"])
        for n in range(10):
            add("f/%d" % n, priority=("high", "normal", "low")[n % 3])
        add("f/in", after=["f/%d" % n for n in range(10)])
        key = {"dedup": self.run + " key"}
        add("g/1", seconds=0.3, **key), add("g/2", **key, reply=True), add("g/3", **key, after=["d/a"]), add("g/in", after=["g/1", "g/2", "g/3"])
        add("late", task="noop", delay_ms=200)
        add("expired", "expired", after=["long/1"], task="noop", expires_at=int(time.time() * 1000) + 400)
        add("note/1", task="note"), add("note/2", task="note", after=["note/1"])
        for n in range(104):
            add("hub/%d" % n, task="noop", after=["hub"])
        add("hub", after=["hub/first"]), add("hub/first", seconds=0.5)
        add("boom/1", flag=self.flag), add("boom/2", after=["boom/1"]), add("boom/3", after=["boom/2"])
        add("victim/1", "cancelled", task="noop", delay_ms=3600 * 1000, reply=True), add("victim/2", "skipped", after=["victim/1"], task="noop")
        add("hang", "cancelled", seconds=30)
        add("long/1", seconds=1.3, gate=self.gate), add("long/2", seconds=1.3, gate=self.gate)

    def call(self, env):
        """The commands, each as soon as it makes sense."""
        state = lambda name: self.fleet.state(self.id(name))
        new = lambda *args, when=lambda: True: self.commands.append(Command(self.fleet, args, when, env))
        path = os.path.join(self.fleet.dir, self.run + ".yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"defaults": {"task": "job", "args": self.args(), "retries": 6}, "jobs": {
                "a": {}, "b": {"after": ["a"]}, "c": {"after": ["a"]}, "d": {"after": ["b", "c"]}}}, file)
        new("run", path, "--name", self.run + "-file")
        for name, after in ("a", ""), ("b", "a"), ("c", "a"), ("d", "bc"):
            id = "%s-file/%s" % (self.run, name)
            self.jobs[id] = {"id": id, "after": ["%s-file/%s" % (self.run, p) for p in after]}
            self.expected[id] = "succeeded"
            self.logged.add(id)
        submitted = {"--args": json.dumps(self.args()), "--retries": 6, "--run": self.run}
        submit = lambda name, more, when: new("submit", "job", "--id", self.id(name), *sum(({**submitted, **more}).items(), ()), when=when)
        self.add("s/1", after=["c/1"], publish=False)
        submit("s/1", {"--after": self.id("c/1")}, lambda: state("c/1") == "succeeded")
        self.add("s/2", publish=False, dedup=self.run + " other")
        self.add("s/3", publish=False, dedup=self.run + " other", after=["long/2"])
        submit("s/2", {"--dedup": self.run + " other", "--delay": "1s"}, lambda: True)
        submit("s/3", {"--dedup": self.run + " other", "--after": self.id("long/2")}, lambda: state("s/2"))
        self.add("s/4", publish=False)
        submit("s/4", {}, lambda: True)
        new("cancel", self.id("victim/1"), when=lambda: state("victim/1") == "scheduled" and state("victim/2") == "waiting")
        new("cancel", self.id("hang"), when=lambda: state("hang") == "running")

        def failed():
            if state("boom/1") != "failed" or state("boom/3") != "skipped":
                return False
            open(self.flag, "w", encoding="utf-8").close()
            return True
        new("retry", self.id("boom/1"), when=failed)

    def publish(self):
        fleet = self.fleet
        self.replies = fleet.channel.queue_declare("", exclusive=True).method.queue
        # without confirms, since these servers do not die; but what a channel has not passed on is lost when it is closed
        self.channel = channel = fleet.connection.channel()
        channel.basic_publish(fleet.prefix, "default.normal", b'{"task": 5}', pika.BasicProperties(
            delivery_mode=2, content_type="application/json", reply_to=self.replies, correlation_id="bad"))
        for job, reply in self.published:
            self.send(job["id"], reply=reply)

    def send(self, name, pool="default", reply=False):
        job = self.jobs.get(name) or self.jobs[self.id(name)]
        properties = {"reply_to": self.replies, "correlation_id": job["id"]} if reply else {}
        self.channel.basic_publish(self.fleet.prefix, "%s.%s" % (pool, job.get("priority", "normal")), json.dumps(job).encode(),
                                   pika.BasicProperties(delivery_mode=2, content_type="application/json", **properties))

    def answers_missing(self):
        wanted, got = {"bad"} | {job["id"] for job, reply in self.published if reply}, set()
        while True:
            method, properties, _ = self.fleet.channel.basic_get(self.replies, auto_ack=True)
            if not method:
                return wanted - got
            got.add(properties.correlation_id)


class Trial:
    def __init__(self, fleet, events, number, point, who, action):
        self.fleet, self.events, self.point, self.who, self.action = fleet, events, point, who, action
        self.scene = of(SCENES, point, "base") if who == "w" else "base"
        self.log = os.path.join(fleet.dir, "fault-%d" % number)
        nth = of(NTH, point, 1)
        self.env = {"FAULT_AT": "%s:%s:nth=%d:once" % (point, action, nth), "FAULT_LOG": self.log}
        self.work = Work(fleet, "t%d" % number)
        self.handed, self.staged, self.sent_at, self.problems = 0, False, None, []
        self.recovery = None

    @property
    def name(self):
        return "%s %s in %s" % (self.action, self.point, {"w": "a worker", "c": "the command", "d": "the doctor"}[self.who])

    def fired(self):
        """When, by the monotonic clock; None: not yet."""
        try:
            with open(self.log, encoding="utf-8") as file:
                return int(file.read().split()[0]) / 1000
        except (OSError, IndexError):
            return None

    # --- the programs

    def env_now(self):
        if self.who != "w":
            return None
        return None if self.fired() else self.env

    def start(self, *options):
        worker = self.fleet.start(*OPTIONS, *options, env=self.env_now())
        worker.options = options
        return worker

    def keep_alive(self):
        for worker in [w for w in self.fleet.workers if w.process.poll() is not None and not hasattr(w, "followed")]:
            worker.followed = True
            self.start(*worker.options)

    def runs_long(self):
        """The worker that runs a long job."""
        record = self.fleet.job(self.work.id("long/1"))
        return next((w for w in self.fleet.live() if record.get("state") == "running" and w.name == record.get("worker")), None)

    def stage(self):
        """Once, when the moment has come."""
        if self.staged:
            return
        self.staged = getattr(self, "stage_" + self.scene)()
        if self.staged:
            open(self.work.gate, "w", encoding="utf-8").close()

    def stage_base(self):
        return True

    def stage_kill(self):
        worker = self.runs_long()
        if worker:
            worker.process.kill()
        return worker is not None

    def stage_drain(self):
        """A worker is stopped when it runs all it can and holds more. Which one it is depends on who fetched what was left."""
        if not self.handed and self.runs_long():
            self.handed, self.sent_at = 3, time.monotonic()
            for n in range(24):
                self.work.add("more/%d" % n, gate=self.work.gate, publish=False)
                self.work.send("more/%d" % n)
        # their records are told four times a second
        if not self.handed or time.monotonic() < self.sent_at + 0.6:
            return False
        worker = next((w for w in self.fleet.live() if self.fleet.redis.hget(self.fleet.key("worker", w.name), "held") not in (None, "0")), None)
        if not worker:
            return False
        worker.process.terminate()
        until(lambda: worker.process.poll() is not None, 30, "the worker stops")
        return True

    def stage_ahead(self):
        """Short jobs, so that the next ones are claimed ahead, and among them more that wait for the gate than there are slots: what is
        claimed behind those waits in vain."""
        if not self.sent_at and self.runs_long():
            self.sent_at = time.monotonic()
            for n in range(240):
                if n % 20 == 19:
                    self.work.add("short/%d" % n, gate=self.work.gate, publish=False)
                else:
                    self.work.add("short/%d" % n, task="sleep", args={"ms": 1 + n % 4}, publish=False)
                self.work.send("short/%d" % n)
        return bool(self.sent_at) and bool(self.fired() or time.monotonic() > self.sent_at + 5)

    def stage_pass(self):
        """A chain of jobs that are over at once, when little else is to be done: a worker that holds others begins nothing in place."""
        ids = ["pass/%d" % n for n in range(40)]
        busy = [state for id, state in self.fleet.states(self.work.expected).items() if state in ("queued", "running", "scheduled")]
        if not self.sent_at:
            if not self.runs_long() or len(busy) > 6:
                return False
            self.sent_at = time.monotonic()
            for n, id in enumerate(ids):
                self.work.add(id, task="noop", after=[ids[n - 1]] if n else (), publish=False)
                if n:
                    self.work.send(id)
        if any(self.fleet.state(self.work.id(id)) != "waiting" for id in ids[1:]):
            return False
        self.work.send(ids[0])
        return True

    def stage_unrouted(self):
        self.work.add("other", task="noop", publish=False)
        self.work.send("other", "other")
        self.start("--pool", "other")
        return True

    def stage_unknown(self):
        self.work.add("unknown", "failed", task="nobody", publish=False)
        self.work.send("unknown")
        return True

    def stage_settling(self):
        """Something is left to the caretaker: the command dies in the middle, and nobody calls it again."""
        return self.leave("half", "admit.answered", "--after", self.work.id("d/a"))

    def stage_outbox(self):
        return self.leave("owed", "invite.handed")

    def leave(self, name, point, *more):
        self.work.add(name, task="noop", publish=False)
        done = self.fleet.command("submit", "noop", "--id", self.work.id(name), "--run", self.work.run, *more,
                                  env={"FAULT_AT": point + ":kill"})
        if done.returncode != -signal.SIGKILL:
            self.problems.append(("reached", "the command was not killed at %s" % point))
        return True

    # --- the course of it

    def turn(self):
        self.keep_alive()
        self.stage()
        for command in self.work.commands:
            complaint = command.look()
            if complaint:
                self.problems.append(("wrong", complaint))

    def quiet(self):
        return all(c.done for c in self.work.commands) and self.fleet.all_ended(self.work.expected) and \
            not left(self.fleet) and self.known()

    def known(self):
        """Those that died have been struck off."""
        return set(self.fleet.redis.zrange(self.fleet.key("workers"), 0, -1)) == {w.name for w in self.fleet.live()}

    def unfinished(self):
        states = self.fleet.states(self.work.expected)
        return "jobs %s, commands %s, owed %s, staged %s\n%s" % (
            {id: state for id, state in states.items() if state not in ENDED}, [c.args for c in self.work.commands if not c.done],
            left(self.fleet), self.staged, self.fleet.logs())

    def until_quiet(self, seconds):
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            self.turn()
            if self.staged and self.quiet():
                return True
            time.sleep(0.05)
        return False

    def heal(self):
        """What does not fit together, each way that the doctor has a script for, has to be mended although the doctor breaks."""
        fleet, id, run = self.fleet, self.work.id("d/a"), self.work.run
        fleet.redis.hincrby(fleet.key("run", run), "queued", 5)
        fleet.redis.hincrby(fleet.key("stats"), "succeeded", -3)
        fleet.redis.set(fleet.key("dedup", "stale " + run), "nobody")
        fleet.redis.srem(fleet.key("run", run, "jobs"), id)
        # 1: what lies in `rejected` is for people
        doctor = Command(fleet, ["doctor", "--repair"], env=self.env, fine=(0, 1))
        self.work.commands.append(doctor)
        return self.until_quiet(TRIAL_S)

    def stop_workers(self):
        """Until they have all gone in peace: what a fault at the end leaves behind is for another worker."""
        for _ in range(5):
            for worker in self.fleet.live():
                worker.process.send_signal(signal.SIGTERM)
            for worker in self.fleet.workers:
                worker.process.wait(30)
            if all(w.process.returncode == 0 or hasattr(w, "followed") for w in self.fleet.workers):
                return
            self.until_quiet(20)
        self.problems.append(("stuck", "workers do not end"))

    def run(self):
        fleet, work = self.fleet, self.work
        self.events.take()
        self.start(), self.start()
        work.publish()
        work.call(self.env if self.who == "c" else None)
        done = self.until_quiet(TRIAL_S)
        if done and self.who == "d":
            done = self.heal()
        ended = time.monotonic()
        if not done:
            self.problems.append(("stuck", self.unfinished()))
        elif not self.fired() and not self.point.startswith(("leave.", "drain.")):
            while not self.fired() and time.monotonic() < ended + WAIT_S:
                self.turn()
                time.sleep(0.05)
            self.until_quiet(TRIAL_S)
        self.stop_workers()
        if self.fired():
            self.recovery = max(0.0, ended - self.fired())
        else:
            self.problems.append(("reached", "the point was not come to"))
        self.check()

    def check(self):
        fleet, work = self.fleet, self.work
        check = Check(fleet, work.jobs, work.expected, work.logged, read_log(work.log), handed=self.handed,
                      deaths=self.action == "kill", broken=int(self.action == "error" or self.point.startswith("runner.")))
        self.problems += check.all([event[1:] for event in self.events.take()], {"failed": 1, "skipped": 2})
        missing = work.answers_missing()
        if missing:
            self.problems.append(("lost", "no reply for %s" % sorted(missing)))
        if fleet.queue_length(fleet.prefix + ".rejected") < 1:
            self.problems.append(("lost", "what is no job is not in rejected"))
        self.problems += [("wrong", words) for words in fleet.ends_of_workers()]

    def close(self):
        for command in self.work.commands:
            command.kill()
        for worker in self.fleet.live():
            worker.process.kill()
            worker.process.wait()
        self.work.channel.close()
        self.fleet.clear()


class Lanes:
    """Trials side by side: they wait more than they work."""

    def __init__(self, all_trials, lanes):
        self.waiting, self.results, self.lock = list(enumerate(all_trials)), [], threading.Lock()
        self.threads = [threading.Thread(target=self.lane) for _ in range(lanes)]

    def lane(self):
        fleet = FaultFleet()
        fleet.command("broker", "apply", "--pool", "default", check=0)
        events = Events(fleet)
        try:
            while True:
                with self.lock:
                    if not self.waiting:
                        return
                    number, (point, who, action) = self.waiting.pop(0)
                self.one(fleet, events, number, point, who, action)
        finally:
            events.close()
            fleet.close()

    def one(self, fleet, events, number, point, who, action):
        trial, began = Trial(fleet, events, number, point, who, action), time.monotonic()
        try:
            trial.run()
        except Exception:  # whatever it is, the others go on
            trial.problems.append(("wrong", traceback.format_exc()))
        try:
            trial.close()
        except Exception:
            trial.problems.append(("wrong", traceback.format_exc()))
        with self.lock:
            self.results.append(trial)
            print("  %s %-46s %.1f s" % ("FAIL" if trial.problems else "ok  ", trial.name, time.monotonic() - began), flush=True)
            for kind, words in trial.problems:
                print("       %s: %s" % (kind, words.replace("\n", "\n       ")), flush=True)

    def run(self):
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join()
        return self.results
