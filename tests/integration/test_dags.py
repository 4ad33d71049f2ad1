"""Random graphs of jobs through the real servers, against an oracle: what each job must have become, how often it was tried,
and that none began before its predecessors had ended. Children come before parents, messages come twice, in any order, in both
encodings, by both exchanges and all priorities.

    DAG_SEED=123   the same graphs again (the seed is printed; a failure names it)
    DAG_COUNT=5000 more of them

Then the same while workers are stopped, killed and started, and with all that failed tried again.
"""
import collections
import json
import os
import random
import signal
import threading
import time

import msgpack
import pika

from fleet import until

SEED = int(os.environ.get("DAG_SEED", random.SystemRandom().randrange(1 << 32)))
COUNT = int(os.environ.get("DAG_COUNT", 2000))
BATCH = 200
PRIORITIES = ("high", "normal", "low")
STATES = ("waiting", "scheduled", "queued", "running", "succeeded", "failed", "cancelled", "skipped", "expired")


class Dag:
    """A random graph: `jobs` by id as they are published, `expected` by id: (state, attempts)."""

    def __init__(self, rng, run, log, logged=0.04, failures=(75, 5, 3, 17), whens=(6, 1, 3), flag=None, slow=1):
        self.rng, self.run, self.log, self.failures, self.whens, self.flag, self.slow = rng, run, log, failures, whens, flag, slow
        self.logged = rng.random() < logged
        self.jobs, self.expected = {}, {}
        kind = rng.random()
        if kind < 0.1:
            self.parents = [[i - 1] if i else [] for i in range(rng.randint(2, 12))]
        elif kind < 0.11 and not self.logged:
            self.parents = self.wide(rng.randint(90, 230))
        else:
            self.parents = self.any(rng.randint(1, 11), rng.choice((0.15, 0.3, 0.6)))
        order = list(range(len(self.parents)))
        rng.shuffle(order)  # a job's number in its id says nothing about its place
        self.ids = ["%s/%d" % (run, n) for n in order]
        for i in range(len(self.parents)):
            self.add(i)

    def any(self, count, density):
        return [[p for p in range(i) if self.rng.random() < density] for i in range(count)]

    def wide(self, width):
        """Out to more dependents than one batch takes, and in again."""
        return [[]] + [[0] for _ in range(width)] + [list(range(1, width + 1))]

    def add(self, i):
        rng, id = self.rng, self.ids[i]
        job = {"id": id, "run": self.run}
        whens = {self.ids[p]: rng.choices(("succeeded", "failed", "ended"), self.whens)[0] for p in self.parents[i]}
        if whens:
            after = [p if w == "succeeded" and rng.random() < 0.5 else {"id": p, "when": w} for p, w in whens.items()]
            if rng.random() < 0.05:
                after.append(rng.choice(after))
            rng.shuffle(after)
            job["after"] = after
        failures = rng.choices((0, 1, 2, 99), self.failures)[0]
        retries = rng.choice((0, 0, 0, 1, 2))
        if failures or retries:
            job["retries"], job["backoff_ms"] = retries, rng.randint(1, 30)
        self.set_task(job, failures)
        if rng.random() < 0.05:
            job["delay_ms"] = rng.randint(1, 100)
        if rng.random() < 0.3:
            job["priority"] = rng.choice(PRIORITIES)
        if rng.random() < 0.1:
            job["pool"] = "default"
        self.jobs[id] = job
        if not self.met(id):
            self.expected[id] = ("skipped", 0)
        elif failures > retries:
            self.expected[id] = ("failed", retries + 1)
        else:
            self.expected[id] = ("succeeded", failures + 1)

    def met(self, id):
        edges = (after if isinstance(after, dict) else {"id": after} for after in self.jobs[id].get("after", ()))
        return all(e.get("when", "succeeded") in ("ended", self.expected[e["id"]][0]) for e in edges)

    def retried(self):
        """What is to be expected once all that failed has been tried again and succeeded."""
        for id, (state, attempts) in list(self.expected.items()):  # in the order of the graph
            if state == "failed" or state == "skipped" and self.met(id):
                self.expected[id] = ("succeeded", attempts + 1)

    def noting(self, failures):
        """Writes the lines of tests/support/check.py; fails as often as told."""
        return ["sh", "-c", 'note() { read -r up _ </proc/uptime; echo "$1 $FLOTILLA_ID $FLOTILLA_ATTEMPT $PPID $up" >>%s; }; note start; '
                "%s[ $FLOTILLA_ATTEMPT -gt %d ] || { note fail; exit 1; }; note ok" % (
                    self.log, "sleep 0.1; " if self.slow > 1 else "", failures)]

    def set_task(self, job, failures):
        rng = self.rng
        if failures and self.flag:
            job["task"], job["argv"] = "exec", ["test", "-e", self.flag]
        elif self.logged or 0 < failures < 99:  # how often it was tried, only the process is told
            job["task"] = "exec"
            job["argv"] = self.noting(failures)
        elif failures:
            job["task"], job["args"] = "fail", {"message": "as it was told"}
        elif rng.random() < 0.2:
            job["task"], job["args"] = "sleep", {"ms": rng.randint(0, 20) * self.slow}
        else:
            job["task"], job["args"] = "noop", {"n": rng.randrange(1000)}


class Flood:
    """Publishes unconfirmed, and remembers how often, and to whom replies are due."""

    def __init__(self, fleet, rng):
        self.fleet, self.rng = fleet, rng
        self.channel = fleet.connection.channel()
        self.replies = self.channel.queue_declare("", exclusive=True).method.queue
        self.asked, self.got = collections.Counter(), collections.Counter()
        self.expected = {}

    def publish(self, job):
        rng = self.rng
        properties = pika.BasicProperties(delivery_mode=2)
        if rng.random() < 0.5:
            body = json.dumps(job).encode()
            properties.content_type = rng.choice(("application/json", "application/json; charset=utf-8", None))
        else:
            body = msgpack.packb(job)
            properties.content_type = rng.choice(("application/msgpack", None))
        if rng.random() < 0.05:
            properties.reply_to, properties.correlation_id = self.replies, job["id"]
            self.asked[job["id"]] += 1
        key = "default." + rng.choice(PRIORITIES)
        if rng.random() < 0.5:
            self.channel.basic_publish(self.fleet.prefix, key, body, properties)
        else:
            self.channel.basic_publish("", "%s.%s" % (self.fleet.prefix, key), body, properties)

    def publish_all(self, dags):
        jobs = [job for dag in dags for job in dag.jobs.values()]
        jobs += self.rng.sample(jobs, len(jobs) // 10) + self.rng.sample(jobs, len(jobs) // 50)
        mode = self.rng.random()
        if mode < 0.7:
            self.rng.shuffle(jobs)
        elif mode < 0.85:  # all children before their parents
            jobs.reverse()
        for job in jobs:
            self.publish(job)

    def check_replies(self, dags, faults=False):
        """Each reply that was asked for has come; one that was asked for twice may come once, or twice after a fault."""
        self.expected.update((id, end) for dag in dags for id, end in dag.expected.items())

        def read():
            method, properties, body = self.channel.basic_get(self.replies, auto_ack=True)
            while method:
                answer = json.loads(body) if properties.content_type == "application/json" else msgpack.unpackb(body)
                id = properties.correlation_id
                assert answer["id"] == id, answer
                state, attempts = self.expected[id]
                assert answer["state"] == state and (faults or answer["attempt"] == attempts), (answer, self.expected[id])
                self.got[id] += 1
                method, properties, body = self.channel.basic_get(self.replies, auto_ack=True)
            return not set(self.asked) - set(self.got)
        until(read, 20, lambda: "replies for %s" % sorted(set(self.asked) - set(self.got))[:5])
        more = {id: (n, self.asked[id]) for id, n in self.got.items() if n > self.asked[id]}
        assert faults or not more, "more replies than were asked for: %s" % more


def records(fleet, ids):
    pipe = fleet.redis.pipeline(transaction=False)
    for id in ids:
        pipe.hgetall(fleet.key("job", id))
        pipe.exists(fleet.key("job", id, "waiting"))
    answers = pipe.execute()
    return {id: (answers[2 * i], answers[2 * i + 1]) for i, id in enumerate(ids)}


def check_dag(fleet, dag, seen, faults=False, retried=False):
    for id, (state, attempts) in dag.expected.items():
        record, waiting = seen[id]
        story = (id, dag.expected[id], record, dag.jobs)
        assert record["state"] == state, story
        lost = int(record.get("lost") or 0)
        # What was handed back in the middle is an attempt as well, and neither failed nor lost.
        assert int(record["attempt"]) >= attempts + lost if faults else int(record["attempt"]) == attempts and lost == 0, story
        if not retried:
            assert int(record.get("failures") or 0) == attempts - (state == "succeeded") * 1, story
            assert not record.get("epoch", "0").strip("0"), story
        if state == "skipped":
            assert record["reason"] == "predecessor" and record["error"], story
            continue
        assert not waiting and record.get("pending", "0") == "0", story
        assert int(record["created_at"]) <= int(record["started_at"]) <= int(record["ended_at"]), story
        for after in dag.jobs[id].get("after", ()):
            parent = seen[after["id"] if isinstance(after, dict) else after][0]
            assert retried or int(parent["ended_at"]) <= int(record["started_at"]), (story, parent)


def check_run(fleet, dag):
    counts = fleet.redis.hgetall(fleet.key("run", dag.run))
    recount = collections.Counter(state for state, _ in dag.expected.values())
    assert int(counts["jobs"]) == len(dag.jobs), (dag.run, counts)
    for state in STATES:
        assert int(counts.get(state) or 0) == recount[state], (dag.run, counts, recount, dag.jobs)
    assert fleet.redis.smembers(fleet.key("run", dag.run, "jobs")) == set(dag.jobs)


def check_log(path, dags, faults=False):
    """The order of the lines is the order in which the processes wrote them. With faults, processes may have been killed: then
    attempts may be missing, or lack their end, but none is there twice."""
    starts, ends = collections.defaultdict(list), collections.defaultdict(list)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file):
                what, id, attempt = line.split()[:3]
                (starts if what == "start" else ends)[id].append((number, int(attempt)))
    for dag in dags:
        for id, job in dag.jobs.items():
            if job["task"] != "exec":
                continue
            attempts = list(range(1, dag.expected[id][1] + 1))
            ran = [a for _, a in starts[id]]
            if faults:
                assert len(set(ran)) == len(ran) and (ends[id] or not attempts), (id, ran, ends[id], job)
            else:
                assert ran == attempts == [a for _, a in ends[id]], (id, dag.expected[id], ran, job)
            for after in job.get("after", ()) if dag.logged and attempts else ():
                parent = after["id"] if isinstance(after, dict) else after
                for number, _ in ends[parent]:
                    assert not starts[id] or number < starts[id][0][0], "%s began before %s had ended: %s" % (id, parent, dag.jobs)


def check_empty(fleet):
    fleet.settled(20)
    names = ["default." + p for p in PRIORITIES] + ["unrouted", "returned", "rejected"]
    until(lambda: not any(fleet.queue_length("%s.%s" % (fleet.prefix, n)) for n in names), 10,
          lambda: "queues are not empty: %s" % {n: fleet.queue_length("%s.%s" % (fleet.prefix, n)) for n in names})
    # told four times a second
    live = [w for w in fleet.workers if w.process.poll() is None]
    until(lambda: all(fleet.redis.hget(fleet.key("worker", w.name), "running") == "0" for w in live), 5, "all slots are free")


def check_stats(fleet, ends):
    stats = {state: int(count) for state, count in fleet.redis.hgetall(fleet.key("stats")).items() if state in STATES}
    assert stats == dict(ends), (stats, ends)


def start(seed_offset):
    print("DAG_SEED=%d DAG_COUNT=%d" % (SEED, COUNT), flush=True)
    return random.Random(SEED + seed_offset), collections.Counter(), time.monotonic()


def told(what, graphs, ends, began):
    print("%s: %d graphs, %d jobs in %.1f s: %s" % (what, graphs, sum(ends.values()), time.monotonic() - began, dict(ends)))


def ids_of(dags):
    return [id for dag in dags for id in dag.jobs]


def check_all(fleet, dags, ends, faults=False, retried=False):
    """Returns how many attempts were lost."""
    seen = records(fleet, ids_of(dags))
    for dag in dags:
        check_dag(fleet, dag, seen, faults, retried)
        check_run(fleet, dag)
        ends.update(state for state, _ in dag.expected.values())
    return sum(int(record.get("lost") or 0) for record, _ in seen.values())


def test_random_graphs(fleet):
    rng, ends, began = start(0)
    for _ in range(rng.choice((2, 3))):
        fleet.worker("--allow-exec", "--slots", rng.choice((2, 4, 8)))
    flood = Flood(fleet, rng)
    for first in range(0, COUNT, BATCH):
        log = os.path.join(fleet.dir, "log-%d" % first)
        dags = [Dag(rng, "d%d" % n, log) for n in range(first, min(first + BATCH, COUNT))]
        flood.publish_all(dags)
        fleet.wait_all(ids_of(dags), 60)
        check_all(fleet, dags, ends)
        check_log(log, dags)
        flood.check_replies(dags)
        check_empty(fleet)
    check_stats(fleet, ends)
    assert "closed the channel" not in fleet.logs(), fleet.logs()
    assert all(worker.process.poll() is None for worker in fleet.workers), fleet.logs()
    told("steady", COUNT, ends, began)


def test_while_workers_come_and_go(fleet):
    rng, ends, began = start(1)
    options = ("--allow-exec", "--slots", 3, "--lease", "2s")
    for _ in range(3):
        fleet.worker(*options)
    flood = Flood(fleet, rng)
    graphs, lost = max(COUNT // 20 // 50, 1) * 50, 0
    for first in range(0, graphs, 50):
        log = os.path.join(fleet.dir, "log-%d" % first)
        dags = [Dag(rng, "d%d" % n, log, 0.5, (80, 0, 0, 20), slow=20)
                for n in range(first, first + 50)]
        flood.publish_all(dags)
        # At some moment of the work that is to come: there is plenty for a second.
        victim = rng.choice([w for w in fleet.workers if w.process.poll() is None])
        blow = threading.Timer(rng.uniform(0, 0.8), victim.process.send_signal, (rng.choice((signal.SIGTERM, signal.SIGKILL)),))
        blow.start()
        fleet.worker(*options)
        fleet.wait_all(ids_of(dags), 60)
        blow.join()
        lost += check_all(fleet, dags, ends, faults=True)
        check_log(log, dags, faults=True)
        flood.check_replies(dags, faults=True)
        check_empty(fleet)
    check_stats(fleet, ends)
    told("come and go, %d attempts lost" % lost, graphs, ends, began)


def test_all_that_failed_tried_again(fleet):
    rng, ends, began = start(2)
    for _ in range(3):
        fleet.worker("--allow-exec", "--slots", 4)
    flood = Flood(fleet, rng)
    graphs = max(COUNT // 20, 20)
    for first in range(0, graphs, 20):
        flag = os.path.join(fleet.dir, "flag-%d" % first)
        dags = [Dag(rng, "d%d" % n, None, 0, (75, 0, 0, 25), (6, 0, 3), flag) for n in range(first, first + 20)]
        flood.publish_all(dags)
        fleet.wait_all(ids_of(dags), 60)
        check_all(fleet, dags, ends)
        fleet.settled()
        open(flag, "w", encoding="utf-8").close()
        for dag in dags:
            if any(state == "failed" for state, _ in dag.expected.values()):
                fleet.command("retry", "--run", dag.run, "--failed", check=0)
                dag.retried()
        until(lambda: all(fleet.state(id) == dag.expected[id][0] for dag in dags for id in dag.jobs), 30,
              lambda: [(id, fleet.job(id), dag.expected[id], dag.jobs) for dag in dags for id in dag.jobs
                       if fleet.state(id) != dag.expected[id][0]][:1])
        check_all(fleet, dags, ends, retried=True)
        check_empty(fleet)
    told("tried again", graphs, ends, began)
