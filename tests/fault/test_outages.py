"""Servers that die, are paused, or refuse, while jobs run."""
import contextlib
import os
import subprocess
import time

import pytest
import redis

from fleet import until
from jobs import logged


def rss_mb(worker):
    with open("/proc/%d/status" % worker.process.pid, encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


# --- servers

@pytest.mark.parametrize("names", [["redis"], ["rabbitmq"], ["redis", "rabbitmq"]], ids="+".join)
def test_killed_and_started(ground, names):
    workers = ground.workers()
    ground.publish()
    logs = [len(w.log()) for w in workers]
    for name in names:
        ground.servers.kill(name)
    for worker, seen in zip(workers, logs):
        until(lambda: "trying again" in worker.log()[seen:], 20, worker.log)
    if "redis" in names:
        # what was claimed may still begin; then nothing does, since nothing can be claimed
        before = until(lambda: ground.started(), 1)
        until(lambda: True, 1)
        time_over = time.monotonic() + 1.5
        until(lambda: time.monotonic() > time_over)
        assert ground.started() - before <= 1
    for name in names:
        ground.servers.start(name)
    healthy = time.monotonic()
    if "rabbitmq" in names:
        ground.fleet.connect()
    ground.recovered(" and ".join(names) + " killed", healthy)


def test_redis_paused_past_a_lease(ground):
    """Nothing is taken from workers that live."""
    ground.publish()
    ground.servers.pause("redis")
    over = time.monotonic() + 12
    until(lambda: time.monotonic() > over)
    ground.servers.go_on("redis")
    ground.recovered("Redis stopped for 12 s", time.monotonic())


def test_redis_asks_its_clients_to_wait(ground):
    ground.publish()
    ground.fleet.redis.execute_command("CLIENT", "PAUSE", "3000", "ALL")
    ground.fleet.redis.ping()
    ground.recovered("CLIENT PAUSE of 3 s", time.monotonic())


# --- servers that refuse

def test_the_broker_blocks_publishers(ground):
    """A memory alarm: invitations wait, consuming and acknowledging go on, memory stays bounded."""
    fleet, servers = ground.fleet, ground.servers
    long = ground.publish(work="sleep 2")
    last = "r%d-last" % ground.count
    # not due yet when the others have ended: it would begin at once, without an invitation, where nothing else is held
    fleet.publish(logged(fleet, last, after=long, run_at=int(time.time() * 1000) + 15000))
    ground.ids.append(last)
    fleet.wait(last, "waiting")
    servers.rabbitmqctl("set_vm_memory_high_watermark", "0.00001")
    try:
        ground.let_go()
        for id in long:
            fleet.wait(id, "succeeded")
        fleet.wait(last, "queued")
        before = [rss_mb(w) for w in ground.workers()]
        # what lay in the queues is run and acknowledged all the same
        fleet.wait_all([id for id in ground.ids if "-after" not in id and id != last], 60)
        until(lambda: servers.messages(fleet.prefix) == 0, 20, "all is acknowledged")
        assert fleet.state(last) == "queued" and fleet.redis.zcard(fleet.key("outbox")) > 0
        growth = [rss_mb(w) - b for w, b in zip(ground.workers(), before)]
        print("workers grew by %.1f and %.1f MiB while publishers were blocked" % tuple(growth))
        assert max(growth) < 100
    finally:
        servers.rabbitmqctl("set_vm_memory_high_watermark", "0.4")
    ground.recovered("a memory alarm", time.monotonic())


def test_a_reply_waits_for_a_broker_that_blocks_publishers(ground):
    """However often the caretaker finds it overdue meanwhile, a worker sends it once."""
    fleet, servers = ground.fleet, ground.servers
    queue, seen, id = fleet.reply_queue(), set(), "r%d-asked" % ground.count
    fleet.publish({"task": "sleep", "id": id, "args": {"ms": 1500}}, reply_to=queue, correlation_id="c")
    ground.others += 1
    fleet.wait(id, "running")
    servers.rabbitmqctl("set_vm_memory_high_watermark", "0.00001")
    try:
        fleet.wait(id, "succeeded")

        def looked_at_often():
            seen.add(fleet.redis.zscore(fleet.key("replies"), id))
            return len(seen) >= 3
        until(looked_at_often, 90, "the caretaker comes to it again and again")
    finally:
        servers.rabbitmqctl("set_vm_memory_high_watermark", "0.4")
    answers = [fleet.get(queue)]
    until(lambda: not fleet.redis.zcard(fleet.key("replies")), 30, "it is confirmed")
    answers += [got for got in iter(lambda: fleet.channel.basic_get(queue, auto_ack=True), (None, None, None))]
    assert len(answers) <= len(ground.workers()) and len({properties.message_id for _, properties, _ in answers}) == 1, answers


def test_a_queue_is_deleted_and_declared_again_at_once(ground):
    """RabbitMQ 3.10 then may neither cancel the consumers nor give them what comes, or count them and give them what never comes.
    The workers find out since the queue's mark is gone, and tell each other."""
    fleet = ground.fleet
    ground.publish(3)
    queue = fleet.prefix + ".default.normal"
    until(lambda: fleet.queue_length(queue) == 0 and all(fleet.state(id) == "succeeded" for id in ground.ids if "-long" not in id))
    fleet.delete_and_declare_again()
    began = time.monotonic()
    new = ["r%d-new%d" % (ground.count, i) for i in range(60)]
    for id in new:
        fleet.publish(logged(fleet, id))
    ground.ids += new
    fleet.wait_all(new, 60)
    print("the jobs of the new queue had run %.1f s after it was declared" % (time.monotonic() - began))
    ground.recovered("a queue deleted and declared again", time.monotonic())


@contextlib.contextmanager
def full(ground):
    ground.fleet.redis.config_set("maxmemory", 1)
    try:
        yield
    finally:
        ground.fleet.redis.config_set("maxmemory", 0)


@contextlib.contextmanager
def read_only(ground):
    ground.fleet.redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        yield
    finally:
        ground.fleet.redis.execute_command("REPLICAOF", "NO", "ONE")


@contextlib.contextmanager
def unsaved(ground):
    """A snapshot that cannot be written makes Redis refuse every write."""
    server = ground.fleet.redis
    path = "%s/redis/dump.rdb" % ground.servers.dir
    os.mkdir(path)
    open(path + "/in-the-way", "w", encoding="utf-8").close()
    server.config_set("save", "3600 1")
    server.bgsave()
    until(lambda: server.info("persistence")["rdb_last_bgsave_status"] == "err", 20)
    try:
        yield
    finally:
        os.unlink(path + "/in-the-way")
        os.rmdir(path)
        server.bgsave()
        until(lambda: server.info("persistence")["rdb_last_bgsave_status"] == "ok", 20)
        server.config_set("save", "")


@contextlib.contextmanager
def busy(ground):
    server = ground.fleet.redis
    server.config_set("busy-reply-threshold", 300)
    port = ground.servers.port("redis")
    endless = subprocess.Popen(["redis-cli", "-p", str(port), "eval", "while true do end", "0"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)

    def answers():
        try:
            server.get("x")
        except redis.exceptions.ResponseError as error:
            return "BUSY" in str(error)
    until(answers, 10)
    try:
        yield
    finally:
        server.script_kill()
        endless.wait(10)


@pytest.mark.parametrize("refusal", [full, read_only, unsaved, busy])
def test_redis_refuses_for_a_while(ground, refusal):
    """What ran ends well, what came meanwhile is neither parked nor lost, no retry is used up."""
    fleet = ground.fleet
    ground.publish(6 if refusal is full else 24)
    if refusal is full:
        until(lambda: all(fleet.redis.exists(fleet.key("job", id)) for id in ground.ids), 20, "all are registered")
    logs = [len(w.log()) for w in ground.workers()]
    with refusal(ground):
        for id in ("r%d-came%d" % (ground.count, i) for i in range(24)):
            fleet.publish(logged(fleet, id))
            ground.ids.append(id)
        if refusal is not full:
            for worker, seen in zip(ground.workers(), logs):
                until(lambda: "trying again" in worker.log()[seen:], 20, worker.log)
        over = time.monotonic() + 2
        until(lambda: time.monotonic() > over)
        if refusal is full:
            # what is registered runs, dependents as well, though their invitations lie behind more new messages than workers
            # fetch; those have not been taken in
            until(lambda: all(fleet.state(id) == "succeeded" for id in ground.ids if "-came" not in id and "-long" not in id), 30,
                  lambda: str([(id, fleet.state(id)) for id in ground.ids if fleet.state(id) != "succeeded"]))
            assert not any(fleet.redis.exists(fleet.key("job", id)) for id in ground.ids if "-came" in id and id.startswith("r%d-" % ground.count))
        assert fleet.queue_length(fleet.prefix + ".rejected") == 0
    ground.recovered("Redis: " + refusal.__name__.replace("_", " "), time.monotonic())


def test_redis_loads_its_log_for_a_while(ground):
    fleet = ground.fleet
    filler = redis.Redis(port=ground.servers.port("redis"), db=1)
    fleet.redis.config_set("appendfsync", "no")
    for part in range(8):
        filler.eval("for i = 1, 50000 do redis.call('SET', ARGV[1] .. i, i) end", 0, "filler:%d:" % part)
    fleet.redis.config_set("appendfsync", "always")
    ground.publish()
    ground.servers.kill("redis")
    starting = subprocess.Popen([os.path.join(os.path.dirname(__file__), "..", "..", "scripts", "services"), "start", "redis", "--dir",
                                 ground.servers.dir], stdout=subprocess.DEVNULL)
    seen = set()

    def loaded():
        try:
            fleet.redis.get("x")
            return True
        except redis.exceptions.BusyLoadingError:
            seen.add("loading")
        except redis.exceptions.ConnectionError:
            pass
        return False
    until(loaded, 60)
    healthy = time.monotonic()
    starting.wait(60)
    assert seen == {"loading"}
    ground.recovered("Redis loading its log", healthy)
    filler.flushdb()


def test_a_worker_whose_redis_refuses_for_too_long_leaves(ground):
    """Never up and idle: exit 3, so that whoever watches it sees it."""
    fleet = ground.fleet
    worker = fleet.worker("--retry-services", "2s", "--slots", 1, "--pool", "other")
    fleet.publish({"task": "noop", "id": "before"}, pool="other")
    fleet.wait("before", "succeeded")
    ground.others += 1
    with read_only(ground):
        # who only looks is answered all the same; who writes is told
        assert "succeeded" in fleet.command("status", "before", check=0).stdout
        assert "READONLY" in fleet.command("submit", "noop", check=3).stderr
        assert worker.process.wait(30) == 3
        assert "READONLY" in worker.log() and "giving up" in worker.log()
    ground.publish(3)
    ground.recovered("a worker left", time.monotonic())


# --- the disk

def test_the_work_directory_is_full(ground):
    fleet = ground.fleet
    work = fleet.dir + "/small"
    os.mkdir(work)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", work], check=False, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("a file system cannot be mounted here")
    try:
        worker = fleet.worker("--slots", 1, "--pool", "gpu", "--allow-exec", "--work-dir", work)
        fleet.publish({"task": "exec", "id": "fits", "argv": ["true"]}, pool="gpu")
        fleet.wait("fits", "succeeded")
        with open(work + "/filler", "wb") as file, contextlib.suppress(OSError):
            while True:
                os.write(file.fileno(), b"x" * 4096)
        fleet.publish({"task": "exec", "id": "full", "argv": ["true"]}, pool="gpu")
        job = fleet.wait("full", "failed")
        assert job["reason"] == "error" and "No space left" in job["error"] and work in job["error"], job
        fleet.publish({"task": "exec", "id": "again", "argv": ["true"], "retries": 20, "backoff_ms": 100}, pool="gpu")
        until(lambda: int(fleet.job("again").get("failures", 0)) >= 2)
        os.unlink(work + "/filler")
        assert int(fleet.wait("again", "succeeded")["attempt"]) >= 3
        # a job that fills it by itself
        fleet.publish({"task": "exec", "id": "fills", "argv": ["sh", "-c", "dd if=/dev/zero of=big bs=4096 && echo done"]}, pool="gpu")
        job = fleet.wait("fills", "failed")
        assert job["reason"] == "exit", job
        subprocess.run("rm -f %s/gpu-*/big" % work, shell=True, check=True)
        fleet.publish({"task": "exec", "id": "after", "argv": ["true"]}, pool="gpu")
        fleet.wait("after", "succeeded")
        assert worker.process.poll() is None
        assert worker.stop() == 0
    finally:
        subprocess.run(["umount", "-l", work], check=True)
    ground.others += 3


def test_what_is_handed_over_while_the_broker_blocks(ground):
    """A full worker hands what it holds to an idle one, but the broker takes no invitations: it runs it itself when it can."""
    fleet, servers = ground.fleet, ground.servers
    fleet.connect()
    ground.count += 1
    gate = fleet.dir + "/gate%d-" % ground.count
    slow = ["r%d-slow%d" % (ground.count, i) for i in range(6)]
    held = ["r%d-held%d" % (ground.count, i) for i in range(12)]
    for id in slow:
        fleet.publish(logged(fleet, id, "until [ -e %s$FLOTILLA_ID ]; do sleep 0.05; done" % gate))
    for id in slow:
        fleet.wait(id, "running")
    for id in held:
        fleet.publish(logged(fleet, id))
    for id in held[:2]:
        fleet.wait(id, "queued")
    servers.rabbitmqctl("set_vm_memory_high_watermark", "0.00001")
    try:
        near = [id for id in slow if fleet.job(id)["worker"] == ground.near.name]
        for id in near:
            open(gate + id, "w", encoding="utf-8").close()
        until(lambda: fleet.redis.zcard(fleet.key("outbox")), 20, "something is handed over")
        for id in slow:
            open(gate + id, "w", encoding="utf-8").close()
        fleet.wait_all(slow + held, 20)
    finally:
        servers.rabbitmqctl("set_vm_memory_high_watermark", "0.4")
    ground.ids += slow + held
    ground.recovered("a memory alarm with a full worker", time.monotonic())
