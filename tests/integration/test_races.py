"""Interleavings that go wrong only now and then, forced: each of these was a job that hung, a message that was lost, or a
worker that did not stop."""
import json
import os
import signal
import time

import msgpack
import pytest

from fleet import ROOT, until


def cancelled_after_joining(fleet, job):
    """j has joined h and been cancelled; then h has failed, and nobody has the key."""
    fleet.worker("--slots", 2, "--allow-exec")
    fleet.publish({"task": "exec", "id": "h", "argv": ["sh", "-c", "while [ ! -e gate ]; do sleep 0.05; done; exit 1"], "dedup": "k"})
    directory = until(lambda: fleet.job("h").get("dir"), what="h runs")
    fleet.publish({"task": "noop", "id": "j", "dedup": "k", **job})
    until(lambda: fleet.job("j").get("duplicate_of") == "h", what="j joins h")
    fleet.command("cancel", "j", check=0)
    fleet.wait("j", "cancelled")
    open(os.path.join(fleet.dir, directory, "gate"), "w").close()
    fleet.wait("h", "failed")
    fleet.settled()


def test_retry_of_a_joined_job_whose_holder_has_ended(fleet):
    cancelled_after_joining(fleet, {"args": 7})
    fleet.command("retry", "j", check=0)
    fleet.wait("j", "succeeded", 5)
    assert fleet.result("j") == 7
    fleet.settled()


def test_retry_of_a_joined_job_asks_its_own_predecessors_again(fleet):
    cancelled_after_joining(fleet, {"after": ["p"]})
    fleet.command("retry", "j", check=0)
    until(lambda: fleet.redis.hgetall(fleet.key("job", "j", "waiting")) == {"p": "succeeded"}, 5, "j waits for p")
    assert fleet.state("j") == "waiting" and not fleet.job("j").get("duplicate_of")
    fleet.publish({"task": "noop", "id": "p"})
    fleet.wait("j", "succeeded")


def test_retry_of_a_joined_job_joins_again(fleet):
    """The holder fails, and both are tried again: one runs."""
    fleet.worker("--slots", 3, "--allow-exec")
    gate, runs = fleet.dir + "/gate", fleet.dir + "/runs"
    script = "echo $FLOTILLA_ID >> %s; while [ ! -e %s ]; do sleep 0.05; done; exit 1" % (runs, gate)
    fleet.publish({"task": "exec", "id": "h", "argv": ["sh", "-c", script], "dedup": "k"})
    fleet.wait("h", "running")
    fleet.publish({"task": "exec", "id": "j", "argv": ["sh", "-c", script], "dedup": "k"})
    until(lambda: fleet.job("j").get("duplicate_of") == "h", what="j joins h")
    open(gate, "w").close()
    fleet.wait_all(["h", "j"])
    fleet.settled()
    os.unlink(gate)
    fleet.command("retry", "h", check=0)
    fleet.wait("h", "running")
    fleet.command("retry", "j", check=0)
    until(lambda: not fleet.redis.zscore(fleet.key("settling"), "j"), 5, "j is registered")
    assert fleet.state("j") == "waiting" and fleet.job("j")["duplicate_of"] == "h"
    open(gate, "w").close()
    fleet.wait_all(["h", "j"])
    assert open(runs).read().split() == ["h", "h"]


def test_who_joined_a_skipped_job_lives_again_with_it(fleet):
    fleet.worker("--slots", 2, "--allow-exec")
    fleet.publish({"task": "exec", "id": "h", "argv": ["sh", "-c", "echo $FLOTILLA_ID >> %s/runs" % fleet.dir], "after": ["p"], "dedup": "k"})
    until(lambda: fleet.redis.get(fleet.key("dedup", "k")) == "h", what="h has the key")
    fleet.publish({"task": "exec", "id": "j", "argv": ["false"], "after": ["x"], "dedup": "k"})
    until(lambda: fleet.job("j").get("duplicate_of") == "h", what="j joins h")
    fleet.publish({"task": "noop", "id": "c", "after": ["j"]})
    fleet.publish({"task": "fail", "id": "p", "args": {"message": "m"}})
    fleet.wait_all(["p", "h", "j", "c"])
    assert [fleet.state(id) for id in ("h", "j", "c")] == ["skipped"] * 3
    fleet.settled()
    assert "flotilla retry p" in fleet.command("retry", "j", check=2).stderr
    assert "flotilla retry p" in fleet.command("why", "c", check=0).stdout
    fleet.redis.set(fleet.key("job", "p", "spec"), msgpack.packb({"v": 1, "id": "p", "task": "noop"}))
    fleet.redis.hset(fleet.key("job", "p"), "task", "noop")
    fleet.command("retry", "p", check=0)
    fleet.wait_all(["p", "h", "j", "c"])
    assert [fleet.state(id) for id in ("p", "h", "j", "c")] == ["succeeded"] * 4
    assert fleet.job("j")["duplicate_of"] == "h" and open(fleet.dir + "/runs").read().split() == ["h"]
    fleet.settled()


def full_queue(fleet):
    queue = "full-" + fleet.prefix
    fleet.channel.queue_declare(queue, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    fleet.channel.basic_publish("", queue, b"full")
    return queue


def test_a_full_reply_queue_does_not_keep_a_worker_from_stopping(fleet):
    worker = fleet.worker()
    queue = full_queue(fleet)
    try:
        fleet.publish({"task": "noop", "id": "a"}, reply_to=queue, correlation_id="c")
        fleet.wait("a", "succeeded")
        assert worker.stop(seconds=15) == 0
    finally:
        fleet.channel.queue_delete(queue)


def test_a_full_reply_queue_gets_one_reply_in_the_end(fleet):
    fleet.worker()
    queue = full_queue(fleet)
    try:
        fleet.publish({"task": "noop", "id": "a"}, reply_to=queue, correlation_id="c")
        fleet.wait("a", "succeeded")
        first = fleet.redis.zscore(fleet.key("replies"), "a")
        # the caretaker has had it in hand twice
        until(lambda: fleet.redis.zscore(fleet.key("replies"), "a") >= first + 20000, 40, "tried again")
        fleet.channel.queue_purge(queue)
        fleet.channel.queue_delete(queue)
        fleet.channel.queue_declare(queue)
        fleet.settled(30)
        assert fleet.queue_length(queue) == 1
    finally:
        fleet.channel.queue_delete(queue)


def test_no_reply_is_sent_of_a_job_that_lives_again(fleet):
    """A reply that is still owed when its job is tried again waits for the new end."""
    queue = fleet.reply_queue()
    worker = fleet.worker()
    fleet.publish({"task": "fail", "id": "a", "args": {"message": "m"}})
    fleet.wait("a", "failed")
    fleet.settled()
    assert worker.stop() == 0
    fleet.command("retry", "a", check=0)
    # what is left by a worker that died between the end and its reply
    fleet.redis.hset(fleet.key("job", "a", "replies"), "1:c %s" % queue, "json")
    fleet.redis.zadd(fleet.key("replies"), {"a": 1})
    fleet.redis.hset(fleet.key("job", "a"), "pool", "other")  # nobody runs it for now
    fleet.worker()
    until(lambda: not fleet.redis.zcard(fleet.key("replies")), 10, "the caretaker has seen it")
    assert fleet.queue_length(queue) == 0
    fleet.worker("--pool", "other")
    _, _, body = fleet.get(queue, 30)
    assert json.loads(body)["state"] == "failed"


def test_stopping_while_redis_does_not_answer(fleet):
    worker = fleet.worker()
    until(lambda: "takes the caretaker's role" in worker.log())
    fleet.redis.client_pause(9000, all=True)
    began = time.monotonic()
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(8) == 0
    assert time.monotonic() - began < 8


def test_a_held_job_that_redis_has_lost_is_registered_again(fleet):
    """Redis came back without its last second: the message is still unacknowledged, and is all there is."""
    fleet.worker("--slots", 1)
    fleet.publish({"task": "sleep", "id": "long", "args": {"ms": 1500}})
    fleet.wait("long", "running")
    fleet.publish({"task": "sleep", "id": "held", "args": {"ms": 1}})
    fleet.wait("held", "queued")
    fleet.redis.delete(fleet.key("job", "held"), fleet.key("job", "held", "spec"))
    fleet.wait("held", "succeeded", 10)
    fleet.settled()


def test_a_running_job_that_redis_has_lost_runs_again(fleet):
    fleet.worker("--slots", 1)
    fleet.publish({"task": "sleep", "id": "a", "args": {"ms": 700}})
    fleet.wait("a", "running")
    fleet.redis.delete(fleet.key("job", "a"), fleet.key("job", "a", "spec"))
    fleet.redis.zrem(fleet.key("leases"), "a")
    fleet.wait("a", "succeeded", 10)
    fleet.settled()


def test_a_job_that_redis_will_not_take_is_parked(fleet):
    fleet.worker()
    fleet.redis.set(fleet.key("job", "odd"), "a stranger's key")
    fleet.publish({"task": "noop", "id": "odd"})
    _, properties, _ = fleet.get(fleet.prefix + ".rejected")
    assert "WRONGTYPE" in properties.headers["x-flotilla-reason"]
    fleet.redis.delete(fleet.key("job", "odd"))


def test_bad_messages_without_the_queue_for_them_do_not_stop_the_intake(fleet):
    fleet.worker("--slots", 1)
    fleet.channel.queue_delete(fleet.prefix + ".rejected")
    for i in range(10):
        fleet.publish(None, body=b"{no job")
    fleet.publish({"task": "noop", "id": "good"})
    fleet.wait("good", "succeeded", 20)
    until(lambda: fleet.queue_length(fleet.prefix + ".rejected") == 10, 40, "all of them are kept")


def test_an_end_that_cannot_be_told_stays_listed(fleet):
    """A script that fails on a dependent does not strike the end off: it is told once the hindrance is gone."""
    fleet.worker()
    fleet.publish({"task": "noop", "id": "c", "after": ["p"]})
    fleet.wait("c", "waiting")
    until(lambda: not fleet.redis.zcard(fleet.key("settling")))
    fleet.redis.rename(fleet.key("job", "c", "waiting"), fleet.key("away"))
    fleet.redis.set(fleet.key("job", "c", "waiting"), "a stranger's")
    fleet.publish({"task": "noop", "id": "p"})
    fleet.wait("p", "succeeded")
    until(lambda: "WRONGTYPE" in fleet.logs(), 10, "the failure is said")
    fleet.redis.rename(fleet.key("away"), fleet.key("job", "c", "waiting"))
    fleet.wait("c", "succeeded", 20)
    fleet.settled()


def test_a_predecessor_that_cannot_be_asked_keeps_the_registration_open(fleet):
    fleet.worker()
    fleet.redis.set(fleet.key("job", "p"), "a stranger's")
    fleet.publish({"task": "noop", "id": "c", "after": ["p"]})
    until(lambda: "WRONGTYPE" in fleet.logs(), 10, "the failure is said")
    fleet.redis.delete(fleet.key("job", "p"))
    until(lambda: fleet.redis.hgetall(fleet.key("job", "p", "dependents")) == {"c": "succeeded"}, 20, "p is watched")
    fleet.publish({"task": "noop", "id": "p"})
    fleet.wait("c", "succeeded", 20)
    fleet.settled()


def test_a_full_redis_leaves_the_slots_to_jobs_that_it_knows(fleet):
    """A new job cannot be registered, and must not hold the slot that a known one needs."""
    worker = fleet.worker("--slots", 1)
    fleet.publish({"task": "sleep", "id": "known", "args": {"ms": 1}, "delay_ms": 2000}, priority="high")
    fleet.wait("known", "scheduled")
    limit = fleet.redis.config_get("maxmemory")["maxmemory"]
    fleet.redis.config_set("maxmemory", 1)
    try:
        for i in range(3):
            fleet.publish({"task": "sleep", "id": "new%d" % i, "args": {"ms": 1}})
        until(lambda: fleet.queue_length(fleet.prefix + ".default.normal") <= 1, what="a new one is here")
        assert fleet.wait("known", seconds=10)["state"] == "succeeded", worker.log()
        assert fleet.state("new0") is None
    finally:
        fleet.redis.config_set("maxmemory", limit)
    fleet.wait_all(["new0", "new1", "new2"])
    fleet.settled()


def lua(name):
    with open(os.path.join(ROOT, "shared", "store", "lua", name), encoding="utf-8") as file:
        return file.read()


def script(fleet, name, keys, args):
    """One transition, as a call of one does it (scripts/embed-lua)."""
    head, include, body = lua(name + ".lua").rpartition("--#include common.inc.lua\n")
    text = body
    if include:
        text = head + lua("common.inc.lua") + "local function transition()\n" + body + "end\nlocal answer = transition()\nwrite_gathered()\nreturn answer"
    return fleet.redis.eval(text, len(keys), *keys, *args)


def test_who_tells_an_old_end_gets_no_dependents_of_the_next_one(fleet):
    """Two tell one end; one is done, the job is tried again, and a new job waits for it: the other must not skip that one."""
    job, dependents = fleet.key("job", "p"), fleet.key("job", "p", "dependents")
    fleet.redis.hset(job, mapping={"state": "failed", "ended_at": 1})
    fleet.redis.hset(dependents, mapping={"a": "succeeded"})
    ask = ("p", "", "events", "0", "0", "100")
    assert script(fleet, "children", [job, dependents, fleet.key("settling")], ask) == ["0", ["a", "succeeded"]]
    fleet.redis.hset(job, mapping={"epoch": 1})
    assert script(fleet, "children", [job, dependents, fleet.key("settling")], ask) == ["stale"]
    fleet.redis.hdel(job, "ended_at", "epoch")
    assert script(fleet, "children", [job, dependents, fleet.key("settling")], ask) == ["stale"]


def test_a_late_confirm_says_nothing_of_the_next_invitation(fleet):
    job, outbox = fleet.key("job", "a"), fleet.key("outbox")
    fleet.redis.hset(job, mapping={"state": "queued", "queued_at": 7})
    fleet.redis.zadd(outbox, {"a": 7})
    assert script(fleet, "invited", [job, outbox], ("a", "", "events", "6")) == ["none"]
    assert fleet.redis.zscore(outbox, "a") == 7
    assert script(fleet, "invited", [job, outbox], ("a", "", "events", "7")) == ["ok"]
    assert fleet.redis.zscore(outbox, "a") > 7


def test_an_overdue_invitation_is_struck_off_only_where_none_is_owed(fleet):
    outbox = fleet.key("outbox")
    for state, owed in (("running", False), ("queued", True)):
        fleet.redis.hset(fleet.key("job", "a"), mapping={"state": state, "pool": "p", "priority": "normal", "task": "t", "queued_at": 3})
        fleet.redis.zadd(outbox, {"a": 5})
        answer = script(fleet, "owe", [fleet.key("job", "a"), outbox], ("a", "", "events"))
        assert answer == (["queued", "p", "normal", "t", "3"] if owed else ["none", "running"])
        assert fleet.redis.zscore(outbox, "a") == (5 if owed else None)


def test_workers_that_lost_their_consumers_without_a_word_all_come_back(fleet):
    """A queue that is deleted and declared again at once: the first worker to look makes the count of consumers look right."""
    workers = [fleet.worker("--slots", 1), fleet.worker("--slots", 1)]
    queue = fleet.prefix + ".default.normal"
    consumers = lambda: fleet.channel.queue_declare(queue, passive=True).method.consumer_count  # noqa: E731
    until(lambda: consumers() == 2)
    for i in range(8):
        time.sleep(0.1 * (i % 2))  # so that consumers come back to some of them
        fleet.delete_and_declare_again()
    until(lambda: consumers() > 0)
    for i in range(12):
        fleet.publish({"task": "sleep", "id": "s%d" % i, "args": {"ms": 2000}})
    until(lambda: {fleet.job("s%d" % i).get("worker") for i in range(12)} >= {w.name for w in workers}, 30, "both run jobs")


@pytest.mark.parametrize("another", [False, True], ids=["alone", "another-begins"])
def test_what_the_broker_gives_to_consumers_of_a_deleted_queue_comes_again(fleet, another):
    """RabbitMQ 3.10 counts them as consumers of the queue that was declared at once, and what it gives them never comes: so few messages
    that none lies ready. A worker that begins meanwhile is well, and marks the queue."""
    for _ in range(2):
        fleet.worker("--slots", 3)
    before, after = (["%s%d" % (name, i) for i in range(8)] for name in ("before", "after"))
    for id in before:
        fleet.publish({"task": "noop", "id": id})
    fleet.wait_all(before)
    fleet.delete_and_declare_again()
    for id in after:
        fleet.publish({"task": "noop", "id": id})
    if another:
        fleet.worker("--slots", 3)
    fleet.wait_all(after, 60)
    fleet.settled()


def taken(fleet, id, epoch=0, token="t", stale="", seen=""):
    return script(fleet, "dedup", [fleet.key("dedup", "k"), fleet.key("tenure", "k")],
                  ("k", "", "events", "take", id, epoch, token, stale, seen))


def released(fleet, id, epoch, stays=""):
    script(fleet, "dedup", [fleet.key("dedup", "k"), fleet.key("tenure", "k")], ("k", "", "events", "release", id, epoch, stays))
    return fleet.redis.get(fleet.key("dedup", "k")) is None


@pytest.mark.parametrize("epoch", [1, 0])
def test_a_key_is_not_taken_from_a_holder_that_lives_again(fleet, epoch):
    """j finds that h has ended; before j takes the key, h is tried again (epoch 1), or kept no more and submitted anew (0)."""
    assert taken(fleet, "h", 0, "a") == ["h"]
    holder, seen = taken(fleet, "j")
    assert holder == "h"
    assert released(fleet, "h", 0)
    assert taken(fleet, "h", epoch, "b") == ["h"]
    holder, now = taken(fleet, "j", stale="h", seen=seen)
    assert holder == "h" and now != seen and fleet.redis.get(fleet.key("dedup", "k")) == "h"
    assert taken(fleet, "j", stale="h", seen=now) == ["j"], "where that one has ended too, the key is free"


def test_who_tells_an_old_end_does_not_release_the_key_of_the_next_epoch(fleet):
    """Two tell one end; one is done and the job is tried again: the other must not let a second job run beside it."""
    assert taken(fleet, "h", 0) == ["h"]
    assert taken(fleet, "h", 1) == ["h"]
    assert taken(fleet, "h", 0) == ["h"], "a registration that came late changes nothing"
    assert not released(fleet, "h", 0)
    assert not released(fleet, "other", 1)
    assert taken(fleet, "j")[0] == "h"
    assert released(fleet, "h", 1) and not fleet.redis.exists(fleet.key("tenure", "k"))


def test_key_and_tenure_go_together(fleet):
    assert taken(fleet, "h") == ["h"]
    released(fleet, "h", 0, "60000")
    for name in ("dedup", "tenure"):
        assert 0 < fleet.redis.pttl(fleet.key(name, "k")) <= 60000
    assert taken(fleet, "h", 0) == ["h"]
    for name in ("dedup", "tenure"):
        assert fleet.redis.pttl(fleet.key(name, "k")) == -1
