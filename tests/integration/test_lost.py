"""Ways in which a message could fall between two chairs, each found once: it has to lie where somebody looks."""
import json
import signal

import pika
import pytest

from fleet import until


def test_unrouted_with_a_priority_that_nobody_has_stays(fleet):
    fleet.worker()
    fleet.publish({"task": "noop", "id": "u"}, priority="urgent")
    fleet.publish({"task": "noop", "id": "v"}, pool="gpu", priority="low")
    until(lambda: fleet.queue_length(fleet.prefix + ".unrouted") == 2)
    fleet.worker()
    fleet.worker("--pool", "gpu")
    fleet.wait("v", "succeeded")
    until(lambda: fleet.queue_length(fleet.prefix + ".unrouted") == 1)
    assert fleet.state("u") is None


def test_thousands_of_predecessors_in_one_message(fleet):
    fleet.worker()
    many = ["p%d" % i for i in range(20000)]
    fleet.publish({"task": "noop", "id": "last", "after": many})
    assert fleet.wait("last", "waiting", 30)
    until(lambda: fleet.job("last").get("pending") == "20000", 30)
    fleet.command("publish", "-", stdin="".join('{"task": "noop", "id": "%s"}\n' % id for id in many[:-1]), check=0)
    until(lambda: fleet.job("last").get("pending") == "1", 60, lambda: str(fleet.job("last")))
    fleet.publish({"task": "noop", "id": many[-1]})
    fleet.wait("last", "succeeded")
    fleet.settled()


@pytest.mark.parametrize("priorities", ["high,normal,low", "normal,returned"])
def test_what_the_broker_gave_up_on(fleet, priorities):
    """A message that was delivered too often is dead-lettered to `returned`, comes back, and the third time is rejected."""
    fleet.worker("--priorities", priorities).stop()
    queue = fleet.prefix + ".default.normal"
    fleet.publish({"task": "noop", "id": "g", "args": 1}, message_id="mine")

    def refuse_until_returned():
        for _ in range(60):
            method, _, _ = fleet.channel.basic_get(queue)
            if not method:
                return
            fleet.channel.basic_nack(method.delivery_tag, requeue=True)
    refuse_until_returned()
    until(lambda: fleet.queue_length(fleet.prefix + ".returned") == 1)
    fleet.worker("--priorities", priorities)
    assert fleet.wait("g", "succeeded")["priority"] == "normal"
    until(lambda: fleet.queue_length(fleet.prefix + ".returned") == 0)


def test_the_third_return_is_rejected(fleet):
    worker = fleet.worker()
    worker.stop()
    queue = fleet.prefix + ".default.normal"
    fleet.channel.basic_publish("", queue, b'{"task": "noop", "id": "h"}',
                                pika.BasicProperties(delivery_mode=2, headers={"x-flotilla-returned": 2}))
    for _ in range(60):
        method, _, _ = fleet.channel.basic_get(queue)
        if method:
            fleet.channel.basic_nack(method.delivery_tag, requeue=True)
    until(lambda: fleet.queue_length(fleet.prefix + ".returned") == 1)
    fleet.worker()
    _, properties, body = fleet.get(fleet.prefix + ".rejected")
    assert body == b'{"task": "noop", "id": "h"}' and "x-flotilla-reason" in properties.headers
    assert fleet.state("h") is None


def test_returned_for_a_queue_that_is_gone_is_kept(fleet):
    fleet.worker("--pool", "gpu").stop()
    queue = fleet.prefix + ".gpu.normal"
    fleet.publish({"task": "noop", "id": "k"}, pool="gpu")
    for _ in range(60):
        method, _, _ = fleet.channel.basic_get(queue)
        if method:
            fleet.channel.basic_nack(method.delivery_tag, requeue=True)
    until(lambda: fleet.queue_length(fleet.prefix + ".returned") == 1)
    fleet.channel.queue_delete(queue)
    fleet.worker()
    until(lambda: fleet.queue_length(fleet.prefix + ".unrouted") == 1)
    fleet.worker("--pool", "gpu")
    fleet.wait("k", "succeeded")


def test_no_write_is_trusted_that_redis_may_forget(fleet):
    """Without appendfsync always a delivery is acknowledged two seconds after its outcome."""
    fleet.redis.config_set("appendfsync", "everysec")
    try:
        fleet.worker()
        fleet.publish({"task": "noop", "id": "s"})
        fleet.wait("s", "succeeded")
        assert fleet.queue_length(fleet.prefix + ".default.normal") == 0
        fleet.workers[0].process.kill()
        fleet.workers[0].process.wait()
        until(lambda: fleet.queue_length(fleet.prefix + ".default.normal") == 1)
    finally:
        fleet.redis.config_set("appendfsync", "always")


def test_a_purged_queue_loses_no_invitation(fleet):
    """What Redis knows is owed until it is claimed: when that is overdue, the caretaker sends it again."""
    fleet.worker().stop()
    fleet.command("submit", "noop", "--id", "a", check=0)
    until(lambda: fleet.queue_length(fleet.prefix + ".default.normal") == 1)
    fleet.channel.queue_purge(fleet.prefix + ".default.normal")
    assert fleet.redis.zscore(fleet.key("outbox"), "a")
    fleet.redis.zadd(fleet.key("outbox"), {"a": 1}, xx=True)  # five minutes later
    fleet.worker()
    fleet.wait("a", "succeeded")
    fleet.settled()


def test_a_backlog_is_not_doubled(fleet):
    """What is overdue is sent again only where its queue shows no message: here nobody serves the pool, and it lies there."""
    queue = fleet.prefix + ".other.normal"
    fleet.worker()  # the caretaker
    fleet.command("submit", "noop", "--id", "a", "--pool", "other", check=0)
    until(lambda: fleet.queue_length(queue) == 1)
    for _ in range(3):
        fleet.redis.zadd(fleet.key("outbox"), {"a": 1}, xx=True)  # five minutes later
        until(lambda: fleet.redis.zscore(fleet.key("outbox"), "a") > 1, 10, "the caretaker has looked at it")
    fleet.command("submit", "noop", "--id", "b", "--wait", check=0)  # what was sent before this has been confirmed
    assert fleet.queue_length(queue) == 1
    fleet.channel.queue_purge(queue)
    fleet.redis.zadd(fleet.key("outbox"), {"a": 1}, xx=True)
    until(lambda: fleet.queue_length(queue) == 1, 10, "it is sent again where the queue is empty")


def test_an_old_backlog_is_looked_at_less_often(fleet):
    """What has been queued for an hour need not be asked for every ten seconds."""
    fleet.worker()
    fleet.command("submit", "noop", "--id", "a", "--pool", "other", check=0)
    until(lambda: fleet.queue_length(fleet.prefix + ".other.normal") == 1)
    now = int(fleet.job("a")["queued_at"])
    fleet.redis.hset(fleet.key("job", "a"), "queued_at", now - 3600000)
    fleet.redis.zadd(fleet.key("outbox"), {"a": now - 3300000}, xx=True)
    until(lambda: fleet.redis.zscore(fleet.key("outbox"), "a") >= now + 240000, 10, "it is left alone for minutes")
    assert fleet.queue_length(fleet.prefix + ".other.normal") == 1


def test_an_invitation_that_was_never_sent_comes_behind_a_backlog(fleet):
    """Who was to send it has died, and its queue need never run empty. It is sent once more, not at each look."""
    queue = fleet.prefix + ".other.normal"
    fleet.worker()
    fleet.command("submit", "noop", "--id", "a", "--pool", "other", check=0)
    until(lambda: fleet.queue_length(queue) == 1)
    fleet.channel.queue_purge(queue)
    fleet.command("submit", "noop", "--id", "b", "--pool", "other", check=0)
    until(lambda: fleet.queue_length(queue) == 1)
    before = int(fleet.job("a")["queued_at"]) - 100000
    fleet.redis.hset(fleet.key("job", "a"), "queued_at", before)
    fleet.redis.zadd(fleet.key("outbox"), {"a": before}, xx=True)
    until(lambda: fleet.queue_length(queue) == 2, 10, "it is sent")
    until(lambda: fleet.redis.zscore(fleet.key("outbox"), "a") >= before + 300000, 10, "it is confirmed")


def test_what_is_handed_back_is_noted_as_sent(fleet):
    """What a full worker holds goes to an idle one, and its invitation, once confirmed, is not overdue for minutes."""
    full = fleet.worker("--slots", 1, "--allow-exec")
    gate = fleet.dir + "/gate"
    script = ["sh", "-c", "while [ ! -e %s ]; do sleep 0.05; done" % gate]
    fleet.publish({"task": "exec", "id": "runs", "argv": script})
    fleet.wait("runs", "running")
    fleet.publish({"task": "exec", "id": "held", "argv": script})
    fleet.wait("held", "queued")
    full.process.send_signal(signal.SIGTERM)
    until(lambda: (fleet.redis.zscore(fleet.key("outbox"), "held") or 0) >= int(fleet.job("held")["queued_at"]) + 300000, 10,
          "its invitation is confirmed")
    open(gate, "w").close()
    fleet.worker("--allow-exec")
    fleet.wait_all(["runs", "held"])
    fleet.settled()


def test_a_second_reply_is_recognised(fleet):
    """A worker that died between a reply and striking it off: the next one sends the same, with the same message_id."""
    queue = fleet.reply_queue()
    fleet.worker()
    fleet.publish({"task": "noop", "id": "a"}, reply_to=queue, correlation_id="c")
    _, first, body = fleet.get(queue)
    fleet.settled()
    fleet.redis.hset(fleet.key("job", "a", "replies"), "1:c %s" % queue, "json")
    fleet.redis.zadd(fleet.key("replies"), {"a": 1})
    _, second, again = fleet.get(queue, 30)
    assert first.message_id and second.message_id == first.message_id and body == again
    fleet.settled()


def test_answers_that_nobody_takes_hold_up_no_job(fleet):
    """Bad messages whose reply queue is full and refuses more: they lie in `rejected`, and those behind them run."""
    fleet.worker("--slots", 1)
    full = fleet.channel.queue_declare("", exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}).method.queue
    fleet.channel.basic_publish("", full, b"as many as it takes")
    for _ in range(30):
        fleet.publish(None, body=b"{", reply_to=full)
    fleet.publish({"task": "noop", "id": "behind"})
    fleet.wait("behind", "succeeded", 30)
    until(lambda: fleet.queue_length(fleet.prefix + ".rejected") == 30)
    fleet.workers[0].stop()
    assert fleet.queue_length(fleet.prefix + ".default.normal") == 0


def test_what_is_unrouted_is_found_behind_thousands_for_a_pool_that_is_not_there(fleet):
    fleet.worker().stop()
    for _ in range(1500):
        fleet.channel.basic_publish(fleet.prefix, "ghost.normal", b"{}", pika.BasicProperties(delivery_mode=2))
    fleet.publish({"task": "noop", "id": "v"}, pool="gpu")
    fleet.worker("--pool", "gpu")
    fleet.wait("v", "succeeded", 30)
    until(lambda: fleet.queue_length(fleet.prefix + ".unrouted") == 1500)


def test_what_a_worker_holds_outlives_its_queue(fleet):
    """Registered and held by a worker that is full, its message not acknowledged: the message goes with the queue, the job does not."""
    worker = fleet.worker("--slots", 1, "--allow-exec")
    gate = fleet.dir + "/gate"
    fleet.publish({"task": "exec", "id": "runs", "argv": ["sh", "-c", "while [ ! -e %s ]; do sleep 0.05; done" % gate]})
    fleet.wait("runs", "running")
    fleet.publish({"task": "sleep", "id": "held", "args": {"ms": 1}})
    fleet.wait("held", "queued")
    fleet.channel.queue_delete(fleet.prefix + ".default.normal")
    until(lambda: "deleted" in worker.log(), 20, "the worker has noticed")
    open(gate, "w").close()
    fleet.wait("held", "succeeded", 30)
    fleet.settled()


def test_what_redis_has_lost_is_not_acknowledged_when_it_is_handed_back(fleet):
    """Somebody removes the record of a job that runs, and its worker is told to leave. After a second its message would have
    been acknowledged on the strength of its claim: so where this machine is that slow, it is done again."""
    queue = fleet.prefix + ".default.normal"
    for i in range(8):
        worker = fleet.worker("--slots", 1, "--grace", "0s")
        fleet.publish({"task": "sleep", "id": "r%d" % i, "args": {"ms": 60000}})
        fleet.wait("r%d" % i, "running")
        fleet.redis.delete(fleet.key("job", "r%d" % i))
        assert worker.stop() == 0
        if fleet.queue_length(queue) == 1:
            return
    raise AssertionError("its message has been acknowledged each time")
