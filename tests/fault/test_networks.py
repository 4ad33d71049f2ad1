"""Networks that are cut and healed, one way and both; connections that are reset, refused, swallowed. The worker behind the proxies
recovers by itself, and nothing is lost or run twice."""
import time

import pytest

from fleet import until


CUTS = {"to the server": ("drop", "pass"), "from the server": ("pass", "drop"), "both ways": ("drop", "drop"),
        "both ways, mended by TCP": ("hold", "hold")}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("server", ["rabbitmq", "redis"])
def test_a_network_is_cut_and_healed(ground, server, cut):
    _, far = ground.workers()
    proxy, back = (ground.redis, "Redis is there") if server == "redis" else (ground.amqp, "consuming from")
    ground.publish()
    seen, began = len(far.log()), time.monotonic()
    proxy.cut(*CUTS[cut])
    over = began + 4
    until(lambda: time.monotonic() > over)
    proxy.heal()
    if "drop" in CUTS[cut]:
        # the old connections stay dead: it has to see that by itself
        until(lambda: "trying again" in far.log()[seen:], 40, far.log)
        noticed = time.monotonic() - began
        until(lambda: back in far.log()[seen:], 40, far.log)
        print("noticed %.1f s after the cut, a new session %.1f s after it was healed" % (noticed, time.monotonic() - over))
    ground.recovered("the network to %s cut for 4 s, %s" % (server, cut), over)


def test_connections_are_reset_and_refused(ground):
    ground.publish()
    for proxy in (ground.amqp, ground.redis):
        proxy.reset()
    ground.recovered("connections reset", time.monotonic())
    ground.publish()
    for proxy in (ground.amqp, ground.redis):
        proxy.refuse()
    over = time.monotonic() + 2
    until(lambda: time.monotonic() > over)
    for proxy in (ground.amqp, ground.redis):
        proxy.accept_again()
    ground.recovered("connections refused for 2 s", over)


def test_a_broken_queue_does_not_hold_up_the_others(ground):
    """As RabbitMQ 3.10 can leave one when it is killed: basic.consume is never answered, nor anything after it on its channel."""
    fleet = ground.fleet
    ground.amqp.broken_queue = fleet.prefix + ".gpu.normal"
    worker = fleet.worker("--pool", "gpu", "--slots", 1, "--amqp", "amqp://guest:guest@127.0.0.1:%d/" % ground.amqp.port, ready=False)
    try:
        until(lambda: "doing without it" in worker.log(), 30, worker.log)
        fleet.publish({"task": "noop", "id": "low"}, pool="gpu", priority="low")
        fleet.publish({"task": "noop", "id": "high"}, pool="gpu", priority="high")
        fleet.publish({"task": "noop", "id": "normal"}, pool="gpu", priority="normal")
        fleet.wait_all(["low", "high"], 30)
        assert fleet.state("normal") is None and worker.process.poll() is None
    finally:
        ground.amqp.broken_queue = None
    ground.amqp.reset()
    began = time.monotonic()
    fleet.wait("normal", "succeeded", 60)
    print("the queue that was broken was consumed again after %.1f s" % (time.monotonic() - began))
    assert worker.stop() == 0
    ground.others += 3
