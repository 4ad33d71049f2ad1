"""Redis without appendfsync always comes back without its last second (the model: docs/model.md). Nothing may be acknowledged
on the strength of what it forgot."""
import json
import os
import subprocess
import time

import pytest

from fleet import BUILD, Fleet, until
from own_redis import OwnRedis


@pytest.fixture
def forgetful():
    with OwnRedis("--appendonly", "yes", "--appendfsync", "everysec") as server:
        fleet = Fleet(redis_url=server.url)
        fleet.server = server
        yield fleet
        if not server.answers():
            server.kill()
            server.start()
        fleet.close()


def normal(fleet):
    return fleet.prefix + ".default.normal"


def test_a_job_whose_claim_is_forgotten_runs_again(forgetful):
    """Nothing waits for the disk yet when Redis dies: the job has just begun."""
    fleet = forgetful
    fleet.worker("--slots", 2)
    fleet.publish({"task": "sleep", "id": "a", "args": {"ms": 5000}})
    fleet.wait("a", "running")
    fleet.server.come_back_empty()
    fleet.wait("a", "succeeded", 30)
    fleet.settled()


def within(seconds, began):
    return time.monotonic() - began < seconds


def test_a_redis_that_may_be_dead_acknowledges_nothing(forgetful):
    """It answers, and then nothing more is heard of it: the time alone does not make the answer durable."""
    fleet = forgetful
    worker = fleet.worker()
    for attempt in range(10):
        began = time.monotonic()
        fleet.publish({"task": "noop", "id": "a%d" % attempt})
        fleet.wait("a%d" % attempt, "succeeded")
        fleet.server.pause()
        if within(1.5, began):
            break
        fleet.server.go_on()
    else:
        pytest.skip("this machine is too slow: no job ends within 1.5 s")
    # twice the time that acknowledgements wait
    until(lambda: not within(4, began), 10)
    worker.process.kill()
    worker.process.wait()
    fleet.server.go_on()
    until(lambda: fleet.queue_length(normal(fleet)) >= 1, 20, "the message is there again")


def test_a_job_handed_back_is_acknowledged_when_redis_keeps_it(forgetful):
    """The invitation that takes its message's place is worth nothing where the job is forgotten."""
    fleet = forgetful
    for attempt in range(10):
        worker = fleet.worker("--slots", 1, "--grace", "60s")
        long, held = "long%d" % attempt, "held%d" % attempt
        fleet.publish({"task": "sleep", "id": long, "args": {"ms": 60000}})
        fleet.wait(long, "running")
        began = time.monotonic()
        fleet.publish({"task": "sleep", "id": held, "args": {"ms": 1}})
        fleet.wait(held, "queued")
        worker.process.terminate()
        until(lambda: fleet.queue_length(normal(fleet)) >= 1, 20, "it is handed back")
        worker.process.kill()
        worker.process.wait()
        fast = within(1.5, began)
        fleet.server.come_back_empty()
        if fast:
            break
        fleet.channel.queue_purge(normal(fleet))
    else:
        pytest.skip("this machine is too slow: nothing is handed back within 1.5 s")
    fleet.worker("--slots", 2)
    fleet.wait(held, "succeeded", 30)


# A step is forgotten only while the flow that it is of is under way.
FORGET_WATCH = """if redis.call('HEXISTS', KEYS[1], '~') == 0 then return 0 end
return redis.call('DEL', KEYS[2])"""
FORGET_RESOLVE = """local id, from = ARGV[1], ARGV[2]
if not redis.call('ZSCORE', KEYS[3], from) or redis.call('HGET', KEYS[1], 'state') ~= 'queued' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'waiting', 'pending', 1)
redis.call('HSET', KEYS[2], from, 'succeeded')
return redis.call('ZREM', KEYS[4], id)"""


def lose_sessions(fleet):
    fleet.server.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def quickly(condition, seconds=30):
    """Looks all the time: what it looks for is soon over."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
    return True


def test_a_registration_whose_steps_are_forgotten_begins_again(forgetful):
    """The guard stands for watches; it must not be taken away once one of them is lost."""
    fleet, redis = forgetful, forgetful.redis
    after = ["p%d" % i for i in range(20000)]
    command = [os.path.join(BUILD, "bin", "flotilla"), "submit", "noop", "--prefix", fleet.prefix, "--redis", fleet.redis_url, "--id", "c"]
    with subprocess.Popen(command + ["--after=" + id for id in after], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as submit:
        waiting, first = fleet.key("job", "c", "waiting"), fleet.key("job", after[0], "dependents")
        quickly(lambda: redis.eval(FORGET_WATCH, 2, waiting, first))
        lose_sessions(fleet)
        assert redis.hexists(waiting, "~"), "the registration was over too soon for this test to show anything"
        output = submit.communicate(timeout=60)
    assert submit.returncode == 0, output
    assert not redis.hexists(waiting, "~") and redis.hlen(waiting) == len(after)
    assert redis.hgetall(first) == {"c": "succeeded"}


def test_an_end_whose_telling_is_forgotten_is_told_again(forgetful):
    fleet, redis = forgetful, forgetful.redis
    redis.config_set("appendfsync", "always")  # where no acknowledgement waits, and all of them are soon registered
    worker = fleet.worker("--slots", 200)
    channel = fleet.connection.channel()  # without confirms
    children = ["c%d" % i for i in range(2000)]
    for id in children:
        channel.basic_publish(fleet.prefix, "default.normal", json.dumps({"task": "noop", "id": id, "after": ["p"], "pool": "other"}).encode())
    until(lambda: redis.hlen(fleet.key("job", "p", "dependents")) == len(children) and not redis.zcard(fleet.key("settling")), 60)
    assert worker.stop() == 0
    redis.config_set("appendfsync", "everysec")
    fleet.worker("--slots", 1)
    fleet.publish({"task": "noop", "id": "p"})
    told = []

    def forget_one():
        told[:] = redis.zrange(fleet.key("outbox"), 0, 0)
        return told and redis.eval(FORGET_RESOLVE, 4, fleet.key("job", told[0]), fleet.key("job", told[0], "waiting"),
                                   fleet.key("settling"), fleet.key("outbox"), told[0], "p")
    quickly(forget_one)
    lose_sessions(fleet)
    assert redis.zscore(fleet.key("settling"), "p"), "all were told too soon for this test to show anything"
    until(lambda: not redis.zcard(fleet.key("settling")), 40, "the end is told")
    assert {fleet.state(id) for id in children} == {"queued"}
