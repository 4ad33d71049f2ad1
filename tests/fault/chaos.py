"""Faults at random until told to stop: random graphs (those of tests/integration/test_dags.py, with its oracle), dedup groups and
commands, on workers that break at random points, are killed, stopped for a while, told to leave, and started again. A cycle is a
batch of that, then peace, then the check from outside. The seed gives all of it again, as far as timing allows."""
import collections
import json
import os
import random
import signal
import statistics
import threading
import time
import traceback

from check import Check, left, read_log
from fleet import ENDED
from supervise import Command, Events, FaultFleet
from test_dags import Dag, Flood

LEASE_S = 2
OPTIONS = ("--allow-exec", "--slots", 3, "--lease", "%ds" % LEASE_S, "--grace", "500ms", "--max-lost", 1000000)
WORKERS = 3
GRAPHS = 30
ONE_IN = 300
STUCK_S = 120
PATIENT = {"retries": 1000, "backoff_ms": 10, "backoff_max_ms": 50}


class Tally:
    """What all lanes have done."""

    def __init__(self):
        self.lock = threading.Lock()
        self.faults, self.problems, self.ends = collections.Counter(), collections.Counter(), collections.Counter()
        self.cycles = self.bad_cycles = self.attempts = self.lost = self.stale_keys = 0
        self.queued, self.elsewhere, self.quiet = [], [], []


class Cycle:
    def __init__(self, fleet, events, seed):
        self.fleet, self.events, self.seed, self.rng = fleet, events, seed, random.Random(seed)
        self.log, self.faults = os.path.join(fleet.dir, "log-%d" % seed), os.path.join(fleet.dir, "faults-%d" % seed)
        self.jobs, self.expected, self.logged, self.commands = {}, {}, set(), []
        self.blows, self.stopped, self.problems = [], {}, []  # blows: (time, worker's pid, what)
        self.quiet_s = None

    # --- the work

    def add(self, job, end="succeeded", logged=True):
        self.jobs[job["id"]], self.expected[job["id"]] = job, end
        if logged:
            self.logged.add(job["id"])
        return job

    def graphs(self):
        rng = self.rng
        dags = [Dag(rng, "c%d/d%d" % (self.seed, n), self.log, 0.6, (85, 0, 0, 15), slow=rng.choice((1, 5, 20))) for n in range(GRAPHS)]
        for dag in dags:
            for id, job in dag.jobs.items():
                logged = job["task"] == "exec"
                if logged and dag.expected[id][0] == "succeeded" and rng.random() < 0.2:
                    job.update(PATIENT, argv=dag.noting(rng.randint(1, 2)))
                self.add(job, dag.expected[id][0], logged)
        return dags

    def groups(self):
        noting = Dag(random.Random(0), "none", self.log, slow=5).noting
        groups = []
        for n in range(4):
            run = "c%d/g%d" % (self.seed, n)
            for m in range(4):
                job = {"id": "%s/%d" % (run, m), "run": run, "task": "exec", "argv": noting(m % 2), "dedup": "key " + run, **PATIENT}
                groups.append(self.add(job))
            groups.append(self.add({"id": run + "/in", "run": run, "task": "note", "args": {"log": self.log}, **PATIENT,
                                    "after": ["%s/%d" % (run, m) for m in range(4)]}))
        return groups

    def submissions(self):
        """A chain by the command, each job submitted when it comes, and a run from a file."""
        noting, before = Dag(random.Random(0), "none", self.log, slow=5).noting, None
        for n in range(4):
            id = "c%d/s/%d" % (self.seed, n)
            job = self.add({"id": id, "run": "c%d/s" % self.seed, "task": "exec", "after": [before] if before else []})
            args = ["submit", "exec", "--id", id, "--run", job["run"], "--retries", 1000] + (["--after", before] if before else [])
            self.commands.append(Command(self.fleet, args + ["--"] + noting(0), env=self.env()))
            before = id
        path, run = os.path.join(self.fleet.dir, "run-%d.yaml" % self.seed), "c%d-file" % self.seed
        edges = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"defaults": {"task": "exec", "argv": [word.replace("{", "{{").replace("}", "}}") for word in noting(0)]},
                       "jobs": {name: {"after": after} for name, after in edges.items()}}, file)
        for name, after in edges.items():
            self.add({"id": "%s/%s" % (run, name), "after": ["%s/%s" % (run, p) for p in after]})
        self.commands.append(Command(self.fleet, ["run", path, "--name", run], env=self.env()))

    # --- the breaking

    def env(self):
        return {"FAULT_AT": "random:%d:%d" % (self.rng.randrange(1 << 60), ONE_IN), "FAULT_LOG": self.faults}

    def keep_alive(self):
        missing = WORKERS - len(self.fleet.live())
        for _ in range(missing):
            self.fleet.start(*OPTIONS, env=self.env())

    def strike(self):
        """One blow from outside."""
        live = [w for w in self.fleet.live() if w not in self.stopped]
        what = self.rng.choice(("kill", "kill", "stop", "stop", "term", "nothing"))
        if not live or what == "nothing":
            return
        worker = self.rng.choice(live)
        self.blows.append((time.monotonic(), worker.process.pid, what))
        if what == "stop":
            worker.process.send_signal(signal.SIGSTOP)
            self.stopped[worker] = time.monotonic() + self.rng.choice((0.2, 1, LEASE_S + 1, 2 * LEASE_S + 1))
        else:
            worker.process.send_signal(signal.SIGKILL if what == "kill" else signal.SIGTERM)

    def go_on(self, all_of_them=False):
        for worker, until in list(self.stopped.items()):
            if all_of_them or time.monotonic() >= until:
                worker.process.send_signal(signal.SIGCONT)
                del self.stopped[worker]

    def turn(self):
        self.fleet.connection.process_data_events(0)
        self.go_on()
        self.keep_alive()
        for command in self.commands:
            complaint = command.look()
            if complaint:
                self.problems.append(("wrong", complaint))

    def done(self):
        return all(command.done for command in self.commands) and self.fleet.all_ended(self.expected)

    def known(self):
        return set(self.fleet.redis.zrange(self.fleet.key("workers"), 0, -1)) == {w.name for w in self.fleet.live()}

    def wait(self, condition, seconds, breaking):
        began = time.monotonic()
        blow = began + self.rng.uniform(0.2, 1.5)
        while time.monotonic() < began + seconds:
            self.turn()
            if breaking and time.monotonic() >= blow:
                self.strike()
                blow = time.monotonic() + self.rng.uniform(0.3, 2.5)
            if condition():
                return True
            time.sleep(0.05)
        return False

    def run(self):
        fleet = self.fleet
        self.events.take()
        self.keep_alive()
        if fleet.connection.is_closed:
            fleet.connect()
        flood, dags, groups = Flood(fleet, self.rng), self.graphs(), self.groups()
        self.submissions()
        for job in groups:
            flood.publish(job)
        flood.publish_all(dags)
        done = self.wait(self.done, STUCK_S, True)
        open(self.faults + ".off", "w", encoding="utf-8").close()
        self.go_on(True)
        began = time.monotonic()
        quiet = self.wait(lambda: self.done() and not left(fleet) and self.known(), STUCK_S, False)
        self.quiet_s = time.monotonic() - began
        if not done or not quiet:
            states = fleet.states(self.expected)
            self.problems.append(("stuck", "jobs %s, commands %s, owed %s, %s" % (
                {id: fleet.job(id) for id, state in states.items() if state not in ENDED}, [c.args for c in self.commands if not c.done],
                left(fleet), fleet.story())))
        self.leave()
        if not done or not quiet:
            self.problems.append(("stuck", "with its workers gone: %s\n%s" % (left(fleet), fleet.logs())))
        self.check(flood)
        flood.channel.close()

    def leave(self):
        for worker in self.fleet.live():
            worker.process.send_signal(signal.SIGTERM)
        for worker in self.fleet.workers:
            worker.process.wait(30)

    def check(self, flood):
        self.lines = read_log(self.log)
        terms = sum(what == "term" for _, _, what in self.blows)
        check = Check(self.fleet, self.jobs, self.expected, self.logged, self.lines, handed=terms,
                      broken=lambda id: 1000 if self.jobs[id].get("task") == "note" else 0, deaths=True)
        heard = self.events.take()
        self.times = [(at, id, state) for at, id, state, _ in heard]
        self.problems += check.all([event[1:] for event in heard])
        self.records, self.stale_keys = check.records, check.stale_keys
        for id in flood.asked:
            flood.expected[id] = (self.expected[id], None)
        try:
            flood.check_replies([], faults=True)
        except AssertionError as missing:
            self.problems.append(("lost", str(missing)))
        self.problems += [("wrong", words) for words in self.fleet.ends_of_workers()]

    # --- what it was

    def struck(self):
        """(time, pid, point, action) of the faults at points."""
        if not os.path.exists(self.faults):
            return []
        with open(self.faults, encoding="utf-8") as file:
            return [(int(at) / 1000, int(pid), point, action) for at, pid, point, action in map(str.split, file)]

    def recoveries(self):
        """After the death of the worker of a job that ran: how long until it was queued again, and until it ran again."""
        deaths = [(at, pid) for at, pid, _, action in self.struck() if action == "kill"] + [
            (at, pid) for at, pid, what in self.blows if what == "kill"]
        queued, elsewhere, by_job = [], [], collections.defaultdict(list)
        for line in self.lines:
            by_job[line.id].append(line)
        for id, lines in by_job.items():
            for line, after in zip(lines, lines[1:]):
                for at in [at for at, pid in deaths if pid == line.worker and line.at - 0.02 <= at <= after.at][-1:]:
                    if line.what == after.what == "start":
                        elsewhere.append(after.at - at)
                        queued += [heard - at for heard, who, state in self.times if who == id and state == "queued" and heard > at][:1]
        return queued, elsewhere

    def close(self):
        for command in self.commands:
            command.kill()
        self.go_on(True)
        for worker in self.fleet.live():
            worker.process.kill()
            worker.process.wait()
        self.fleet.clear()
        for path in (self.log, self.faults, self.faults + ".off"):
            if os.path.exists(path):
                os.unlink(path)


def one(fleet, events, seed, tally):
    cycle, began = Cycle(fleet, events, seed), time.monotonic()
    try:
        cycle.run()
    except Exception:  # whatever it is, it is told and the others go on
        cycle.problems.append(("wrong", traceback.format_exc()))
    with tally.lock:
        tally.cycles += 1
        tally.bad_cycles += bool(cycle.problems)
        tally.faults.update((point, action) for _, _, point, action in cycle.struck())
        tally.faults.update(("from outside", what) for _, _, what in cycle.blows)
        tally.problems.update(kind for kind, _ in cycle.problems)
        tally.ends.update(record.get("state") for record in getattr(cycle, "records", {}).values())
        tally.attempts += sum(line.what == "start" for line in getattr(cycle, "lines", ()))
        tally.stale_keys += getattr(cycle, "stale_keys", 0)
        tally.lost += sum(int(record.get("lost") or 0) for record in getattr(cycle, "records", {}).values())
        if cycle.quiet_s is not None:
            tally.quiet.append(cycle.quiet_s)
            queued, elsewhere = cycle.recoveries()
            tally.queued += queued
            tally.elsewhere += elsewhere
        if cycle.problems:
            print("  FAIL cycle with seed %d, %.1f s" % (seed, time.monotonic() - began), flush=True)
        for kind, words in cycle.problems:
            print("       %s: %s" % (kind, words.replace("\n", "\n       ")), flush=True)
    try:
        cycle.close()
    except Exception:
        print(traceback.format_exc(), flush=True)


def lane(seeds, end, tally):
    fleet = FaultFleet()
    fleet.command("broker", "apply", "--pool", "default", check=0)
    events = Events(fleet)
    try:
        for seed in seeds:
            one(fleet, events, seed, tally)
            if time.monotonic() >= end:
                return
    finally:
        events.close()
        fleet.close()


def told(what, times):
    if times:
        print("%s: median %.2f s, worst %.2f s (of %d)" % (what, statistics.median(times), max(times), len(times)))


def run_random(seconds, seed, lanes):
    """Cycles are numbered by seeds from `seed` on: cycle N of a run is the first one of a run with that seed."""
    print("Faults at random for %.0f s, seed %d, %d side by side" % (seconds, seed, lanes), flush=True)
    tally, began = Tally(), time.monotonic()
    threads = [threading.Thread(target=lane, args=(range(seed + n, seed + 10 ** 6, lanes), began + seconds, tally)) for n in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    by_action = collections.Counter()
    for (point, action), count in tally.faults.items():
        by_action[action + (" from outside" if point == "from outside" else "")] += count
    points = {point for point, _ in tally.faults} - {"from outside"}
    print("faults: %d (%s), at %d points" % (sum(by_action.values()), ", ".join("%s %d" % pair for pair in sorted(by_action.items())), len(points)))
    for point in sorted(points):
        print("  %-24s %s" % (point, " ".join("%s %d" % (action, tally.faults[point, action]) for action in ("kill", "stall", "error")
                                              if tally.faults[point, action])))
    print("jobs: %d (%s), %d processes, %d attempts lost, %d stale dedup keys left" % (
        sum(tally.ends.values()), ", ".join("%s %d" % pair for pair in sorted(tally.ends.items(), key=str)), tally.attempts, tally.lost,
        tally.stale_keys))
    told("from a worker's death to its job queued again (lease %d s)" % LEASE_S, tally.queued)
    told("from a worker's death to its job running again, with all others that wait", tally.elsewhere)
    told("from the last fault to nothing owed any more", tally.quiet)
    print("random: seed %d, %d cycles in %.0f s; %s" % (seed, tally.cycles, time.monotonic() - began, ", ".join(
        "%s %d" % (kind, tally.problems[kind]) for kind in ("lost", "early", "twice", "stuck", "wrong", "count"))), flush=True)
    return tally.cycles - tally.bad_cycles, tally.bad_cycles
