"""Short jobs are claimed before a slot is free, and no job waits behind a long one while another worker is idle."""
import os
import signal
import time

from fleet import until
from jobs import each_ran_once, logged


class Heard:
    """The events of a fleet, in the order in which Redis did what they tell of."""

    def __init__(self, fleet):
        self.pubsub = fleet.redis.pubsub(ignore_subscribe_messages=True)
        self.pubsub.subscribe(fleet.key("events"))
        self.pubsub.get_message(timeout=5)
        self.events = []

    def now(self):
        """(id, state, attempt) of each, up to now."""
        while True:
            message = self.pubsub.get_message(timeout=0.05)
            if not message:
                return self.events
            id, state, attempt, _ = message["data"].split(" ")
            self.events.append((id, state, int(attempt)))

    def is_claimed(self, id):
        return any(event[:2] == (id, "running") for event in self.now())


def sleeps(fleet, ids, ms):
    for id in ids:
        fleet.publish({"task": "sleep", "id": id, "args": {"ms": ms}})


def behind_a_gate(fleet, ids, **fields):
    """A job that waits for `open_gate` on the one slot of the one worker, and those of `ids` behind it, claimed ahead."""
    heard = Heard(fleet)
    sleeps(fleet, ["before%d" % n for n in range(8)], 30)  # so that all of them are here when the gate's turn comes
    gated = logged(fleet, "gated", "while ! [ -e %s/gate ]; do sleep 0.02; done" % fleet.dir)
    for job in [gated] + [logged(fleet, id, **fields) for id in ids]:
        fleet.publish(job)
    until(lambda: heard.is_claimed(ids[0]), 10, "the first one is claimed ahead")
    return heard


def open_gate(fleet):
    with open(fleet.dir + "/gate", "w", encoding="utf-8"):
        pass


def started(fleet):
    """The ids in the order in which their processes began."""
    with open(fleet.dir + "/log", encoding="utf-8") as file:
        return [line.split()[1] for line in file if line.startswith("start")]


def short_ones_have_run(fleet, name, count=150):
    """The worker has learnt that jobs are short."""
    ids = ["%s%d" % (name, i) for i in range(count)]
    sleeps(fleet, ids, 1)
    fleet.wait_all(ids)


def test_no_more_run_at_once_than_there_are_slots(fleet):
    """However many are claimed: each once, as its first attempt."""
    fleet.worker("--slots", 2, "--allow-exec")
    ids = ["j%d" % i for i in range(150)]
    for id in ids:
        fleet.publish(logged(fleet, id, "sleep 0.01"))
    fleet.wait_all(ids, 60)
    each_ran_once(fleet, ids)
    running = most = 0
    with open(fleet.dir + "/log", encoding="utf-8") as file:
        for line in file:
            running += 1 if line.startswith("start") else -1
            most = max(most, running)
    assert most <= 2
    assert {fleet.job(id)["attempt"] for id in ids} == {"1"}
    assert all(fleet.job(id)["dir"].startswith(os.path.join(fleet.dir, "work")) for id in ids)


def test_short_jobs_do_not_wait_for_long_ones(fleet):
    """Three long jobs on two workers of two slots: wherever they are, one slot is left, and all the short ones go there."""
    for _ in range(2):
        fleet.worker("--slots", 2)
    short_ones_have_run(fleet, "w")
    short = ["s%d" % i for i in range(200)]
    long = ["long%d" % i for i in range(3)]
    for i, id in enumerate(short):
        if i % 60 == 10 and i < 180:
            sleeps(fleet, [long[i // 60]], 30000)
        sleeps(fleet, [id], 1)
    fleet.wait_all(short, 30)
    assert [fleet.state(id) for id in long] == ["running"] * 3
    for id in long:
        fleet.command("cancel", id, check=0)
    fleet.wait_all(long)


def test_what_was_claimed_behind_a_long_job_goes_elsewhere_or_is_cancelled(fleet):
    fleet.worker("--slots", 1)
    short_ones_have_run(fleet, "w")
    short = ["s%d" % i for i in range(6)]
    sleeps(fleet, ["long"] + short, 15000)
    fleet.wait("long", "running")
    until(lambda: all(fleet.state(id) for id in short), what="they are admitted")
    fleet.command("cancel", "s0", check=0)
    fleet.wait("s0", "cancelled", 10)
    fleet.worker("--slots", 5)
    for id in short[1:]:
        until(lambda: fleet.job(id).get("worker") == fleet.workers[1].name, 10, id + " goes to the second worker")
    assert fleet.state("long") == "running"
    fleet.command("cancel", "long", *short[1:], check=0)
    fleet.wait_all(["long"] + short)


def test_a_worker_is_stopped_with_jobs_claimed_ahead(fleet):
    ids = ["j%d" % i for i in range(400)]
    first = fleet.worker("--slots", 2, "--allow-exec")
    for id in ids:
        fleet.publish(logged(fleet, id))
    until(lambda: int(fleet.redis.hget(fleet.key("stats"), "succeeded") or 0) >= 100, 60)
    assert first.stop() == 0, first.log()
    fleet.worker("--slots", 2, "--allow-exec")
    fleet.wait_all(ids, 60)
    each_ran_once(fleet, ids)


def test_what_is_not_admitted_since_its_turn_is_near_is_admitted_when_that_does_not_come(fleet):
    """Messages that wait for their turn behind short jobs are admitted and claimed in one; where a long job comes before them
    people see them `queued` all the same, and a worker that leaves gives them back."""
    worker = fleet.worker("--allow-exec", "--slots", 1)
    short_ones_have_run(fleet, "warm")
    ids = ["m%d" % n for n in range(60)]
    behind_a_gate(fleet, ids[:20])
    for id in ids[20:]:
        fleet.publish(logged(fleet, id))
    seen = int(fleet.redis.hget(fleet.key("worker", worker.name), "prefetch") or 0)
    until(lambda: sum(bool(fleet.state(id)) for id in ids) >= min(len(ids), seen), 10, lambda: "seen in Redis\n" + fleet.logs())
    second = fleet.worker("--allow-exec", "--slots", 2)
    worker.process.send_signal(signal.SIGTERM)
    fleet.wait_all(ids)
    open_gate(fleet)
    fleet.wait("gated")
    assert worker.process.wait(30) == 0 and second.process.poll() is None
    each_ran_once(fleet, ["gated"] + ids)
    fleet.settled()


def test_a_worker_is_killed_with_jobs_claimed_ahead(fleet):
    ids = ["j%d" % i for i in range(400)]
    first = fleet.worker("--slots", 2, "--lease", "2s")
    sleeps(fleet, ids, 2)
    until(lambda: int(fleet.redis.hget(fleet.key("stats"), "succeeded") or 0) >= 100, 60)
    first.stop(signal.SIGKILL)
    fleet.worker("--slots", 2, "--lease", "2s")
    fleet.wait_all(ids, 60)
    assert {fleet.state(id) for id in ids} == {"succeeded"}
    fleet.settled()


def test_what_waited_in_vain_is_as_if_nobody_had_claimed_it(fleet):
    """No attempt is used up, it is queued since it was, and its deadline holds: it had none of a first attempt's time."""
    fleet.worker("--slots", 1, "--allow-exec")
    short_ones_have_run(fleet, "w")
    heard = behind_a_gate(fleet, ["s0", "s1"])
    queued_at = fleet.job("s0")["queued_at"]
    record = until(lambda: fleet.state("s0") == "queued" and fleet.job("s0"), 10, "it is given back")
    assert record["attempt"] == "0" and "started_at" not in record and "worker" not in record
    assert record["queued_at"] == queued_at
    assert fleet.redis.zscore(fleet.key("outbox"), "s0") and not fleet.redis.zscore(fleet.key("leases"), "s0")
    open_gate(fleet)
    for id in ("s0", "s1"):
        assert fleet.wait(id, "succeeded")["attempt"] == "1"
    told = [event[1:] for event in heard.now() if event[0] == "s0"]
    assert told[told.index(("running", 1)):] == [("running", 1), ("queued", 0), ("running", 1), ("succeeded", 1)]
    each_ran_once(fleet, ["gated", "s0", "s1"])


def test_a_deadline_outlives_a_claim_that_was_given_back(fleet):
    fleet.worker("--slots", 1, "--allow-exec")
    short_ones_have_run(fleet, "w")
    heard = behind_a_gate(fleet, ["s0"], expires_at=int(time.time() * 1000) + 5000)
    assert fleet.wait("s0", "expired", 20)["attempt"] == "0"
    assert heard.is_claimed("s0") and "s0" not in started(fleet)
    open_gate(fleet)
    fleet.wait("gated", "succeeded")
    fleet.settled()


def test_a_more_urgent_job_goes_before_those_that_wait(fleet):
    fleet.worker("--slots", 1, "--allow-exec")
    short_ones_have_run(fleet, "w")
    ids = ["s0", "s1", "s2"]
    behind_a_gate(fleet, ids)
    fleet.publish(logged(fleet, "urgent", priority="high"), priority="high")
    until(lambda: fleet.state("urgent"), what="it is admitted")
    open_gate(fleet)
    fleet.wait_all(["gated", "urgent"] + ids)
    assert started(fleet)[:2] == ["gated", "urgent"]


def test_what_waits_goes_back_at_once_when_its_worker_is_told_to_leave(fleet):
    worker = fleet.worker("--slots", 1, "--allow-exec", "--grace", "60s")
    short_ones_have_run(fleet, "w")
    heard = behind_a_gate(fleet, ["s0"])
    worker.process.terminate()
    until(lambda: fleet.state("s0") == "queued" and fleet.job("s0")["attempt"] == "0", 10, "it goes back")
    assert worker.process.poll() is None and fleet.state("gated") == "running"
    fleet.worker("--slots", 1, "--allow-exec")
    assert fleet.wait("s0", "succeeded")["attempt"] == "1"
    open_gate(fleet)
    assert worker.process.wait(20) == 0, worker.log()
    assert ("s0", "queued", 0) in heard.now()
    each_ran_once(fleet, ["gated", "s0"])


def most_at_once(heard, ids):
    """How many of them were claimed and had not ended, at most, for Redis."""
    ids, running, most = set(ids), set(), 0
    for id, state, _ in heard.now():
        if id in ids and state == "running":
            running.add(id)
            most = max(most, len(running))
        else:
            running.discard(id)
    return most


def test_what_has_lost_workers_is_claimed_for_a_free_slot_only(fleet):
    """Else it would count a death that it had no part in, as often as it waits beside the job that kills workers."""
    fleet.worker("--slots", 2)
    short_ones_have_run(fleet, "w")
    heard = Heard(fleet)
    fresh, lost = (["%s%d" % (name, n) for n in range(200)] for name in ("fresh", "lost"))
    for ids in (fresh, lost):
        for id in ids:
            fleet.publish({"task": "sleep", "id": id, "args": {"ms": 2}, "delay_ms": 60000})
        until(lambda: all(fleet.state(id) == "scheduled" for id in ids), 30)
        for id in ids:
            fleet.redis.hset(fleet.key("job", id), "lost", int(ids is lost))
        fleet.redis.zadd(fleet.key("scheduled"), {id: 1 for id in ids})
        fleet.wait_all(ids, 60)
    # the end of one and the claim of the next may come to Redis in either order
    assert most_at_once(heard, lost) <= 6 < most_at_once(heard, fresh)
    assert {fleet.job(id)["attempt"] for id in lost} == {"1"}


def test_where_one_lost_worker_is_one_too_many_nothing_is_claimed_ahead(fleet):
    fleet.worker("--slots", 2, "--max-lost", 1)
    heard = Heard(fleet)
    ids = ["j%d" % n for n in range(200)]
    sleeps(fleet, ids, 2)
    fleet.wait_all(ids)
    assert most_at_once(heard, ids) <= 6
