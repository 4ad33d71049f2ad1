"""What becomes of jobs when workers, RabbitMQ or Redis stop, die or stand still."""
import collections
import signal
import time

import pytest

from fleet import Worker, until
from jobs import alive, each_ran_once, gone, logged, pid_of_first, twice
from servers import Servers


# --- two with one name

def test_a_second_live_worker_with_one_name_is_refused(fleet):
    first = fleet.worker("--slots", 1)
    second = Worker(fleet, ["--name", first.name])
    assert second.process.wait(30) == 2, second.log()
    assert "--name %s: a live worker has this name (process %d on " % (first.name, first.process.pid) in second.log()
    fleet.publish({"task": "noop", "id": "a"})
    fleet.wait("a", "succeeded")
    assert fleet.redis.zscore(fleet.key("workers"), first.name), "who is refused does not strike off the other's record"


def test_a_killed_worker_comes_back_under_its_name(fleet):
    first = fleet.worker("--slots", 1, "--lease", "2s")
    pid = fleet.redis.hget(fleet.key("worker", first.name), "pid")
    first.process.kill()
    first.process.wait()
    again = Worker(fleet, ["--name", first.name, "--slots", 1, "--lease", "2s"])
    fleet.workers.append(again)
    fleet.publish({"task": "noop", "id": "a"})
    assert fleet.wait("a", "succeeded")["worker"] == first.name
    record = fleet.redis.hgetall(fleet.key("worker", first.name))
    assert record["pid"] == str(again.process.pid) != pid
    assert again.stop() == 0 and not fleet.redis.exists(fleet.key("worker", first.name))


def test_who_lost_its_name_to_another_ends(fleet):
    """It stood still for longer than its lease, and another was started under its name."""
    first = fleet.worker("--slots", 1, "--lease", "1s")
    first.process.send_signal(signal.SIGSTOP)
    again = Worker(fleet, ["--name", first.name, "--slots", 1, "--lease", "1s"])
    fleet.workers.append(again)
    until(lambda: fleet.redis.hget(fleet.key("worker", first.name), "pid") == str(again.process.pid), 20, again.log)
    first.process.send_signal(signal.SIGCONT)
    assert first.process.wait(20) == 2, first.log()
    fleet.publish({"task": "noop", "id": "a"})
    fleet.wait("a", "succeeded")


# --- whether one takes jobs

def test_workers_alive_says_who_takes_jobs(fleet):
    """What a container's check of health asks: not whether the process lives, but whether it consumes."""
    worker = fleet.worker("--slots", 1, "--lease", "1s", "--retry-services", "60s")
    host = fleet.redis.hget(fleet.key("worker", worker.name), "host")
    alive = lambda *options: fleet.command("workers", "--alive", *options).returncode
    assert alive() == alive("--host", host) == alive("--host", host, "--pool", "default") == 0
    assert worker.name in fleet.command("workers", "--alive", "--host", host, check=0).stdout
    assert alive("--host", "elsewhere") == alive("--pool", "other") == 4
    assert "on elsewhere of pool other takes" in fleet.command("workers", "--alive", "--host", "elsewhere", "--pool", "other",
                                                               check=4).stderr
    assert worker.name not in fleet.command("workers", "--host", "elsewhere", check=0).stdout
    worker.process.send_signal(signal.SIGSTOP)
    until(lambda: alive("--host", host) == 4, 20, "it stands still")
    assert worker.name in fleet.command("workers", "--host", host, check=0).stdout, "its record is there still"
    worker.process.send_signal(signal.SIGCONT)
    until(lambda: alive("--host", host) == 0, 20, "it consumes again")


# --- stopping

def test_drain_lets_the_running_end_and_hands_the_rest_back(fleet):
    worker = fleet.worker("--slots", 1, "--allow-exec", "--grace", "60s")
    twice(fleet, "runs")
    first = pid_of_first(fleet, "runs")
    rest = ["r%d" % i for i in range(10)]
    for id in rest:
        fleet.publish(logged(fleet, id))
    until(lambda: any(fleet.state(id) == "queued" for id in rest))
    worker.process.send_signal(signal.SIGTERM)
    other = fleet.worker("--slots", 2, "--allow-exec")
    # others run what it held while its own job goes on
    fleet.wait_all(rest)
    assert fleet.state("runs") == "running" and alive(first) and worker.process.poll() is None
    open(fleet.dir + "/runs.go", "w", encoding="utf-8").close()
    assert worker.process.wait(20) == 0
    assert fleet.result("runs") == "first" and fleet.job("runs")["attempt"] == "1"
    for id in rest:
        job = fleet.job(id)
        assert job["attempt"] == "1" and job.get("lost", "0") == "0" and job["worker"] == other.name, job
    each_ran_once(fleet, rest)
    until(lambda: fleet.redis.zscore(fleet.key("workers"), worker.name) is None, 5, "it has left")
    fleet.settled()


def test_drain_hands_back_what_outlasts_the_grace(fleet):
    worker = fleet.worker("--slots", 1, "--allow-exec", "--grace", "300ms")
    twice(fleet, "long", retries=0)
    first = pid_of_first(fleet, "long")
    assert worker.stop(signal.SIGTERM, 20) == 0
    gone(first)
    assert fleet.state("long") in ("queued", "scheduled"), fleet.job("long")
    fleet.worker("--slots", 1, "--allow-exec")
    job = fleet.wait("long", "succeeded")
    assert fleet.result("long") == "second"
    assert job.get("lost", "0") == "0" and job.get("failures", "0") == "0", job
    fleet.settled()


@pytest.mark.parametrize("one", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(fleet, one):
    worker = fleet.worker("--slots", 1, "--allow-exec", "--grace", "60s")
    twice(fleet, "long")
    first = pid_of_first(fleet, "long")
    worker.process.send_signal(one)
    until(lambda: fleet.redis.zscore(fleet.key("workers"), worker.name) is None or "drain" in worker.log() or
          "stop" in worker.log() or "SIG" in worker.log(), 10, lambda: "it has begun to stop\n" + worker.log())
    assert worker.process.poll() is None and alive(first)
    began = time.monotonic()
    worker.process.send_signal(one)
    assert worker.process.wait(20) == 0
    assert time.monotonic() - began < 10
    gone(first)
    fleet.worker("--slots", 1, "--allow-exec", "--lease", "2s")
    job = fleet.wait("long", "succeeded")
    assert fleet.result("long") == "second" and job.get("failures", "0") == "0", job


# --- dying and standing still

def test_a_killed_workers_job_runs_elsewhere(fleet):
    worker = fleet.worker("--slots", 1, "--allow-exec", "--lease", "2s")
    twice(fleet, "job")
    first = pid_of_first(fleet, "job")
    other = fleet.worker("--slots", 1, "--allow-exec", "--lease", "2s")
    worker.process.kill()
    began = time.monotonic()
    gone(first, 5)
    job = fleet.wait("job", "succeeded", 20)
    print("ran elsewhere %.1f s after the kill (lease 2 s)" % (time.monotonic() - began))
    assert fleet.result("job") == "second" and job["worker"] == other.name
    assert (job["attempt"], job["lost"], job.get("failures", "0")) == ("2", "1", "0"), job
    until(lambda: fleet.redis.zscore(fleet.key("workers"), worker.name) is None, 20, "the dead worker is forgotten")
    fleet.settled()


def test_poison(fleet):
    fleet.worker("--slots", 1, "--lease", "1s", "--max-lost", 2)
    victim = None
    for attempt in (1, 2):
        if attempt == 1:
            fleet.publish({"task": "exec", "id": "poison", "argv": ["sleep", "60"]})
        victim = fleet.worker("--slots", 1, "--allow-exec", "--lease", "1s", "--max-lost", 2)
        until(lambda: (fleet.job("poison").get("worker"), fleet.state("poison")) == (victim.name, "running"), 20,
              lambda: "attempt %d runs: %s" % (attempt, fleet.job("poison")))
        victim.process.kill()
    job = fleet.wait("poison", "failed", 20)
    assert (job["reason"], job["attempt"], job["lost"]) == ("poison", "2", "2"), job
    assert "2" in job["error"], job
    fleet.settled()


def test_a_worker_that_stood_still_cannot_settle(fleet):
    worker = fleet.worker("--slots", 2, "--allow-exec", "--lease", "2s")
    twice(fleet, "ends")
    twice(fleet, "goes-on")
    pids = [pid_of_first(fleet, id) for id in ("ends", "goes-on")]
    other = fleet.worker("--slots", 2, "--allow-exec", "--lease", "2s")
    worker.process.send_signal(signal.SIGSTOP)
    try:
        # an invitation that went to it comes back when the broker misses its heartbeats
        for id in ("ends", "goes-on"):
            fleet.wait(id, "succeeded", 40)
        # one of its processes ends behind its back, with a result
        open(fleet.dir + "/ends.go", "w", encoding="utf-8").close()
        gone(pids[0])
    finally:
        worker.process.send_signal(signal.SIGCONT)
    gone(pids[1], 15)
    until(lambda: fleet.redis.zscore(fleet.key("workers"), worker.name), 20, "it is back")
    other.stop()
    fleet.publish({"task": "exec", "id": "next", "argv": ["true"]})
    assert fleet.wait("next", "succeeded")["worker"] == worker.name
    for id in ("ends", "goes-on"):
        job = fleet.job(id)
        assert fleet.result(id) == "second" and job["worker"] == other.name and job["attempt"] == "2", job
    fleet.settled()


def test_two_workers_race(fleet):
    ids = ["j%d" % i for i in range(500)]
    for _ in range(2):
        fleet.worker("--slots", 8, "--allow-exec")
    for number, id in enumerate(ids):
        fleet.publish(logged(fleet, id), priority=["high", "normal", "low"][number % 3],
                      encoding=["json", "msgpack"][number % 2])
    fleet.wait_all(ids, 90)
    each_ran_once(fleet, ids)
    by_worker = collections.Counter(fleet.job(id)["worker"] for id in ids)
    assert len(by_worker) == 2, by_worker
    assert all(fleet.job(id)["attempt"] == "1" for id in ids)
    fleet.settled()


def test_a_queue_deleted_under_its_consumer(fleet):
    worker = fleet.worker("--slots", 1, "--allow-exec")
    twice(fleet, "runs")
    first = pid_of_first(fleet, "runs")
    name = fleet.prefix + ".default.normal"
    fleet.channel.queue_delete(name)
    fleet.publish({"task": "noop", "id": "high"}, priority="high")
    until(lambda: "deleted" in worker.log(), 20, "the worker has noticed")
    fleet.command("submit", "noop", "--id", "normal", check=0)
    open(fleet.dir + "/runs.go", "w", encoding="utf-8").close()
    for id in ("runs", "high", "normal"):
        fleet.wait(id, "succeeded", 30)
    assert fleet.result("runs") == "first" and not alive(first)
    fleet.publish({"task": "noop", "id": "again"})
    fleet.wait("again", "succeeded", 30)
    assert worker.process.poll() is None
    fleet.settled()


# --- servers of its own, to be killed

@pytest.fixture
def own_fleet():
    with Servers() as servers:
        fleet = servers.fleet()
        yield fleet
        fleet.close()


def kill_while_jobs_run(fleet, server, name):
    """Publishes jobs, kills the server when some have ended, starts it, publishes more; all must end, each run once."""
    ended = int(fleet.redis.hget(fleet.key("stats"), "succeeded") or 0)
    ids = ["%s%d" % (name, i) for i in range(150)]
    for number, id in enumerate(ids):
        fleet.publish(logged(fleet, id, "sleep 0.05", after=[ids[number - 75]] if number >= 75 else []))
    until(lambda: int(fleet.redis.hget(fleet.key("stats"), "succeeded") or 0) > ended + 30, 30, "some have ended")
    fleet.servers.kill(server)
    began = time.monotonic()
    fleet.servers.start(server)
    if server == "rabbitmq":
        fleet.connect()
    for number in range(150, 170):
        ids.append("%s%d" % (name, number))
        fleet.publish(logged(fleet, ids[-1]))
    fleet.wait_all(ids, 60)
    print("all had ended %.1f s after %s was killed" % (time.monotonic() - began, server))
    assert all(fleet.state(id) == "succeeded" for id in ids)
    return ids


def test_servers_are_killed_and_come_back(own_fleet):
    fleet = own_fleet
    workers = [fleet.worker("--slots", 4, "--allow-exec") for _ in range(2)]
    born = time.monotonic()
    ids = kill_while_jobs_run(fleet, "redis", "a")
    # RabbitMQ 3.10 can come back with a queue broken that was declared within seconds of the kill
    until(lambda: time.monotonic() - born > 6)
    ids += kill_while_jobs_run(fleet, "rabbitmq", "b")
    each_ran_once(fleet, ids)
    assert all(worker.process.poll() is None for worker in workers)
    fleet.settled()


def test_a_worker_without_a_broker_is_not_alive(own_fleet):
    own = own_fleet
    worker = own.worker("--slots", 1, "--lease", "1s")
    until(lambda: own.command("workers", "--alive").returncode == 0, 20, "it consumes")
    own.servers.pause("rabbitmq")
    until(lambda: own.command("workers", "--alive").returncode == 4, 30, "it lives, and has nothing to consume from")
    assert worker.process.poll() is None
    own.servers.go_on("rabbitmq")
    until(lambda: own.command("workers", "--alive").returncode == 0, 60, "it consumes again")


def test_an_end_is_told_once_there_is_room_whatever_took_it(own_fleet):
    """The broker blocks publishers, and messages that are no jobs fill what may be under way; a dependent waits for that."""
    own = own_fleet
    own.worker("--slots", 1500, "--allow-exec").stop()
    gate = own.dir + "/gate"
    own.publish({"task": "exec", "id": "first", "argv": ["sh", "-c", "while [ ! -e %s ]; do sleep 0.05; done" % gate]})
    own.publish({"task": "sleep", "id": "child", "after": ["first"], "args": {"ms": 1}})
    for priority in ("normal", "high"):
        for _ in range(1050):
            own.publish(None, priority=priority, body=b"{")
    own.servers.rabbitmqctl("set_vm_memory_high_watermark", "0.0001")
    try:
        worker = own.worker("--slots", 1500, "--allow-exec")
        until(lambda: worker.log().count("is no job") >= 2100, 60, "all are on their way")
        own.wait("first", "running")
        own.wait("child", "waiting")
        open(gate, "w").close()
        own.wait("first", "succeeded")
    finally:
        own.servers.rabbitmqctl("set_vm_memory_high_watermark", "0.4")
    own.wait("child", "succeeded", 30)
    until(lambda: own.queue_length(own.prefix + ".rejected") == 2100, 30)
    own.settled()
