"""The check from outside: whether what a fleet did is what was asked of it, whatever died meanwhile.

Two witnesses are compared. One is the stores; the other a log that the jobs' own processes wrote, a line before and a line
behind their work (`start|ok|fail ID ATTEMPT WORKER_PID SECONDS`, appended, so that the order of the lines is the order of
what happened). Redis is not asked whether a job ran.

What is found is a list of (kind, words), empty where all is well:

    lost    a job that was handed in has no record
    stuck   a job has not ended, or something is still owed: an index, a queue, a key that lives for ever
    wrong   a job ended otherwise than its graph says
    early   a process began before the attempt with which its predecessor ended had
    twice   an attempt ran twice, or a job has two ends, or it ran more often than its attempts and losses explain
    count   a counter is not what a recount gives

How often a job ran. A claim counts an attempt; so a number never comes to two processes. One that is handed back before it began is
counted no more: its number comes again, and to no process before that. Of the attempts one is the last;
the others failed (`failures`), lost their worker (`lost`), or were handed back by a worker that stopped, which nothing counts.
So with `handed` (how many may have been handed back, for each job) it holds for a job that was never retried by hand

    attempt - failures - lost - (1 if it succeeded) = handed back, at most `handed` (one more where it was cancelled, while it ran)

An attempt without a line never began: its worker died, stood still or was stopped between the claim and the process; one with a
start and no end was killed. Neither is more than lost + handed back + `broken` (how many attempts a fault was made to fail,
whatever its process did). An attempt beside the last one may have ended well: its worker died before it could say so, which is the
one place where a job runs twice; those are no more either. The last one's end is in the log, once.
"""
import collections
import os

from fleet import ENDED

STATES = ("waiting", "scheduled", "queued", "running", "succeeded", "failed", "cancelled", "skipped", "expired")
INDICES = ("leases", "scheduled", "expiring", "outbox", "settling", "replies")
QUEUES = ("default.high", "default.normal", "default.low", "unrouted", "returned")

Line = collections.namedtuple("Line", "number what id attempt worker at")


def read_log(*paths):
    lines = []
    for path in paths:
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                for line in file:
                    what, id, attempt, worker, at = line.split()
                    lines.append(Line(len(lines), what, id, int(attempt), int(worker), float(at)))
    return lines


def predecessors(job):
    return [after["id"] if isinstance(after, dict) else after for after in job.get("after", ())]


def left(fleet):
    """What is owed: indices that are not empty, messages that are ready."""
    pipe = fleet.redis.pipeline(transaction=False)
    for index in INDICES:
        pipe.zrange(fleet.key(index), 0, 3, withscores=True)
    owed = dict(zip(INDICES, pipe.execute()))
    owed.update({name: fleet.queue_length("%s.%s" % (fleet.prefix, name)) for name in QUEUES})
    return {name: what for name, what in owed.items() if what not in ([], 0, -1)}


def given_back(events):
    """(id, attempt) of each claim that was handed back before it began."""
    last = {}
    for id, state, attempt in events:
        if (state, last.get(id)) == ("queued", ("running", attempt + 1)):
            yield id, attempt + 1
        last[id] = (state, attempt)


class Check:
    """`jobs`: id → the message that was published. `expected`: id → its end, or a set of them. `logged`: ids of the jobs whose
    processes write to the log. `lines`: read_log. `broken`: a number, or one for each id."""

    def __init__(self, fleet, jobs, expected, logged, lines, handed=0, broken=0, deaths=False):
        self.fleet, self.jobs, self.logged, self.lines, self.handed = fleet, jobs, logged, lines, handed
        self.deaths, self.stale_keys = deaths, 0
        self.broken = broken if callable(broken) else lambda id: broken
        self.expected = {id: {ends} if isinstance(ends, str) else set(ends) for id, ends in expected.items()}
        self.problems = []
        self.records = self.read_records()
        self.by_job = collections.defaultdict(list)
        for line in lines:
            self.by_job[line.id].append(line)

    def say(self, kind, words, *more):
        self.problems.append((kind, words % more if more else words))

    # --- Redis

    def read_records(self):
        """Every record that there is, not only those that somebody knows of."""
        before = self.fleet.key("job") + ":"
        names = [key for key in self.fleet.redis.scan_iter(before + "*", count=1000) if ":" not in key[len(before):]]
        pipe = self.fleet.redis.pipeline(transaction=False)
        for name in names:
            pipe.hgetall(name)
        return {name[len(before):]: record for name, record in zip(names, pipe.execute())}

    def check_ends(self):
        for id, ends in self.expected.items():
            record = self.records.get(id)
            if not record:
                self.say("lost", "%s has no record", id)
            elif record.get("state") not in ENDED:
                self.say("stuck", "%s is %s: %s", id, record.get("state"), record)
            elif record["state"] not in ends:
                self.say("wrong", "%s is %s, not %s: %s", id, record["state"], "|".join(sorted(ends)), record)
        for id in self.records:
            if id not in self.expected:
                self.say("wrong", "nobody submitted %s", id)

    def check_events(self, events):
        """Each end is told once; a retry makes another possible. `events`: (id, state, attempt)."""
        ends = collections.Counter(id for id, state, _ in events if state in ENDED)
        begun = collections.Counter((id, attempt) for id, state, attempt in events if state == "running")
        begun.subtract(given_back(events))
        for id, count in ends.items():
            most = 1 + int(self.records.get(id, {}).get("epoch") or 0)
            if count > most:
                self.say("twice", "%s ended %d times: %s", id, count, [e for e in events if e[0] == id])
        for (id, attempt), count in begun.items():
            if count > 1:
                self.say("twice", "attempt %s of %s was claimed %d times", attempt, id, count)

    # --- the log

    def check_attempts(self):
        for id in self.logged:
            record = self.records.get(id)
            if record and record.get("state") in ENDED:
                self.check_attempt_lines(id, record)

    def check_attempt_lines(self, id, record):
        lines, state = self.by_job[id], record["state"]
        story = "%s: %s %s" % (id, [(line.what, line.attempt) for line in lines], record)
        starts = [line.attempt for line in lines if line.what == "start"]
        ends = [line.attempt for line in lines if line.what != "start"]
        good = [line.attempt for line in lines if line.what == "ok"]
        attempts, lost, failures = (int(record.get(field) or 0) for field in ("attempt", "lost", "failures"))
        if len(set(starts)) != len(starts) or len(set(ends)) != len(ends):
            self.say("twice", "an attempt ran twice: " + story)
        if set(starts) - set(range(1, attempts + 1)) or set(ends) - set(starts):
            self.say("twice", "a process that no attempt explains: " + story)
        if state == "succeeded" and "duplicate_of" not in record and attempts not in good:
            self.say("wrong", "it succeeded, and its last process does not say so: " + story)
        if int(record.get("epoch") or 0):
            return  # counts begin anew with a retry
        handed = attempts - failures - lost - (state == "succeeded" and "duplicate_of" not in record)
        if not 0 <= handed <= self.handed + (state == "cancelled"):
            self.say("twice", "%d attempts that nothing explains: %s", handed, story)
        unfinished = lost + handed + self.broken(id)  # what was cancelled while it ran is among those handed back
        if attempts - len(starts) > unfinished:
            self.say("wrong", "attempts without a process: " + story)
        if len(starts) - len(ends) > unfinished:
            self.say("wrong", "processes without an end: " + story)
        if len(good) > (state == "succeeded") + unfinished:
            self.say("twice", "it succeeded too often: " + story)

    def check_order(self):
        """Before a process begins, the attempt with which each predecessor ended has. Of what ran in no process of the log, and
        of what was retried by hand, Redis' times have to do."""
        for id, job in self.jobs.items():
            child = self.records.get(id, {})
            for name in predecessors(job) if child.get("started_at") and not child.get("epoch") else ():
                self.check_edge(id, child, name, self.records.get(name, {}))

    def check_edge(self, id, child, name, parent):
        if parent.get("epoch"):
            return
        if parent.get("state") not in ENDED:
            self.say("early", "%s ran, its predecessor %s is %s", id, name, parent.get("state"))
            return
        if int(parent["ended_at"]) > int(child["started_at"]):
            self.say("early", "%s began at %s, its predecessor %s ended at %s", id, child["started_at"], name, parent["ended_at"])
        first = min((line.number for line in self.by_job[id] if line.what == "start"), default=None)
        last = [line.number for line in self.by_job[name] if line.what != "start" and line.attempt == int(parent["attempt"])]
        if first is not None and any(number > first for number in last):
            self.say("early", "%s began before %s had ended: %s %s", id, name, self.by_job[id], self.by_job[name])

    # --- what is left

    def check_left(self):
        """Call it when no worker runs any more: then unacknowledged messages are ready again."""
        for name, what in left(self.fleet).items():
            self.say("stuck", "left in %s: %s", name, what)
        names = list(self.fleet.redis.scan_iter(self.fleet.key("job") + ":*", count=1000))
        names += list(self.fleet.redis.scan_iter(self.fleet.key("dedup") + ":*", count=1000))
        pipe = self.fleet.redis.pipeline(transaction=False)
        for name in names:
            pipe.pttl(name)
        for name, ttl in zip(names, pipe.execute()):
            if ttl == -1 and not self.stale_key(name):
                self.say("stuck", "%s is kept for ever", name)

    def stale_key(self, name):
        """A dedup key that a registration took after its job's end, and died before it could give it back. It hinders nobody: who
        comes with that key takes it. Only where there were deaths; it is counted."""
        prefix = self.fleet.key("dedup") + ":"
        if not self.deaths or not name.startswith(prefix):
            return False
        holder = self.fleet.redis.get(name) if self.fleet.redis.type(name) == "string" else None
        stale = self.records.get(holder, {}).get("state") in ENDED
        self.stale_keys += stale
        return stale

    def check_workers(self, live=()):
        """The workers that are known are those that live, and they do nothing."""
        known = set(self.fleet.redis.zrange(self.fleet.key("workers"), 0, -1))
        if known != {worker.name for worker in live}:
            self.say("count", "workers known: %s, live: %s", known, [worker.name for worker in live])
        for worker in live:
            record = self.fleet.redis.hgetall(self.fleet.key("worker", worker.name))
            if record.get("running") != "0" or record.get("held") != "0":
                self.say("count", "a worker that has nothing to do: %s", record)

    # --- counters

    def check_counters(self, ended_before=()):
        """`ended_before`: state → how many ends there were of jobs that live no more, or live again."""
        recount = collections.Counter(record.get("state") for record in self.records.values())
        recount.update(dict(ended_before))
        stats = self.fleet.redis.hgetall(self.fleet.key("stats"))
        for state in ENDED:
            if int(stats.get(state) or 0) != recount[state]:
                self.say("count", "stats say %s %s, a recount %d", stats.get(state), state, recount[state])
        runs = collections.defaultdict(dict)
        for id, record in self.records.items():
            if record.get("run"):
                runs[record["run"]][id] = record.get("state")
        for run, members in runs.items():
            self.check_run(run, members)

    def check_run(self, run, members):
        counts = self.fleet.redis.hgetall(self.fleet.key("run", run))
        recount = collections.Counter(members.values())
        if int(counts.get("jobs") or 0) != len(members):
            self.say("count", "run %s: jobs %s, a recount %d", run, counts.get("jobs"), len(members))
        for state in STATES:
            if int(counts.get(state) or 0) != recount[state]:
                self.say("count", "run %s: %s %s, a recount %d", run, counts.get(state), state, recount[state])
        if self.fleet.redis.smembers(self.fleet.key("run", run, "jobs")) != set(members):
            self.say("count", "run %s: its set of jobs is another", run)

    def all(self, events=(), ended_before=(), live=()):
        self.check_ends()
        self.check_events(events)
        self.check_attempts()
        self.check_order()
        self.check_left()
        self.check_workers(live)
        self.check_counters(ended_before)
        return self.problems
