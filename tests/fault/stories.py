"""Interleavings that need a fault at one place and something else at another: each was found by make fault, and mended."""
import threading
import time
import traceback

from fleet import until
from supervise import FaultFleet


def late_key(fleet):
    """A registration stands still; the caretaker finishes it, the job runs and ends, its dedup key goes. Then the first one goes on
    and takes the key for a job that will never release it."""
    fleet.start("--slots", "2").ready()
    done = fleet.command("submit", "fail", "--id", "late", "--dedup", "k", env={"FAULT_AT": "admit.answered:stall=9000"})
    assert done.returncode == 0, done.stderr
    assert fleet.state("late") == "failed"
    until(lambda: not fleet.redis.exists(fleet.key("dedup", "k")), 5, "the key has been released")
    fleet.settled()


def late_key_of_a_success(fleet):
    """The same where the key stays for a while, for jobs that reuse: it must not stay for ever."""
    fleet.start("--slots", "2").ready()
    done = fleet.command("submit", "noop", "--id", "late", "--dedup", "k", env={"FAULT_AT": "admit.answered:stall=9000"})
    assert done.returncode == 0, done.stderr
    assert fleet.state("late") == "succeeded"
    until(lambda: fleet.redis.pttl(fleet.key("dedup", "k")) > 0, 5, "the key goes some time")
    fleet.settled()


def late_confirm(fleet):
    """What is told late of an invitation says nothing of the next one: the job has failed and is queued again, its worker has died
    before it could invite, and the word that the first invitation was confirmed must not put the second one off by five minutes."""
    log = fleet.dir + "/faults"
    worker = fleet.start("--slots", "2", env={"FAULT_AT": "due.answered:kill", "FAULT_LOG": log}).ready()
    done = fleet.command("submit", "fail", "--id", "again", "--retries", 1, "--backoff", "50ms",
                         env={"FAULT_AT": "invite.confirmed:stall=5000"})
    assert done.returncode == 0, done.stderr
    assert worker.process.wait(10) == -9 and fleet.state("again") == "queued" and fleet.job("again")["attempt"] == "1", worker.log()
    fleet.start("--slots", "2").ready()
    assert fleet.wait("again", "failed", 30)["attempt"] == "2"
    fleet.settled()


def one(story, problems):
    fleet, began = FaultFleet(), time.monotonic()
    try:
        story(fleet)
        print("  ok   %-46s %.1f s" % (story.__name__, time.monotonic() - began), flush=True)
    except Exception:  # whatever it is
        problems.append(story.__name__)
        print("  FAIL %s\n%s" % (story.__name__, traceback.format_exc()), flush=True)
    finally:
        fleet.close()


def run_stories():
    stories, problems = (late_key, late_key_of_a_success, late_confirm), []
    threads = [threading.Thread(target=one, args=(story, problems)) for story in stories]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(stories) - len(problems), len(problems)
