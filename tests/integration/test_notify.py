"""What a service manager hears of a worker (consumer/health.c), on a socket of the test's own."""
import os
import signal
import socket
import threading
import time
import uuid

import pytest

from fleet import Fleet, until
from jobs import pid_of_first, twice
from own_redis import OwnRedis

WATCHDOG_S = 0.4


class Manager:
    """Hears all that is sent to its socket; `lines` in the order in which they came, each with its time."""

    def __init__(self, fleet, abstract=False, watchdog=True):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.name = "@flotilla-test-" + uuid.uuid4().hex if abstract else os.path.join(fleet.dir, "notify")
        self.socket.bind(self.name.replace("@", "\0", 1) if abstract else self.name)
        self.env = {"NOTIFY_SOCKET": self.name, **({"WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))} if watchdog else {})}
        self.lines = []
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        while True:
            text = self.socket.recv(4096).decode()
            if text == "end":
                return
            self.lines += [(time.monotonic(), line) for line in text.splitlines()]

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(b"end", self.socket.getsockname())
        self.thread.join()
        self.socket.close()

    def said(self, line):
        return [text for _, text in self.lines].count(line)

    def hears(self, line, seconds=20):
        until(lambda: self.said(line), seconds, lambda: "%s; what came: %s" % (line, self.lines[-20:]))

    def hears_again(self, line, seconds=20):
        before = self.said(line)
        until(lambda: self.said(line) > before, seconds, lambda: "%s once more" % line)

    def silent(self, line):
        """It has not been said for several times as long as it may be missing."""
        return time.monotonic() - max(when for when, text in self.lines if text == line) > 4 * WATCHDOG_S


@pytest.fixture
def manager(fleet):
    manager = Manager(fleet)
    yield manager
    manager.close()


@pytest.fixture
def own():
    """A Redis and a fleet on it, and who listens to its workers."""
    with OwnRedis("--appendonly", "yes", "--appendfsync", "always") as server:
        fleet = Fleet(redis_url=server.url)
        manager = Manager(fleet)
        yield server, fleet, manager
        server.go_on()
        manager.close()
        fleet.close()


def test_it_is_ready_once_it_consumes(own):
    server, fleet, manager = own
    server.pause()
    fleet.worker(ready=False, env=manager.env)
    manager.hears_again("EXTEND_TIMEOUT_USEC=30000000")
    manager.hears_again("EXTEND_TIMEOUT_USEC=30000000")
    assert not manager.said("READY=1"), manager.lines
    server.go_on()
    manager.hears("READY=1")
    queue = fleet.channel.queue_declare("%s.default.normal" % fleet.prefix, passive=True)
    assert queue.method.consumer_count == 1, "by then it consumes"
    manager.hears("STATUS=pool default: 0 of %d slots busy, 0 jobs held" % os.cpu_count())


def test_it_feeds_the_watchdog_while_its_loop_turns(fleet, manager):
    worker = fleet.worker(env=manager.env)
    for _ in range(5):
        manager.hears_again("WATCHDOG=1")
    worker.process.send_signal(signal.SIGSTOP)
    until(lambda: manager.silent("WATCHDOG=1"), what="silence of a worker that stands still")
    worker.process.send_signal(signal.SIGCONT)
    manager.hears_again("WATCHDOG=1")
    assert manager.said("READY=1") == 1 and not manager.said("STOPPING=1")


def test_it_does_not_feed_it_when_it_does_not_consume_and_should_have_given_up(own):
    server, fleet, manager = own
    worker = fleet.worker("--retry-services", "1s", "--lease", "1s", env=manager.env)
    manager.hears_again("WATCHDOG=1")
    server.pause()
    until(lambda: manager.silent("WATCHDOG=1"), what="silence of a worker that Redis does not answer")
    assert worker.process.poll() is None, "its loop turns all the same\n" + worker.log()
    server.go_on()
    manager.hears_again("WATCHDOG=1")


def test_a_service_that_is_away_is_no_reason_to_kill_it(own):
    server, fleet, manager = own
    worker = fleet.worker("--retry-services", "60s", "--lease", "1s", env=manager.env)
    server.kill()
    until(lambda: any("waiting for Redis" in text for _, text in manager.lines), what="that it waits for Redis, in its status")
    for _ in range(15):  # for longer than a lease
        manager.hears_again("WATCHDOG=1")
    assert worker.process.poll() is None
    server.start()


def test_stopping_is_told_and_may_take_its_grace(fleet, manager):
    worker = fleet.worker("--slots", 1, "--allow-exec", "--grace", "60s", env=manager.env)
    twice(fleet, "runs")
    first = pid_of_first(fleet, "runs")
    extended = manager.said("EXTEND_TIMEOUT_USEC=30000000")
    worker.process.send_signal(signal.SIGTERM)
    manager.hears("STOPPING=1")
    assert manager.said("EXTEND_TIMEOUT_USEC=30000000") > extended, "with it, since the manager's time begins then"
    manager.hears("STATUS=pool default: stopping, 1 of 1 slots busy, 0 jobs held")
    os.kill(first, signal.SIGTERM)
    assert worker.process.wait(30) == 0, worker.log()
    assert manager.said("STOPPING=1") == 1


def test_an_abstract_socket_and_a_watchdog_of_another_process(fleet):
    manager = Manager(fleet, abstract=True)
    try:
        fleet.worker(env={**manager.env, "WATCHDOG_PID": "1"})
        manager.hears("READY=1")
        assert not manager.said("WATCHDOG=1")
    finally:
        manager.close()


def test_jobs_do_not_speak_in_its_name(fleet, manager):
    worker = fleet.worker("--allow-exec", env={**manager.env, "KEPT": "yes"})
    fleet.publish({"task": "exec", "id": "e", "argv": ["sh", "-c", "env >&2; echo '\"done\"' >result"]})
    fleet.wait("e", "succeeded")
    with open(os.path.join(fleet.job("e")["dir"], "stderr"), encoding="utf-8") as file:
        text = file.read()
    assert "KEPT=yes" in text and "NOTIFY_SOCKET" not in text and "WATCHDOG" not in text, text
    assert worker.process.poll() is None


def test_a_socket_that_is_none_changes_nothing(fleet):
    fleet.worker(env={"NOTIFY_SOCKET": "/nowhere/notify", "WATCHDOG_USEC": "rubbish"})
    fleet.publish({"task": "noop", "id": "a"})
    fleet.wait("a", "succeeded")
