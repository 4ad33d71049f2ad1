"""Jobs with more predecessors, dependents and askers than one script looks at: what is done batch by batch may stop after any."""
import os

from fleet import until

WIDE = 1050  # more than two batches of predecessors
FIRST = 500  # what the first script writes (FLEET_ENTRIES)


def registered(fleet, id, pending=WIDE):
    job = fleet.key("job", id)
    until(lambda: fleet.redis.hlen(job + ":waiting") == pending and not fleet.redis.hexists(job + ":waiting", "~"), 60,
          lambda: "%s waits for %d: %s, %d" % (id, pending, fleet.job(id), fleet.redis.hlen(job + ":waiting")))
    assert fleet.job(id)["pending"] == str(pending) and "part" not in fleet.job(id)


def half_registered(fleet, id, at):
    """As if whoever registered it had died when `at` predecessors were written."""
    job = fleet.key("job", id)
    preds = ["p-%d" % i for i in range(WIDE)]
    pipe = fleet.redis.pipeline(transaction=False)
    pipe.hdel(job + ":waiting", *preds[at:])
    pipe.hset(job + ":waiting", "~", "")
    pipe.hset(job, mapping={"part": at, "pending": at + 1})
    for pred in preds:
        pipe.hdel(fleet.key("job", pred, "dependents"), id)
    pipe.execute()


def submit_wide(fleet, id, **more):
    fleet.publish_many([({"id": id, "task": "noop", "after": ["p-%d" % i for i in range(WIDE)], **more}, {})])
    registered(fleet, id)


def publish_preds(fleet, but=()):
    fleet.publish_many(({"id": "p-%d" % i, "task": "noop"}, {}) for i in range(WIDE) if i not in but)


def test_the_caretaker_goes_on_where_somebody_died(fleet):
    fleet.worker("--slots", 4)
    for at in (FIRST, 2 * FIRST):
        id = "j%d" % at
        submit_wide(fleet, id)
        half_registered(fleet, id, at)
        fleet.redis.zadd(fleet.key("settling"), {id: 0})
        registered(fleet, id)
    publish_preds(fleet)
    for id in ("j%d" % FIRST, "j%d" % (2 * FIRST)):
        fleet.wait(id, "succeeded", 60)
    fleet.settled()


def test_cancelled_half_registered_and_tried_again(fleet):
    fleet.worker("--slots", 4)
    submit_wide(fleet, "j")
    half_registered(fleet, "j", FIRST)
    fleet.command("cancel", "j", check=0)
    assert fleet.state("j") == "cancelled"
    fleet.command("retry", "j", check=0)
    registered(fleet, "j")
    publish_preds(fleet, but={WIDE - 1})
    until(lambda: fleet.job("j").get("pending") == "1", 60, lambda: "all but one have ended: %s" % fleet.job("j"))
    assert fleet.state("j") == "waiting"
    publish_preds(fleet, but=range(WIDE - 1))
    fleet.wait("j", "succeeded")
    fleet.settled()


def test_a_join_that_is_taken_back_waits_for_all_of_its_own(fleet):
    fleet.worker("--slots", 4)
    fleet.publish({"id": "h", "task": "noop", "dedup": "k", "after": ["gate"]})
    fleet.wait("h", "waiting")
    fleet.publish({"id": "j", "task": "noop", "dedup": "k", "after": ["p-%d" % i for i in range(WIDE)]})
    until(lambda: fleet.job("j").get("duplicate_of") == "h" and not fleet.redis.hexists(fleet.key("job", "j", "waiting"), "~"),
          what="j joins h")
    assert fleet.redis.hgetall(fleet.key("job", "j", "waiting")) == {"h": "duplicate"} and "part" not in fleet.job("j")
    fleet.command("cancel", "j", check=0)
    fleet.command("cancel", "h", check=0)
    fleet.wait("h", "cancelled")
    fleet.command("retry", "j", check=0)
    registered(fleet, "j")


def test_a_predecessor_ends_while_half_is_written(fleet):
    """One that failed makes it skipped at once; tried again it asks all of them, those never written as well."""
    fleet.worker("--slots", 4)
    submit_wide(fleet, "j")
    half_registered(fleet, "j", FIRST)
    fleet.redis.hset(fleet.key("job", "p-3", "dependents"), "j", "succeeded")
    fleet.publish_many([({"id": "p-3", "task": "fail"}, {})])
    fleet.wait("j", "skipped")
    fleet.command("retry", "p-3", check=0)
    fleet.wait("p-3", "failed")
    fleet.wait("j", "skipped")
    fleet.settled()
    assert fleet.redis.hlen(fleet.key("job", "j", "waiting")) == WIDE


def test_hundreds_ask_for_one_reply(fleet):
    """More askers than one look takes; each gets one reply."""
    fleet.worker("--slots", 4)
    queue = fleet.reply_queue()
    fleet.publish_many(({"id": "j", "task": "noop", "after": ["gate"]}, {"reply_to": queue, "correlation_id": "c%d" % i}) for i in range(700))
    until(lambda: fleet.redis.hlen(fleet.key("job", "j", "replies")) == 700, what="all are noted")
    fleet.publish({"id": "gate", "task": "noop"})
    got = sorted(fleet.get(queue)[1].correlation_id for _ in range(700))
    assert got == sorted("c%d" % i for i in range(700))
    fleet.settled()
    assert fleet.channel.basic_get(queue, auto_ack=True)[0] is None


def test_a_wide_end_is_taken_up_soon_after_its_teller_died(fleet):
    """Each batch moves the end's entry on to now, not into the future."""
    fleet.redis.hset(fleet.key("job", "one", "dependents"), mapping={"gone-%d" % i: "succeeded" for i in range(WIDE)})
    fleet.worker("--slots", 4)
    fleet.publish({"id": "one", "task": "noop"})
    fleet.wait("one", "succeeded")
    fleet.settled()
    fleet.redis.hset(fleet.key("job", "one", "dependents"), mapping={"gone-%d" % i: "succeeded" for i in range(WIDE)})
    fleet.redis.zadd(fleet.key("settling"), {"one": 1})
    listed = []

    def told():
        score = fleet.redis.zscore(fleet.key("settling"), "one")
        if score is not None:
            listed.append(score)
        return score is None
    until(told, what="it is told again")
    seconds, micros = fleet.redis.time()
    assert max(listed) <= seconds * 1000 + micros // 1000 + 1


def test_many_ends_at_once_of_which_each_is_asked_for_otherwise(fleet):
    """All predecessors end within moments, so that what is told of them to one job goes to Redis together."""
    fleet.worker("--slots", 8)
    fails = set(range(0, 300, 7))
    asked = {"right": lambda i: "failed" if i in fails else ("ended" if i % 2 else "succeeded"), "any": lambda i: "ended", "wrong": lambda i: "succeeded"}
    for id, when in asked.items():
        fleet.publish({"id": id, "task": "noop", "after": [{"id": "m-%d" % i, "when": when(i)} for i in range(300)] + (["late"] if id == "right" else [])})
    fleet.publish_many(({"id": "m-%d" % i, "task": "fail" if i in fails else "noop", "args": {"message": "no"}, "after": ["gate"]}, {}) for i in range(300))
    gate = fleet.key("job", "gate", "dependents")
    until(lambda: fleet.redis.hlen(gate) == 300 and not fleet.redis.zcard(fleet.key("settling")), 60, "all wait")
    fleet.publish({"id": "gate", "task": "noop"})
    fleet.wait("any", "succeeded", 60)
    fleet.wait("wrong", "skipped", 60)
    until(lambda: fleet.job("right").get("pending") == "1", 60, lambda: "all but one have ended: %s" % fleet.job("right"))
    assert fleet.state("right") == "waiting" and fleet.redis.hgetall(fleet.key("job", "right", "waiting")) == {"late": "succeeded"}
    fleet.publish({"id": "late", "task": "noop"})
    fleet.wait("right", "succeeded")
    fleet.settled()
    assert int(fleet.job("wrong")["pending"]) == fleet.redis.hlen(fleet.key("job", "wrong", "waiting")) > 0
    assert all("pending" not in fleet.job(id) and fleet.job(id)["attempt"] == "1" for id in ("right", "any"))
    fleet.command("doctor", check=0)


def fetches_ahead(fleet, worker):
    """It shows in its record, before all is fetched and for some seconds after."""
    until(lambda: int(fleet.redis.hget(fleet.key("worker", worker.name), "prefetch") or 0) >= 10, 30, "the worker fetches ahead")


def test_what_only_registers_is_fetched_ahead(fleet):
    """Messages that begin no job, by the thousand, do not come a few at a time because the slots are few."""
    fleet.worker("--slots", 1).stop()
    ids = ["w%d" % i for i in range(2000)]
    fleet.publish_many([({"task": "noop", "id": id, "after": ["nobody"]}, {}) for id in ids])
    fetches_ahead(fleet, fleet.worker("--slots", 1))
    until(lambda: fleet.queue_length(fleet.prefix + ".default.normal") == 0, 60)
    until(lambda: fleet.redis.hlen(fleet.key("job", "nobody", "dependents")) == len(ids), 60, "all are registered")


def test_invitations_of_cancelled_jobs_are_fetched_ahead(fleet):
    """The next job does not wait until they have come a few at a time; and what is over is soon fetched ahead no more."""
    with open(os.path.join(fleet.dir, "idle.yaml"), "w", encoding="utf-8") as file:
        file.write("name: idle\njobs: { j: { task: noop, matrix: { n: [%s] } } }\n" % ", ".join(map(str, range(2000))))
    fleet.command("run", "idle.yaml", "--name", "idle", "--detach", check=0)
    fleet.command("cancel", "--run", "idle", check=0)
    fleet.publish({"task": "noop", "id": "next"})
    assert fleet.queue_length(fleet.prefix + ".default.normal") > 2000
    worker = fleet.worker("--slots", 1)
    fetches_ahead(fleet, worker)
    fleet.wait("next", "succeeded", 60)
    until(lambda: int(fleet.redis.hget(fleet.key("worker", worker.name), "prefetch")) < 10, 30, "it fetches ahead no more")
