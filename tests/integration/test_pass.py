"""An end tells the one dependent in the same call: a step of a chain is that, and most ends of a fan."""
import json
import time

from fleet import until

FAR_MS = 3600 * 1000


def waits(fleet, *ids):
    until(lambda: all(fleet.state(id) == "waiting" and not fleet.redis.hexists(fleet.key("job", id, "waiting"), "~") for id in ids)
          and not fleet.redis.zcard(fleet.key("settling")), what="all wait")


def chain(fleet, length, name="c", **fields):
    """Jobs that are registered, each behind the one before; the first is for the test to publish."""
    ids = ["%s%d" % (name, i) for i in range(length)]
    fleet.publish_many([({"task": "noop", "id": ids[i], "after": [ids[i - 1]], **fields}, {}) for i in range(1, length)])
    waits(fleet, *ids[1:])
    return ids


def calls(fleet):
    return fleet.redis.info("commandstats")["cmdstat_evalsha"]["calls"]


def kept_until(fleet, id):
    """When what is kept of it goes: one moment for all of it."""
    keys = list(fleet.redis.scan_iter(fleet.key("job", id) + "*"))
    times = {fleet.redis.execute_command("PEXPIRETIME", key) for key in keys if key.split(":")[2] == id}
    assert len(times) == 1, (keys, times)
    return times.pop()


def test_a_step_is_one_call(fleet):
    fleet.worker("--slots", 1)
    ids = chain(fleet, 200, run="r")
    before = calls(fleet)
    fleet.publish({"task": "noop", "id": ids[0], "run": "r"})
    fleet.wait_all(ids)
    taken = calls(fleet) - before
    assert taken < 2 * len(ids), "%d calls for %d steps" % (taken, len(ids))
    fleet.settled()
    for id in ids:
        job = fleet.job(id)
        assert (job["state"], job["attempt"]) == ("succeeded", "1") and not {"pending", "due_at", "reason"} & set(job), job
        assert int(job["created_at"]) <= int(job["queued_at"]) <= int(job["started_at"]) <= int(job["ended_at"])
        assert not fleet.redis.exists(fleet.key("job", id, "waiting"))
        assert kept_until(fleet, id) >= int(job["ended_at"]) + 86400 * 1000
    counts = {k: v for k, v in fleet.redis.hgetall(fleet.key("run", "r")).items() if k in ("jobs", "succeeded", "waiting", "queued", "running")}
    assert {k: int(v) for k, v in counts.items() if v != "0"} == {"jobs": 200, "succeeded": 200}
    assert fleet.redis.hgetall(fleet.key("stats")) == {"succeeded": "200"}
    fleet.command("doctor", check=0)


def test_events_tell_of_each_state_once(fleet):
    fleet.worker("--slots", 1)
    ids = chain(fleet, 5)
    pubsub = fleet.redis.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(fleet.key("events"))
    pubsub.get_message(timeout=5)
    fleet.publish({"task": "noop", "id": ids[0]})
    told = []

    def all_told():
        message = pubsub.get_message(timeout=0.1)
        if message:
            told.append(tuple(message["data"].split(" ")[:3]))
        return (ids[-1], "succeeded", "1") in told
    until(all_told)
    for id in ids[1:]:
        assert [event[1:] for event in told if event[0] == id] == [("queued", "0"), ("running", "1"), ("succeeded", "1")]


def test_results_are_there_before_the_next_one_begins(fleet):
    fleet.worker("--slots", 2)
    ids = chain(fleet, 6, args={"x": [1, "two"]})
    fleet.publish({"task": "noop", "id": ids[0], "args": {"x": 0}})
    fleet.wait_all(ids)
    assert [json.loads(fleet.redis.get(fleet.key("job", id, "result"))) for id in ids] == [{"x": 0}] + [{"x": [1, "two"]}] * 5
    kept_until(fleet, ids[3])


# What follows the middle of a chain, so that the worker knows of it: fields, or how it is asked for, and what becomes of it.
OTHERS = {
    "unknown": ({"task": "nobody"}, "queued"),
    "later": ({"delay_ms": FAR_MS}, "scheduled"),
    "with-a-deadline": ({"expires_at": 4 * 10**12}, "succeeded"),
    "of-another-pool": ({"pool": "other"}, "queued"),
    "of-two": ({"after": ["of-two1", "nobody"]}, "waiting"),
    "not-asked-for": ({"after": [{"id": "not-asked-for1", "when": "failed"}]}, "skipped"),
    "however-it-ends": ({"after": [{"id": "however-it-ends1", "when": "ended"}]}, "succeeded"),
    "joined": ({"dedup": "key", "after": []}, "succeeded"),
    "another-attempt": ({"task": "fail", "args": {"message": "no"}, "retries": 1, "backoff_ms": 10}, "failed"),
}


def test_what_cannot_begin_here_goes_its_own_way(fleet):
    fleet.worker("--slots", 1)
    for name, (fields, end) in OTHERS.items():
        first, middle, last = (name + str(i) for i in range(3))
        joined = name == "joined"
        fleet.publish({"task": "noop", "id": middle, "after": [first], **({"dedup": "key"} if joined else {})})
        fleet.wait(middle, "waiting")
        fleet.publish({"task": "noop", "id": last, "after": [middle], **fields})
        waits(fleet, middle, last)
        fleet.publish({"task": "noop", "id": first})
        fleet.wait(middle, "succeeded")
        job = fleet.wait(last, end)
        assert job.get("duplicate_of") == (middle if joined else None)
        until(lambda: not fleet.redis.zcard(fleet.key("settling")), what="the end is told")
        if end != "waiting":
            kept_until(fleet, middle)
        if joined:
            assert fleet.redis.get(fleet.key("dedup", "key")) is None or fleet.redis.pttl(fleet.key("dedup", "key")) > 0
    assert "damage 0," in fleet.command("doctor", check=1).stdout  # nobody serves the other pool


def while_it_runs(fleet, *behind):
    """`long` runs for a second, where it became ready; the worker knows that the first of `behind` waits for it, the next one for that."""
    fleet.worker("--slots", 4)
    ids = chain(fleet, 2)
    fleet.publish({"task": "sleep", "id": "long", "args": {"ms": 1000}, "after": [ids[1]]})
    for before, id in zip(("long",) + behind, behind):
        fleet.publish({"task": "noop", "id": id, "after": [before]})
    waits(fleet, ids[1], "long", *behind)
    fleet.publish({"task": "noop", "id": ids[0]})
    fleet.wait("long", "running")


def test_one_that_came_meanwhile(fleet):
    """When it began one job waited for it; when it ends there are two."""
    while_it_runs(fleet, "first")
    fleet.publish({"task": "noop", "id": "second", "after": ["long"]})
    fleet.wait_all(["first", "second"])
    assert {fleet.job(id)["attempt"] for id in ("first", "second")} == {"1"}
    fleet.settled()
    kept_until(fleet, "long")


def test_one_that_is_cancelled_meanwhile(fleet):
    while_it_runs(fleet, "next", "behind")
    fleet.command("cancel", "next", check=0)
    fleet.wait("long", "succeeded")
    fleet.wait("behind", "skipped")
    assert fleet.job("next")["state"] == "cancelled" and fleet.job("next")["attempt"] == "0"
    fleet.settled()


def test_replies_are_owed_all_the_same(fleet):
    fleet.worker("--slots", 1)
    queue = fleet.reply_queue()
    fleet.publish_many([({"task": "noop", "id": "r%d" % i, "args": {"i": i}, "after": ["r%d" % (i - 1)]},
                         {"reply_to": queue, "correlation_id": "r%d" % i}) for i in range(1, 20)])
    waits(fleet, *["r%d" % i for i in range(1, 20)])
    fleet.publish({"task": "noop", "id": "r0"})
    fleet.wait("r19", "succeeded")
    got = [fleet.get(queue) for _ in range(19)]
    assert sorted(properties.correlation_id for _, properties, _ in got) == sorted("r%d" % i for i in range(1, 20))
    fleet.settled()
    for i in range(20):
        until(lambda i=i: fleet.redis.pttl(fleet.key("job", "r%d" % i)) > 0, what="r%d is kept for its time" % i)
        kept_until(fleet, "r%d" % i)


def test_processes_leave_what_they_left(fleet):
    """Directory, exit code, output and result of each, although its end tells the next one."""
    fleet.worker("--slots", 2, "--allow-exec")
    script = "echo out $FLOTILLA_ID; echo '\"'$FLOTILLA_ID'\"' > result; [ -e ../first-$FLOTILLA_ID ] || [ $FLOTILLA_ID != p2 ] || { touch ../first-p2; exit 3; }"
    fields = {"task": "exec", "argv": ["sh", "-c", script], "retries": 1, "backoff_ms": 10}
    fleet.publish_many([({**fields, "id": "p%d" % i, "after": ["p%d" % (i - 1)]}, {}) for i in range(1, 6)])
    waits(fleet, *["p%d" % i for i in range(1, 6)])
    fleet.publish({**fields, "id": "p0"})
    fleet.wait_all(["p%d" % i for i in range(6)])
    fleet.settled()
    for i in range(6):
        job = fleet.job("p%d" % i)
        assert (job["state"], job["exit_code"], job["attempt"]) == ("succeeded", "0", "2" if i == 2 else "1") and job["dir"], job
        assert fleet.redis.get(fleet.key("job", "p%d" % i, "result")) == '"p%d"' % i and "reason" not in job
        assert fleet.redis.get(fleet.key("job", "p%d" % i, "output")).endswith("out p%d\n" % i)
        kept_until(fleet, "p%d" % i)
    fleet.command("doctor", check=0)


def test_a_diamond_and_two_chains_side_by_side(fleet):
    fleet.worker("--slots", 4)
    one, other = chain(fleet, 40, "a"), chain(fleet, 40, "b")
    fleet.publish_many([({"task": "noop", "id": id, "after": [one[-1]]}, {}) for id in ("left", "right")]
                       + [({"task": "noop", "id": "join", "after": ["left", "right", other[-1]]}, {})])
    waits(fleet, "left", "right", "join")
    fleet.publish_many([({"task": "noop", "id": ids[0]}, {}) for ids in (one, other)])
    fleet.wait_all(one + other + ["left", "right", "join"])
    join = fleet.job("join")
    assert all(int(fleet.job(id)["ended_at"]) <= int(join["started_at"]) for id in ("left", "right", other[-1]))
    assert {fleet.job(id)["attempt"] for id in one + other + ["left", "right", "join"]} == {"1"}
    fleet.settled()


def test_a_fan_that_comes_together(fleet):
    fleet.worker("--slots", 4)
    middle = ["m%d" % i for i in range(600)]
    fleet.publish_many([({"task": "noop", "id": "last", "after": middle, "run": "r"}, {})]
                       + [({"task": "noop", "id": id, "after": ["first"], "run": "r"}, {}) for id in middle])
    until(lambda: fleet.redis.hlen(fleet.key("job", "first", "dependents")) == len(middle), 60, "all wait")
    waits(fleet, "last")
    fleet.publish({"task": "noop", "id": "first", "run": "r"})
    fleet.wait_all(["first", "last"] + middle)
    fleet.settled()
    last = fleet.job("last")
    assert last["attempt"] == "1" and "pending" not in last
    assert max(int(fleet.job(id)["ended_at"]) for id in middle) <= int(last["started_at"])
    for id in ["first", "last"] + middle[::50]:
        kept_until(fleet, id)
    assert fleet.redis.hgetall(fleet.key("stats")) == {"succeeded": "602"}
    fleet.command("doctor", check=0)


def test_a_worker_that_dies_on_the_way(fleet):
    """Its links are killed with it at any moment; the other one finishes, and nothing has run a second time but what was lost."""
    ids = chain_of_sleeps(fleet, 60)
    workers = [fleet.worker("--slots", 1, "--lease", "1s") for _ in range(2)]
    fleet.publish({"task": "sleep", "id": ids[0], "args": {"ms": 5}})
    for at in (10, 40):
        until(lambda at=at: fleet.state(ids[at]) in ("running", "succeeded"), 60)
        name = next((fleet.job(id)["worker"] for id in ids if fleet.state(id) == "running"), workers[0].name)
        victim = next(w for w in workers if w.name == name)
        victim.process.kill()
        victim.process.wait()
        workers.remove(victim)
        workers.append(fleet.worker("--slots", 1, "--lease", "1s"))
    fleet.wait_all(ids)
    for id in ids:
        job = fleet.job(id)
        assert int(job["attempt"]) == 1 + int(job.get("lost", 0)), job
    assert sum(int(fleet.job(id).get("lost", 0)) for id in ids) <= 2
    fleet.settled()


def chain_of_sleeps(fleet, length):
    ids = ["s%d" % i for i in range(length)]
    helper = fleet.worker("--slots", 1)
    fleet.publish_many([({"task": "sleep", "id": ids[i], "args": {"ms": 5}, "after": [ids[i - 1]]}, {}) for i in range(1, length)])
    waits(fleet, *ids[1:])
    helper.stop()
    return ids


def test_connections_that_break_all_the_time(fleet):
    """An answer that is lost is asked for again, with the same tokens."""
    fleet.worker("--slots", 1)
    ids = chain(fleet, 400)
    fleet.publish({"task": "noop", "id": ids[0]})
    while fleet.state(ids[-1]) != "succeeded":
        fleet.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        time.sleep(0.03)  # between two blows, not for something to happen
    fleet.wait_all(ids)
    assert {fleet.job(id)["attempt"] for id in ids} == {"1"}
    assert fleet.redis.hgetall(fleet.key("stats")) == {"succeeded": "400"}
    fleet.settled()
