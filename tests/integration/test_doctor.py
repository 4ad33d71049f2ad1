"""flotilla doctor: the stores are damaged on purpose, each way that it knows, and it has to find it, mend it, and then be content.
And it must not accuse a fleet that is only busy."""
import json
import os
import random
import subprocess
import threading
import time

import pika
import pytest
import redis

from fleet import BUILD, ROOT, Fleet, until
from test_cluster import free_port


@pytest.fixture(scope="module")
def kinds():
    """All kinds that the program knows; each test strikes off those that it has seen found."""
    with open(os.path.join(ROOT, "producer/doctor/kinds.h")) as file:
        return {line.split('"')[1] for line in file if line.lstrip().startswith("X(KIND_")}


def doctor(fleet, *args, check=None):
    done = fleet.command("doctor", "--json", *args, check=check)
    assert not done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def named(findings):
    return {(f["kind"], f["id"]) for f in findings}


def serious(findings):
    return [f for f in findings if f["level"] != "note"]


def now(fleet):
    seconds, micro = fleet.redis.time()
    return seconds * 1000 + micro // 1000


class Patient:
    """Short words for damaging one fleet; notes what is to be found."""

    def __init__(self, fleet):
        self.fleet, self.redis = fleet, fleet.redis
        self.expected = set()
        self.long_ago = now(fleet) - 200000

    def job(self, id, *parts):
        return self.fleet.key("job", id, *parts)

    def index(self, name):
        return self.fleet.key(name)

    def submit(self, id, *options, task="noop"):
        self.fleet.command("submit", task, "--id", id, *options, check=0)

    def expect(self, kind, id):
        self.expected.add((kind, id))

    def run_by_hand(self, id, worker, lease=None):
        """As a worker leaves a job that died while it ran it."""
        self.redis.hset(self.job(id), mapping={"state": "running", "attempt": 1, "started_at": now(self.fleet), "worker": worker, "token": "t"})
        self.redis.zrem(self.index("outbox"), id)
        if lease:
            self.redis.zadd(self.index("leases"), {id: lease})


def damage_keys(p):
    p.redis.set(p.job("nobody", "spec"), "x")
    p.redis.set(p.job("nobody", "output"), "x")
    p.expect("left-over", "nobody")
    p.submit("live", "--after", "never")
    p.redis.expire(p.job("live"), 1000)
    p.expect("live-expiry", "live")
    p.redis.persist(p.job("e1"))
    p.expect("kept-for-ever", "e1")
    p.expect("uneven-expiry", "e2")
    p.redis.persist(p.job("e2", "spec"))


def damage_waiting(p):
    """Of those whose predecessor is cancelled here, some still wait for its end."""
    p.submit("pending", "--after", "never")
    p.redis.hset(p.job("pending"), "pending", 7)
    p.expect("pending-differs", "pending")
    p.submit("root")
    p.submit("nothing", "--after", "root")
    p.redis.delete(p.job("nothing", "waiting"))
    p.expect("waits-for-nothing", "nothing")
    p.submit("x")
    for id in "untold", "unlisted-untold":
        p.submit(id, "--after", "x:ended")
        p.redis.hdel(p.job("x", "dependents"), id)
        p.expect("not-told", id)
    p.fleet.command("cancel", "x", check=0)
    p.redis.hset(p.job("x", "dependents"), "untold", "ended")
    p.redis.pexpireat(p.job("x", "dependents"), p.redis.pexpiretime(p.job("x")))
    p.submit("unlisted", "--after", "root")
    p.redis.hdel(p.job("root", "dependents"), "unlisted")
    p.expect("not-listed", "unlisted")
    p.submit("guarded", "--after", "root")
    p.redis.hset(p.job("guarded", "waiting"), "~", "")
    p.redis.hset(p.job("guarded"), "pending", 2)
    p.expect("guard-unlisted", "guarded")


def damage_dedup(p):
    p.submit("holder", "--dedup", "k")
    p.submit("joined", "--dedup", "k")
    p.redis.hdel(p.job("holder", "dependents"), "joined")
    p.fleet.command("cancel", "holder", check=0)
    p.expect("broken-join", "joined")
    p.submit("holder-gone", "--dedup", "k2")
    p.submit("left-alone", "--dedup", "k2")
    p.redis.delete(p.job("holder-gone"), p.job("holder-gone", "spec"), p.job("holder-gone", "dependents"))
    p.redis.zrem(p.index("outbox"), "holder-gone")
    p.expect("invites-nobody", "holder-gone")
    p.expect("broken-join", "left-alone")
    p.expect("dedup-stale", "k2")
    p.redis.set(p.fleet.key("dedup", "k:3 of e1"), "e1")
    p.expect("dedup-stale", "k:3 of e1")
    p.submit("expiring-key", "--dedup", "k4")
    p.redis.expire(p.fleet.key("dedup", "k4"), 1000)
    p.expect("dedup-expires", "k4")
    p.submit("keyless", "--dedup", "k5")
    p.redis.delete(p.fleet.key("dedup", "k5"), p.fleet.key("tenure", "k5"))
    p.redis.set(p.fleet.key("tenure", "k6"), "0 left")
    p.expect("dedup-stale", "k6")
    p.expect("dedup-unheld", "keyless")


def damage_times(p):
    p.submit("unleased")
    p.run_by_hand("unleased", "ghost")
    p.expect("lease-missing", "unleased")
    p.submit("dead")
    p.run_by_hand("dead", "ghost", p.long_ago)
    p.expect("lease-expired", "dead")
    p.submit("undue", "--delay", "1s")
    p.redis.zrem(p.index("scheduled"), "undue")
    p.expect("scheduled-missing", "undue")
    p.submit("overdue", "--delay", "1h")
    p.redis.zadd(p.index("scheduled"), {"overdue": p.long_ago})
    p.expect("scheduled-overdue", "overdue")
    p.submit("endless", "--after", "root", "--expires", "1h")
    p.redis.zrem(p.index("expiring"), "endless")
    p.expect("expiring-missing", "endless")
    p.submit("over", "--after", "never", "--expires", "1h")
    p.redis.hset(p.job("over"), "expires_at", p.long_ago)
    p.redis.zadd(p.index("expiring"), {"over": p.long_ago})
    p.expect("expiring-overdue", "over")


def damage_owed(p, queue):
    for name in "leases", "scheduled", "expiring", "outbox", "replies":
        p.redis.zadd(p.index(name), {"e3": now(p.fleet)})
        p.expect(name.replace("leases", "lease") + "-stray", "e3")
    p.redis.zadd(p.index("settling"), {"unknown": now(p.fleet)})
    p.expect("settling-stray", "unknown")
    p.submit("uninvited")
    p.redis.zadd(p.index("outbox"), {"uninvited": p.long_ago})
    p.expect("outbox-overdue", "uninvited")
    p.submit("half", "--after", "root")
    p.redis.hset(p.job("half", "waiting"), "~", "")
    p.redis.hset(p.job("half"), "pending", 2)
    p.redis.zadd(p.index("settling"), {"half": p.long_ago})
    p.expect("settling-overdue", "half")
    for id in "e4", "e5":
        p.redis.hset(p.job(id, "replies"), "1:%s %s" % (id[1], queue), "json")
        p.redis.persist(p.job(id))
        p.redis.persist(p.job(id, "spec"))
    p.redis.zadd(p.index("replies"), {"e5": p.long_ago})
    p.expect("replies-missing", "e4")
    p.expect("replies-overdue", "e5")


def damage_counters(p):
    p.submit("member", "--run", "r1", "--after", "root")
    p.submit("other-member", "--run", "r1", "--after", "root")
    p.redis.srem(p.fleet.key("run", "r1", "jobs"), "member")
    p.redis.hset(p.fleet.key("run", "r1"), "jobs", 17)
    p.expect("not-a-member", "member")
    p.expect("run-counters", "r1")
    p.submit("of-r2", "--run", "r2", "--after", "root")
    p.redis.hincrby(p.fleet.key("run", "r2"), "queued", 5)
    p.redis.sadd(p.fleet.key("run", "r2", "jobs"), "e1")
    p.expect("run-counters", "r2")
    p.expect("run-member", "r2")
    p.redis.hset(p.fleet.key("stats"), "succeeded", 1)
    p.expect("stats-low", "succeeded")


def damage_fleet(p):
    p.redis.zadd(p.fleet.key("workers"), {"ghost": p.long_ago})
    p.redis.hset(p.fleet.key("worker", "ghost"), mapping={"name": "ghost", "pool": "default", "lease_ms": 1000})
    p.expect("worker-gone", "ghost")
    p.redis.set(p.fleet.key("caretaker"), "ghost")
    p.expect("caretaker-stuck", "ghost")
    p.fleet.channel.queue_delete(p.fleet.prefix + ".returned")
    p.expect("topology-missing", p.fleet.prefix + ".returned")
    p.fleet.channel.basic_publish("", p.fleet.prefix + ".default.normal", b"stranger", pika.BasicProperties(type="flotilla.invite", delivery_mode=2))
    p.expect("invites-nobody", "stranger")


def test_what_can_be_mended(fleet, kinds):
    """All of it at once, with no worker; then the fleet is well, and each job comes to its end."""
    worker = fleet.worker()
    ended = ["e%d" % i for i in range(1, 6)]
    for id in ended:
        fleet.publish({"task": "noop", "id": id})
    fleet.wait_all(ended)
    fleet.settled()
    assert serious(doctor(fleet, check=0)) == []
    assert worker.stop() == 0
    queue = fleet.reply_queue()
    p = Patient(fleet)
    damage_keys(p)
    damage_waiting(p)
    damage_dedup(p)
    damage_times(p)
    damage_owed(p, queue)
    damage_counters(p)
    damage_fleet(p)
    p.expect("no-worker", "default.normal")
    found = serious(doctor(fleet, "--messages", 100, check=1))
    assert named(found) == p.expected
    assert not any(f["mended"] or f["did"] for f in found)
    kinds -= {f["kind"] for f in found}

    mended = serious(doctor(fleet, "--repair", "--messages", 100, check=1))
    assert named(mended) == p.expected
    assert {f["kind"] for f in mended if not f["mended"]} == {"no-worker"}, [f for f in mended if not f["mended"]]
    assert all(f["did"] for f in mended if f["mended"])
    text = fleet.command("doctor", "--messages", 100, check=1).stdout
    assert "no-worker (warning): 1\n  default.normal: " in text and "\n      start one: flotillad" in text
    assert "damage 0, warnings 1, notes" in text, text
    assert fleet.redis.hgetall(fleet.key("run", "r1")) == {"jobs": "2", "waiting": "2"} | {
        k: "0" for k in fleet.redis.hgetall(fleet.key("run", "r1")) if k not in ("jobs", "waiting")}
    assert {fleet.get(queue)[1].correlation_id for _ in range(2)} == {"4", "5"}
    assert fleet.state("over") == "expired"

    fleet.redis.zadd(fleet.key("leases"), {"unleased": p.long_ago}, xx=True)  # its lease need not be waited for
    fleet.worker("--lease", "1s")
    p.submit("never")
    alive = ["live", "pending", "root", "nothing", "untold", "unlisted-untold", "unlisted", "guarded", "joined", "left-alone",
             "expiring-key", "keyless", "unleased", "dead", "undue", "overdue", "endless", "uninvited", "half", "member",
             "other-member", "of-r2", "never"]
    fleet.wait_all(alive, 30)
    assert {fleet.state(id) for id in alive} == {"succeeded"}
    fleet.settled()
    assert serious(doctor(fleet, check=0)) == []


def test_what_only_people_can_mend(fleet, kinds):
    worker = fleet.worker()
    fleet.publish(None, body=b"no job")
    until(lambda: fleet.queue_length(fleet.prefix + ".rejected") == 1, what="rejected")
    assert worker.stop() == 0
    p = Patient(fleet)
    p.submit("root")
    p.submit("specless", "--after", "root")
    p.redis.delete(p.job("specless", "spec"))
    p.expect("spec-missing", "specless")
    p.submit("odd", "--after", "never")
    p.redis.hset(p.job("odd"), "state", "asleep")
    p.expect("bad-record", "odd")
    p.redis.set(p.job("text"), "x")
    p.expect("bad-record", "text")
    p.submit("lost", "--after", "never")
    p.redis.delete(p.job("lost", "waiting"))
    p.submit("early", "--after", "never")
    p.expect("waits-for-nothing", "lost")
    for a, b in ("c1", "c2"), ("c2", "c3"), ("c3", "c1"), ("behind", "c1"):
        p.submit(a, "--after", b)
    p.submit("gone", "--after", "unborn")
    p.fleet.command("cancel", "gone", check=0)
    channel, prefix = fleet.channel, fleet.prefix
    channel.queue_delete(prefix + ".default.low")
    channel.queue_declare(prefix + ".default.low", durable=True)
    p.expect("queue-otherwise", "default.low")
    channel.basic_publish("", prefix + ".unrouted", b"x")
    channel.basic_publish("", prefix + ".returned", b"x")
    for name in "rejected", "unrouted", "returned":
        p.expect(name, prefix + "." + name)
    p.expect("no-worker", "default.normal")
    # one that nobody could be waiting for, and three for which there is one message
    p.submit("silent", "--pool", "other")
    for id in "f1", "f2", "f3":
        p.submit(id, "--pool", "gpu")
    p.redis.zrem(p.index("outbox"), "silent", "f1", "f2", "f3")
    channel.queue_purge(prefix + ".other.normal")
    channel.queue_purge(prefix + ".gpu.normal")
    channel.basic_publish("", prefix + ".gpu.normal", b"x", pika.BasicProperties(delivery_mode=2))
    p.expect("no-message", "silent")
    p.expect("few-messages", "gpu.normal")
    p.expect("no-worker", "other.normal")
    p.expect("no-worker", "gpu.normal")
    # a worker that lives, as far as can be told, in a pool of its own
    p.redis.zadd(fleet.key("workers"), {"w": now(fleet) + 3600000})
    p.redis.hset(fleet.key("worker", "w"), mapping={"name": "w", "pool": "mine", "lease_ms": 60000})
    p.expect("no-caretaker", "caretaker")
    # and one beside it that takes less
    p.redis.zadd(fleet.key("workers"), {"v": now(fleet) + 3600000})
    p.redis.hset(fleet.key("worker", "v"), mapping={"name": "v", "pool": "mine", "lease_ms": 60000, "demands": "signed"})
    p.expect("takes-unsigned", "w")
    found = doctor(fleet, "--repair", check=1)
    by_kind = {f["kind"]: f for f in found}
    cycle = by_kind["cycle"]
    assert {("cycle", cycle["id"])} | p.expected == named(serious(found))
    assert sorted(cycle["what"].split()[6::4][:3]) and all(("%s waits for" % id) in cycle["what"] or ("for %s" % id) in cycle["what"] for id in ("c1", "c2", "c3"))
    assert "behind" not in cycle["what"]
    assert {f["kind"] for f in found if f["mended"]} == {"no-message"}
    assert p.redis.zscore(p.index("outbox"), "silent") and fleet.queue_length(prefix + ".other.normal") == 1
    assert ("placeholder", "unborn") in named(found) and ("unknown-predecessor", "never") in named(found)
    assert p.redis.hgetall(p.job("lost", "waiting")) == {}  # what it waits for is not known: it is not let go
    kinds -= {f["kind"] for f in found}

    channel.queue_purge(prefix + ".gpu.normal")
    assert {("no-message", "f%d" % i) for i in (1, 2, 3)} <= named(f for f in doctor(fleet, "--repair") if f["mended"])


def test_settings_of_redis(tmp_path, kinds):
    port = free_port()
    server = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", "",
                               "--maxmemory-policy", "allkeys-lru"], stdout=subprocess.DEVNULL)
    fleet = None
    try:
        fleet = Fleet(redis_url="redis://127.0.0.1:%d/0" % port)
        fleet_up = lambda: not fleet.command("ls").returncode  # noqa: E731
        until(fleet_up, 20, "Redis")
        assert named(doctor(fleet, check=1)) == {("redis-setting", "appendonly"), ("redis-setting", "maxmemory-policy")}
        for name, value in ("appendonly", "yes"), ("maxmemory-policy", "noeviction"), ("no-appendfsync-on-rewrite", "yes"):
            fleet.redis.config_set(name, value)
        fleet.redis.config_set("maxmemory", int(fleet.redis.info()["used_memory"] * 1.05))
        found = doctor(fleet, check=1)
        assert {("redis-setting", "appendfsync"), ("redis-setting", "no-appendfsync-on-rewrite"), ("redis-state", "used_memory")} == named(found)
        kinds -= {f["kind"] for f in found}
        for name, value in ("appendfsync", "always"), ("no-appendfsync-on-rewrite", "no"), ("maxmemory", 0):
            fleet.redis.config_set(name, value)
        assert "all is well" in fleet.command("doctor", check=0).stdout
        fleet.redis.acl_setuser("guest", enabled=True, passwords=["+word"], keys=["*"], channels=["*"], commands=["+@all", "-config"])
        fleet.redis_url = "redis://guest:word@127.0.0.1:%d/0" % port
        found = doctor(fleet, check=0)
        assert [f["kind"] for f in found] == ["config-hidden"]
        fleet.redis.execute_command("ACL", "SETUSER", "default", "-hset")
        found += doctor(fleet, check=1)
        assert {("redis-user", "default"), ("config-hidden", "redis")} == named(found)
        kinds -= {f["kind"] for f in found}
    finally:
        if fleet:
            fleet.close()
        server.terminate()
        server.wait()


def test_an_alarm_of_rabbitmq(fleet, kinds):
    services = os.environ.get("FLOTILLA_SERVICES_DIR")
    if not services:
        pytest.skip("the servers are not ours")

    def watermark(*value):
        subprocess.run([os.path.join(ROOT, "scripts", "services"), "rabbitmqctl", "--dir", services, "-q", "set_vm_memory_high_watermark", *value],
                       check=True, capture_output=True, timeout=60)
    watermark("0.00001")
    try:
        found = until(lambda: doctor(fleet), 20, "the alarm")
        assert [f["kind"] for f in found] == ["broker-alarm"] and "memory" in found[0]["what"]
        kinds -= {f["kind"] for f in found}
    finally:
        watermark("absolute", "1GB")


def test_a_service_that_is_away(fleet):
    done = subprocess.run([os.path.join(BUILD, "bin", "flotilla"), "doctor", "--prefix", fleet.prefix, "--amqp", "amqp://localhost:%d/" % free_port()],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 3 and done.stderr.count("\n") == 1 and "RabbitMQ" in done.stderr


def load(fleet, stop, seed):
    """Jobs of every sort without end, after one another by chance."""
    chance = random.Random(seed)
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["FLOTILLA_AMQP_URL"]))
    channel = connection.channel()
    number, waiting = 0, []
    while not stop.is_set():
        job = {"id": "j%d" % number, "task": chance.choice(["noop", "noop", "sleep", "fail"]), "run": "r%d" % (number // 100),
               "keep_s": chance.choice([1, 3600])}
        job["args"] = {"ms": chance.choice([1, 20, 300])} if job["task"] == "sleep" else {"message": "m"}
        if job["task"] == "fail":
            job.update(retries=chance.choice([0, 2]), backoff_ms=50)
        # one with a key that waits may wait for another with that key, which has joined it: a cycle, rightly found
        if chance.random() < 0.1:
            job["dedup"] = "k%d" % chance.randrange(5)
        elif number > 20 and chance.random() < 0.6:
            job["after"] = [{"id": "j%d" % i, "when": chance.choice(["succeeded", "ended"])}
                            for i in {chance.randrange(number - 20, number) for _ in range(chance.randrange(1, 4))}]
        if chance.random() < 0.1:
            job["delay_ms"] = chance.randrange(500)
        waiting.append(job)
        number += 1
        while number % 20 == 0 and waiting:  # children may come first
            channel.basic_publish("", "%s.default.%s" % (fleet.prefix, chance.choice(["high", "normal", "low"])),
                                  json.dumps(waiting.pop(chance.randrange(len(waiting)))),
                                  pika.BasicProperties(content_type="application/json", delivery_mode=2))
        if number % 20 == 0:
            time.sleep(0.1)  # the load, not a wait: some 200 jobs a second
    connection.close()


def test_a_busy_fleet_is_not_accused(fleet):
    """Two workers, one of which is replaced all the time, and jobs by chance; the doctor looks, and has nothing to say."""
    fleet.worker("--slots", 4)
    stop, seed = threading.Event(), random.randrange(1 << 30)
    print("seed", seed)
    thread = threading.Thread(target=load, args=(fleet, stop, seed))
    thread.start()
    try:
        for _ in range(2):
            other = fleet.worker("--slots", 2)
            assert serious(doctor(fleet)) == []
            assert other.stop() == 0
            assert serious(doctor(fleet, "--repair")) == []
    finally:
        stop.set()
        thread.join()


def test_every_kind_was_found(kinds):
    kinds -= {"broker-alarm"} if not os.environ.get("FLOTILLA_SERVICES_DIR") else set()
    assert not kinds, "no test damages the stores so: %s" % sorted(kinds)
