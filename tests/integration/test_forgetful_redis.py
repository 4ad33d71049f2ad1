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


# A step is forgotten only while the flow that it is of is under way. Where that was over too soon, it is tried again.
ROUNDS = 8
FORGET_WATCH = """if redis.call('HEXISTS', KEYS[1], '~') == 0 then return 0 end
return redis.call('DEL', KEYS[2])"""
FORGET_RESOLVE = """if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
for i = 2, #KEYS do
  if redis.call('HEXISTS', KEYS[i], ARGV[1]) == 0 then
    redis.call('HSET', KEYS[i], ARGV[1], 'succeeded')
    return i
  end
end
return 0"""


def lose_sessions(fleet):
    fleet.server.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def at_once(step, over):
    """Looks all the time, since what it looks for is soon over: what `step` says, once that is something; else, when `over`, None."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = step()
        if found:
            return found
        if over():
            return None
    raise AssertionError("neither done nor over within 60 s")


def test_a_registration_whose_steps_are_forgotten_begins_again(forgetful):
    """The guard stands for watches; it must not be taken away once one of them is lost."""
    fleet, redis = forgetful, forgetful.redis
    after = ["p%d" % i for i in range(20000)]
    command = [os.path.join(BUILD, "bin", "flotilla"), "submit", "noop", "--prefix", fleet.prefix, "--redis", fleet.redis_url]
    for id in ("c%d" % i for i in range(ROUNDS)):
        waiting, first = fleet.key("job", id, "waiting"), fleet.key("job", after[0], "dependents")
        redis.delete(first)
        with subprocess.Popen(command + ["--id", id] + ["--after=" + name for name in after], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as submit:
            forgotten = at_once(lambda: redis.eval(FORGET_WATCH, 2, waiting, first), lambda: submit.poll() is not None)
            lose_sessions(fleet)
            shown = forgotten and redis.hexists(waiting, "~")
            output = submit.communicate(timeout=60)
        assert submit.returncode == 0, output
        if shown:
            assert not redis.hexists(waiting, "~") and redis.hlen(waiting) == len(after)
            assert redis.hget(first, id) == "succeeded"
            return
    pytest.skip("this machine is too slow: each registration was over before it could be disturbed")


def test_an_end_whose_telling_is_forgotten_is_told_again(forgetful):
    fleet, redis = forgetful, forgetful.redis
    redis.config_set("appendfsync", "always")  # where no acknowledgement waits, and all of them are soon registered
    worker = fleet.worker("--slots", 200)
    channel = fleet.connection.channel()  # without confirms
    after, children = ["p%d" % i for i in range(ROUNDS)], ["c%d" % i for i in range(2000)]
    waiting = [fleet.key("job", id, "waiting") for id in children]
    settling = fleet.key("settling")
    for id in children:
        body = json.dumps({"task": "noop", "id": id, "after": after + ["never"]}).encode()
        channel.basic_publish(fleet.prefix, "default.normal", body)
    until(lambda: redis.hlen(fleet.key("job", "never", "dependents")) == len(children) and not redis.zcard(settling), 120)
    assert worker.stop() == 0
    redis.config_set("appendfsync", "everysec")
    fleet.worker("--slots", 1)
    for p in after:
        fleet.publish({"task": "noop", "id": p})
        forgotten = at_once(lambda: redis.eval(FORGET_RESOLVE, 21, settling, *waiting[:20], p),
                            lambda: fleet.state(p) == "succeeded" and not redis.zscore(settling, p))
        lose_sessions(fleet)
        shown = forgotten and redis.zscore(settling, p)
        until(lambda: not redis.zcard(settling), 60, "the end is told")
        if shown:
            assert not any(redis.hexists(key, p) for key in waiting)
            return
    pytest.skip("this machine is too slow: each telling was over before it could be disturbed")
