"""The check from outside (tests/support/check.py) finds what it is for: the witnesses are made to lie, one way each."""
import os

import pytest

from check import Check, read_log
from fleet import until


def noting(log):
    note = 'note() { read -r up _ </proc/uptime; echo "$1 $FLOTILLA_ID $FLOTILLA_ATTEMPT $PPID $up" >>%s; }; note start; note ok' % log
    return {"task": "exec", "argv": ["sh", "-c", note], "run": "r"}


@pytest.fixture
def witness(fleet):
    """A fleet that has run a pair of jobs and is gone, and its check, made anew each time it is called."""
    log = os.path.join(fleet.dir, "log")
    jobs = {"a": {"id": "a", **noting(log)}, "b": {"id": "b", "after": ["a"], **noting(log)}}
    fleet.worker("--allow-exec")
    for job in jobs.values():
        fleet.publish(job)
    fleet.wait_all(jobs)
    fleet.settled()
    fleet.workers[0].stop()
    fleet.log = log

    def problems(events=()):
        return Check(fleet, jobs, dict.fromkeys(jobs, "succeeded"), jobs, read_log(log)).all(events)
    # the broker counts a little later than it is told
    until(lambda: not problems(), 5, lambda: "nothing is wrong: %s" % problems())
    return fleet, lambda events=(): {kind for kind, _ in problems(events)}


def rewrite(path, change):
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    with open(path, "w", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in change(lines)))


def set_in(field, value):
    return lambda fleet: fleet.redis.hset(fleet.key("job", "a"), field, value)


LIES = {
    "a record is gone": (lambda fleet: fleet.redis.delete(fleet.key("job", "a")), "lost"),
    "it has not ended": (set_in("state", "running"), "stuck"),
    "it ended otherwise": (set_in("state", "failed"), "wrong"),
    "nobody submitted it": (lambda fleet: fleet.redis.hset(fleet.key("job", "c"), mapping={"state": "succeeded"}), "wrong"),
    "an attempt ran twice": (lambda fleet: rewrite(fleet.log, lambda lines: lines + lines[:2]), "twice"),
    "a process without an attempt": (lambda fleet: rewrite(fleet.log, lambda lines: lines + ["start a 2 1 1.0"]), "twice"),
    "attempts that nothing explains": (set_in("attempt", 4), "twice"),
    "its process says otherwise": (lambda fleet: rewrite(fleet.log, lambda lines: [line.replace("ok a", "fail a") for line in lines]), "wrong"),
    "early by the log": (lambda fleet: rewrite(fleet.log, lambda lines: lines[2:] + lines[:2]), "early"),
    "early by the record": (set_in("ended_at", 1 << 50), "early"),
    "an invitation is owed": (lambda fleet: fleet.redis.zadd(fleet.key("outbox"), {"a": 1}), "stuck"),
    "a message is left": (lambda fleet: fleet.publish({"id": "a"}), "stuck"),
    "a key for ever": (lambda fleet: fleet.redis.persist(fleet.key("job", "b")), "stuck"),
    "the statistics": (lambda fleet: fleet.redis.hincrby(fleet.key("stats"), "succeeded", 1), "count"),
    "a run's counter": (lambda fleet: fleet.redis.hincrby(fleet.key("run", "r"), "running", 1), "count"),
    "a run's members": (lambda fleet: fleet.redis.srem(fleet.key("run", "r", "jobs"), "a"), "count"),
    "a worker that is gone": (lambda fleet: fleet.redis.zadd(fleet.key("workers"), {"ghost": 1}), "count"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_found(witness, lie):
    fleet, check = witness
    tell, kind = LIES[lie]
    tell(fleet)
    until(lambda: kind in check(), 5, lambda: "%s is found: %s" % (kind, check()))


def test_two_ends_are_found(witness):
    _, check = witness
    assert check([("a", "succeeded", 1), ("a", "succeeded", 1)]) == {"twice"}
    assert check([("a", "running", 1), ("a", "running", 1)]) == {"twice"}
