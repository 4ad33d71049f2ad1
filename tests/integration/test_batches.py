"""Transitions that go to Redis in one call, where some words are the same for all and others are each one's own."""
import json
import signal

import pytest

from fleet import until

JOBS = 240
VALUES = {
    "labels": lambda i: {"n": str(i)},
    "keep_s": lambda i: 1000 + i,
    "retries": lambda i: i % 7,
    "run": lambda i: "r%d" % (i % 3),
    "args": lambda i: "it is %d" % i,
}


def job(i, own):
    """All alike but for id and what is each one's own: every fourth has not even that."""
    return {"task": "noop", "id": "j%d" % i, **({name: VALUES[name](i) for name in own} if i % 4 else {})}


@pytest.mark.parametrize("own", [[], *([name] for name in VALUES), list(VALUES)], ids=lambda own: "-".join(own) or "nothing")
def test_each_job_has_its_own(fleet, own):
    """They are there before the worker looks, so many leave in one turn of it."""
    replies = fleet.reply_queue()
    worker = fleet.worker("--slots", 4)
    worker.process.send_signal(signal.SIGSTOP)
    fleet.publish_many([(job(i, own), {"reply_to": replies, "correlation_id": "c%d" % i} if i % 5 == 0 else {}) for i in range(JOBS)])
    calls = fleet.redis.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
    worker.process.send_signal(signal.SIGCONT)
    fleet.wait_all(["j%d" % i for i in range(JOBS)])
    fleet.settled()
    calls = fleet.redis.info("commandstats")["cmdstat_evalsha"]["calls"] - calls
    assert calls < JOBS, "hardly a call had several transitions"
    runs = {}
    for i in range(JOBS):
        given, record = job(i, own), fleet.job("j%d" % i)
        assert record["state"] == "succeeded" and record["attempt"] == "1", (i, record)
        for name in ("keep_s", "retries", "run"):
            assert record.get(name.removesuffix("_s")) == (str(given[name]) if name in given else None), (i, name, record)
        assert json.loads(record.get("labels", "null")) == given.get("labels"), (i, record)
        assert fleet.result("j%d" % i) == given.get("args"), i
        if "run" in given:
            runs.setdefault(given["run"], set()).add("j%d" % i)
    for run, members in runs.items():
        assert fleet.redis.smembers(fleet.key("run", run, "jobs")) == members
        assert fleet.redis.hget(fleet.key("run", run), "succeeded") == str(len(members))
    told = {fleet.get(replies)[1].correlation_id for _ in range(0, JOBS, 5)}
    assert told == {"c%d" % i for i in range(0, JOBS, 5)}


def test_dependents_of_one_job_have_their_own(fleet):
    """`resolve` names one predecessor to all of them; one asks for another end."""
    ids = ["d%d" % i for i in range(60)]
    fleet.worker("--slots", 4)
    fleet.publish_many([({"task": "noop", "id": id, "after": ["first"], "args": id}, {}) for id in ids])
    fleet.publish({"task": "noop", "id": "odd", "after": [{"id": "first", "when": "failed"}]})
    until(lambda: fleet.redis.hlen(fleet.key("job", "first", "dependents")) == len(ids) + 1, what="all wait for it")
    fleet.publish({"task": "noop", "id": "first"})
    fleet.wait_all([*ids, "odd"])
    assert [fleet.result(id) for id in ids] == ids
    assert fleet.job("odd")["state"] == "skipped"
    assert "asked for was failed" in fleet.job("odd")["error"]
    fleet.settled()
