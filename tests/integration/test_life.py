"""The life of a job, asserted from Redis: states, edges, retries, delays, deadlines, dedup, cancel, retry, replies."""
import json
import time

import msgpack
import pytest

from fleet import until


def test_children_before_parents_and_their_results(fleet):
    fleet.worker("--allow-exec")
    fleet.publish({"task": "exec", "id": "c", "after": ["a", "b"], "argv": ["sh", "-c", "cp job.json result"]})
    fleet.publish({"task": "noop", "id": "b", "args": [1, {"x": None}], "after": ["a"]}, encoding="msgpack")
    fleet.wait("b", "waiting")
    fleet.publish({"task": "noop", "id": "a", "args": {"n": 1}})
    fleet.wait("c", "succeeded")
    seen = fleet.result("c")
    assert seen["results"] == {"a": {"n": 1}, "b": [1, {"x": None}]}
    assert seen["attempt"] == 1 and seen["job"]["task"] == "exec"
    assert int(fleet.job("c")["started_at"]) >= int(fleet.job("b")["ended_at"]) >= int(fleet.job("a")["ended_at"])
    fleet.settled()


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@pytest.mark.parametrize("default_exchange", [False, True])
def test_reply(fleet, encoding, default_exchange):
    fleet.worker()
    queue = fleet.reply_queue()
    fleet.publish({"task": "noop", "id": "r", "args": {"k": [1, "é"]}}, encoding=encoding, default_exchange=default_exchange,
                  reply_to=queue, correlation_id="c-1")
    _, properties, body = fleet.get(queue)
    answer = json.loads(body) if encoding == "json" else msgpack.unpackb(body)
    assert properties.correlation_id == "c-1" and properties.content_type == "application/" + encoding
    assert answer["id"] == "r" and answer["state"] == "succeeded" and answer["result"] == {"k": [1, "é"]}
    assert answer["error"] is None and answer["reason"] is None and answer["attempt"] == 1
    assert answer["ended_at"] >= answer["started_at"] > 0
    # a known id is answered all the same, in the encoding of the question
    fleet.publish({"task": "noop", "id": "r"}, encoding="json", reply_to=queue, correlation_id="c-2")
    _, properties, body = fleet.get(queue)
    assert properties.correlation_id == "c-2" and json.loads(body)["result"] == {"k": [1, "é"]}
    fleet.settled()
    assert fleet.redis.pttl(fleet.key("job", "r")) > 0


def test_reply_queue_that_is_gone_harms_nobody(fleet):
    fleet.worker()
    fleet.publish({"task": "noop", "id": "r"}, reply_to="nobody-listens-here", correlation_id="x")
    fleet.wait("r", "succeeded")
    fleet.settled()


def test_fifty_publishes_of_one_id_run_once(fleet):
    fleet.worker("--allow-exec", "--slots", 4)
    log = fleet.dir + "/runs"
    for i in range(50):
        fleet.publish({"task": "exec", "id": "one", "argv": ["sh", "-c", "echo run >> %s" % log]},
                      priority=["high", "normal", "low"][i % 3])
    fleet.wait("one", "succeeded")
    until(lambda: all(fleet.queue_length("%s.default.%s" % (fleet.prefix, p)) == 0 for p in ("high", "normal", "low")))
    fleet.settled()
    assert open(log).read() == "run\n"
    assert fleet.job("one")["attempt"] == "1"


def test_retries_with_backoff_then_failed_and_skipped_down(fleet):
    fleet.worker()
    fleet.publish({"task": "fail", "id": "f", "args": {"message": "boo"}, "retries": 2, "backoff_ms": 50})
    for id, edge in (("child", "f"), ("alarm", {"id": "f", "when": "failed"}), ("always", {"id": "f", "when": "ended"}),
                     ("grandchild", "child")):
        fleet.publish({"task": "noop", "id": id, "after": [edge]})
    fleet.wait_all(["f", "child", "alarm", "always", "grandchild"])
    job = fleet.job("f")
    assert (job["state"], job["attempt"], job["failures"], job["reason"], job["error"]) == ("failed", "3", "3", "error", "boo")
    assert fleet.state("child") == "skipped" and fleet.state("grandchild") == "skipped"
    assert fleet.state("alarm") == "succeeded" and fleet.state("always") == "succeeded"
    assert fleet.job("child")["reason"] == "predecessor" and "f" in fleet.job("child")["error"]
    fleet.settled()


def test_delay_run_at_and_expiry(fleet):
    fleet.worker()
    now = int(time.time() * 1000)
    fleet.publish({"task": "noop", "id": "d", "delay_ms": 700})
    fleet.publish({"task": "noop", "id": "at", "run_at": now + 700})
    fleet.publish({"task": "noop", "id": "x", "delay_ms": 60000, "expires_at": now + 500})
    fleet.publish({"task": "noop", "id": "w", "after": ["nobody"], "expires_at": now + 500})
    fleet.publish({"task": "noop", "id": "after-x", "after": [{"id": "x", "when": "ended"}]})
    assert fleet.wait("d", "scheduled")["due_at"]
    fleet.wait_all(["d", "at", "x", "w", "after-x"])
    for id in ("d", "at"):
        job = fleet.job(id)
        assert job["state"] == "succeeded" and int(job["started_at"]) - int(job["created_at"]) >= (690 if id == "d" else 0)
    assert fleet.job("x")["reason"] == "expired" and fleet.state("x") == fleet.state("w") == "expired"
    assert fleet.state("after-x") == "succeeded"
    fleet.settled()


def test_dedup_joins_and_frees_its_key(fleet):
    fleet.worker("--slots", 4)
    fleet.publish({"task": "sleep", "id": "first", "args": {"ms": 800}, "dedup": "k 1"})
    fleet.wait("first", "running")
    for i in range(5):
        fleet.publish({"task": "sleep", "id": "j%d" % i, "args": {"ms": 800}, "dedup": "k 1"})
    until(lambda: fleet.job("j0").get("duplicate_of") == "first")
    assert fleet.state("j0") == "waiting"
    fleet.wait_all(["first"] + ["j%d" % i for i in range(5)])
    for i in range(5):
        job = fleet.job("j%d" % i)
        assert job["state"] == "succeeded" and job["attempt"] == "0" and job["duplicate_of"] == "first"
    # without reuse the work is done again, with it the result is taken over
    fleet.publish({"task": "noop", "id": "again", "args": 7, "dedup": "k 1"})
    fleet.wait("again", "succeeded")
    assert "duplicate_of" not in fleet.job("again")
    fleet.publish({"task": "noop", "id": "reused", "args": 8, "dedup": "k 1", "reuse": True})
    fleet.wait("reused", "succeeded")
    assert fleet.job("reused")["duplicate_of"] == "again" and fleet.result("reused") == 7
    fleet.settled()


def test_dedup_of_a_failed_job_is_free_again(fleet):
    fleet.worker()
    fleet.publish({"task": "fail", "id": "f", "args": {"message": "no"}, "dedup": "k"})
    fleet.wait("f", "failed")
    fleet.settled()
    assert fleet.redis.get(fleet.key("dedup", "k")) is None
    fleet.publish({"task": "noop", "id": "g", "dedup": "k", "reuse": True})
    assert "duplicate_of" not in fleet.wait("g", "succeeded")


def test_cancel_waiting_queued_running(fleet):
    worker = fleet.worker("--slots", 1, "--allow-exec")
    fleet.publish({"task": "exec", "id": "run", "argv": ["sh", "-c", "sleep 30 & sleep 30"]})
    fleet.wait("run", "running")
    fleet.publish({"task": "noop", "id": "wait", "after": ["never"]})
    fleet.publish({"task": "sleep", "id": "queue", "args": {"ms": 1}})
    fleet.wait("wait", "waiting")
    fleet.wait("queue", "queued")
    fleet.command("cancel", "wait", "queue", "run", check=0)
    for id in ("wait", "queue", "run"):
        assert fleet.wait(id)["state"] == "cancelled", fleet.job(id)
        assert fleet.job(id)["reason"] == "cancelled"
    assert fleet.job("queue")["attempt"] == "0"
    fleet.settled()
    assert worker.process.poll() is None


def test_retry_revives_who_was_skipped(fleet):
    fleet.worker("--allow-exec", "--slots", 4)
    flag = fleet.dir + "/flag"
    fleet.publish({"task": "exec", "id": "p", "argv": ["test", "-e", flag]})
    fleet.publish({"task": "noop", "id": "q"})
    for id, after in (("a", ["p"]), ("b", ["p", "q"]), ("c", ["a", "b"]), ("d", ["c", {"id": "p", "when": "ended"}])):
        fleet.publish({"task": "noop", "id": id, "after": after})
    fleet.wait_all(list("pqabcd"))
    assert [fleet.state(i) for i in "pqabcd"] == ["failed", "succeeded"] + ["skipped"] * 4
    fleet.settled()
    open(flag, "w").close()
    fleet.command("retry", "p", check=0)
    until(lambda: fleet.state("d") == "succeeded", 20, lambda: str([fleet.job(i) for i in "pabcd"]))
    assert [fleet.state(i) for i in "pqabcd"] == ["succeeded"] * 6
    assert fleet.job("p")["attempt"] == "2" and fleet.job("q")["attempt"] == "1"
    assert fleet.job("a")["epoch"] == "1"
    fleet.settled()


def test_unknown_task_and_exec_not_allowed(fleet):
    fleet.worker()
    fleet.publish({"task": "nosuch", "id": "n"})
    fleet.publish({"task": "exec", "id": "e", "argv": ["true"]})
    fleet.wait("n", "queued")
    assert fleet.wait("n", "failed", 25)["reason"] == "unknown task"
    assert fleet.wait("e", "failed", 25)["reason"] == "not allowed"
    assert fleet.job("n")["attempt"] == "0"
    fleet.settled()


def test_a_task_goes_to_the_worker_that_knows_it(fleet):
    fleet.worker("--slots", 2)
    fleet.worker("--slots", 2, "--allow-exec")
    for i in range(20):
        fleet.publish({"task": "exec", "id": "e%d" % i, "argv": ["true"]})
    fleet.wait_all(["e%d" % i for i in range(20)])
    assert all(fleet.state("e%d" % i) == "succeeded" for i in range(20))
    fleet.settled()


def test_job_for_another_pool_and_a_pool_that_nobody_serves(fleet):
    fleet.worker()
    fleet.publish({"task": "noop", "id": "o", "pool": "other", "priority": "high"})
    fleet.wait("o", "queued")
    until(lambda: fleet.queue_length(fleet.prefix + ".other.high") == 1)
    fleet.worker("--pool", "other")
    fleet.wait("o", "succeeded")
    fleet.settled()


def test_unrouted_messages_are_found_by_the_pool_that_comes(fleet):
    fleet.worker()
    fleet.publish({"task": "noop", "id": "u"}, pool="gpu")
    until(lambda: fleet.queue_length(fleet.prefix + ".unrouted") == 1)
    fleet.worker("--pool", "gpu")
    fleet.wait("u", "succeeded")


def test_priorities_and_aging(fleet):
    fleet.worker("--slots", 1, "--aging", "1s", "--allow-exec")
    log = fleet.dir + "/order"
    fleet.publish({"task": "sleep", "id": "block", "args": {"ms": 1500}})
    fleet.wait("block", "running")
    job = lambda id: {"task": "exec", "id": id, "argv": ["sh", "-c", "echo %s >> %s; sleep 0.02" % (id, log)]}
    fleet.publish(job("low"), priority="low")
    ids = ["h%d" % i for i in range(30)]
    for id in ids:
        fleet.publish(job(id), priority="high")
    fleet.wait_all(ids + ["low"])
    order = open(log).read().split()
    assert order.index("low") <= 21, order
    assert order[0] == "h0"


def test_aging_counts_from_when_a_job_was_queued(fleet):
    """Jobs that have been queued long before a worker took them in do not begin to age there."""
    with open(fleet.dir + "/w.yaml", "w", encoding="utf-8") as file:
        file.write("""
            jobs:
              low: {task: sleep, args: {ms: 5}, priority: low, matrix: {n: [%s]}}
            """ % ", ".join(map(str, range(20))))
    fleet.command("run", "w.yaml", "--name", "old", "--detach", check=0)
    low = sorted(fleet.redis.smembers(fleet.key("run", "old", "jobs")))
    last = max(int(fleet.job(id)["queued_at"]) for id in low)
    until(lambda: fleet.redis.time()[0] * 1000 > last + 4000, what="they have aged")
    with open(fleet.dir + "/w.yaml", "w", encoding="utf-8") as file:
        file.write("""
            jobs:
              high: {task: sleep, args: {ms: 5}, priority: high, matrix: {n: [%s]}}
            """ % ", ".join(map(str, range(100))))
    fleet.command("run", "w.yaml", "--name", "new", "--detach", check=0)
    high = fleet.redis.smembers(fleet.key("run", "new", "jobs"))
    fleet.worker("--slots", 1, "--aging", "3s")
    fleet.wait_all([*low, *high])
    started = lambda id: int(fleet.job(id)["started_at"])  # noqa: E731
    end = max(map(started, high))
    before = [id for id in low if started(id) < end]
    assert len(before) >= 2, before  # of ten that may be; a broker that is slow to bring them costs some


def test_idle_worker_gets_what_a_busy_one_holds(fleet):
    busy = fleet.worker("--slots", 1)
    fleet.publish({"task": "sleep", "id": "long", "args": {"ms": 6000}})
    fleet.wait("long", "running")
    for i in range(3):
        fleet.publish({"task": "sleep", "id": "s%d" % i, "args": {"ms": 10}})
    until(lambda: int(fleet.redis.hget(fleet.key("worker", busy.name), "held") or 0) > 0)
    fleet.worker("--slots", 1)
    began = time.monotonic()
    fleet.wait_all(["s0", "s1", "s2"], 5)
    assert fleet.state("long") == "running", "they had to wait for the long one: %.1f s" % (time.monotonic() - began)


def test_run_counters(fleet):
    fleet.worker("--slots", 4)
    for i in range(20):
        fleet.publish({"task": "noop", "id": "run1/%d" % i, "run": "run1", "after": ["run1/%d" % (i - 1)] if i else None})
    fleet.publish({"task": "fail", "id": "run1/f", "run": "run1", "args": {"message": "m"}})
    fleet.wait_all(["run1/%d" % i for i in range(20)] + ["run1/f"])
    counts = fleet.redis.hgetall(fleet.key("run", "run1"))
    assert counts["jobs"] == "21" and counts["succeeded"] == "20" and counts["failed"] == "1"
    assert all(counts.get(s, "0") == "0" for s in ("waiting", "queued", "running", "scheduled"))
    assert fleet.redis.scard(fleet.key("run", "run1", "jobs")) == 21
    stats = fleet.redis.hgetall(fleet.key("stats"))
    assert stats == {"succeeded": "20", "failed": "1"}
    fleet.settled()


def test_keep_and_expiry_of_everything(fleet):
    fleet.worker()
    fleet.publish({"task": "noop", "id": "k", "args": 1, "keep_s": 1, "run": "r"})
    fleet.wait("k", "succeeded")
    until(lambda: not fleet.redis.exists(fleet.key("job", "k")), 5, "the job is gone")
    assert [k for k in fleet.redis.scan_iter(fleet.key("job", "*"))] == []
    until(lambda: not fleet.redis.exists(fleet.key("run", "r"), fleet.key("run", "r", "jobs")), 5)
    fleet.publish({"task": "noop", "id": "k", "args": 2})
    fleet.wait("k", "succeeded")
    assert fleet.result("k") == 2
