"""Short jobs are claimed before a slot is free, and no job waits behind a long one while another worker is idle."""
import os
import signal

from fleet import until
from jobs import each_ran_once, logged


def sleeps(fleet, ids, ms):
    for id in ids:
        fleet.publish({"task": "sleep", "id": id, "args": {"ms": ms}})


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
