"""Redis without appendfsync always comes back without its last second (the model: docs/model.md). Nothing may be acknowledged
on the strength of what it forgot."""
import time

import pytest

from fleet import Fleet, until
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
