"""What one message of a stranger's may not do to the fleet: headers as large, and as deep, as a frame takes (RabbitMQ adds to them
when it delivers a message again, the fleet does when it moves one), and jobs that mean to stay."""
import hashlib
import hmac
import json
import os
import shutil

from fleet import ROOT, until
from raw_headers import LARGEST, Properties, nested, padded, text


def publish(fleet, table, body, exchange=None, key="default.normal"):
    fleet.channel.basic_publish(fleet.prefix if exchange is None else exchange, key, body, Properties(table), mandatory=True)


def goes_on(fleet, id):
    fleet.publish({"id": id, "task": "noop"})
    fleet.wait(id, "succeeded")
    assert "trying again" not in fleet.logs() and "fetching again" not in fleet.logs()


def test_headers_that_fill_a_frame(fleet):
    fleet.worker("--slots", 2)
    sizes = [LARGEST - less for less in (0, 1, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200, 250, 300, 400, 800)]
    for size in sizes:
        publish(fleet, padded(size), b'{"id": "j%d", "task": "noop"}' % size)
        publish(fleet, padded(size), b"{%d" % size)
    fleet.wait_all(["j%d" % size for size in sizes])
    kept = 0
    for size in sizes:
        _, properties, body = fleet.get(fleet.prefix + ".rejected")
        assert body.startswith(b"{13") and "JSON" in properties.headers["x-flotilla-reason"], "a reason and a body it keeps in any case"
        assert ("x-mine" in properties.headers) != (properties.headers.get("x-flotilla-headers") == "left out: too long")
        kept += "x-mine" in properties.headers
    assert 0 < kept < len(sizes)
    goes_on(fleet, "after")


def test_headers_that_grow_beyond_a_frame_when_they_come_again(fleet):
    """By a number of deliveries, and then, given up, by how it died."""
    fleet.worker().stop()
    for id in ("again", "given-up"):
        publish(fleet, padded(LARGEST), b'{"id": "%s", "task": "noop"}' % id.encode())
    for _ in range(2):
        channel = fleet.connection.channel()
        for _ in range(2):
            until(lambda: channel.basic_get(fleet.prefix + ".default.normal")[0], what="both are there again")
        channel.close()
    channel = fleet.connection.channel()
    until(lambda: channel.basic_get(fleet.prefix + ".default.normal")[0])
    method = until(lambda: channel.basic_get(fleet.prefix + ".default.normal")[0])
    channel.basic_nack(method.delivery_tag, requeue=False)
    until(lambda: fleet.queue_length(fleet.prefix + ".returned") == 1, what="RabbitMQ gives up on one")
    channel.close()
    fleet.worker()
    fleet.wait_all(["again", "given-up"])
    goes_on(fleet, "after")


def test_a_signature_is_not_left_out(fleet):
    body = b'{"id": "signed", "task": "noop"}'
    key = bytes([1]) * 32
    with open(fleet.dir + "/keys", "w", encoding="utf-8") as file:
        file.write("k %s\n" % key.hex())
    mac = hmac.new(key, "\n".join(["flotilla-job-1", "k", fleet.prefix, "secure.normal", "", "", "", ""]).encode() + body, hashlib.sha256)
    fleet.command("broker", "apply", "--pool", "secure", check=0)
    table = padded(LARGEST, text("x-first-death-queue", (fleet.prefix + ".secure.normal").encode()), text("x-flotilla-key", b"k"),
                   text("x-flotilla-signature", mac.hexdigest().encode()))
    publish(fleet, table, body, exchange="", key=fleet.prefix + ".returned")
    os.chmod(fleet.dir + "/keys", 0o600)
    fleet.worker("--pool", "secure", "--require-signed", "--signing-keys", fleet.dir + "/keys")
    fleet.wait("signed", "succeeded")


def test_headers_as_deep_as_a_frame_takes(fleet):
    """RabbitMQ takes seconds for each of these; a worker's stack holds 26,000 levels twice."""
    fleet.worker()
    publish(fleet, nested(10000), json.dumps({"id": "deep", "task": "noop"}).encode())
    fleet.wait("deep", "succeeded", 60)
    goes_on(fleet, "after")


def test_nobody_keeps_a_slot_for_longer_than_the_worker_allows(fleet):
    shutil.copy(os.path.join(ROOT, "examples", "runner.py"), fleet.dir)
    with open(fleet.dir + "/r.py", "w", encoding="utf-8") as file:
        file.write("import time, runner\nrunner.Runner().serve(lambda self, job: time.sleep(600))\n")
    with open(fleet.dir + "/h.yaml", "w", encoding="utf-8") as file:
        file.write("handlers:\n  slow: { command: [sleep, '600'], timeout: 1h }\n  runner: { runner: [/usr/bin/python3, r.py] }\n")
    fleet.worker("--slots", 4, "--handlers", "h.yaml", "--allow-exec", "--max-timeout", "500ms")
    day = 24 * 3600 * 1000
    jobs = [{"task": "sleep", "args": {"ms": 3650 * day}, "timeout_ms": 3650 * day}, {"task": "sleep", "args": {"ms": day}}, {"task": "slow"},
            {"task": "slow", "timeout_ms": day}, {"task": "runner", "timeout_ms": day}, {"task": "exec", "argv": ["sleep", "600"]}]
    for number, job in enumerate(jobs):
        fleet.publish({"id": "s%d" % number, **job})
    fleet.publish({"id": "short", "task": "sleep", "args": {"ms": 10}, "timeout_ms": day})
    for number, job in enumerate(jobs):
        ended = fleet.wait("s%d" % number, "failed")
        assert (ended["reason"], ended["error"]) == ("timeout", "timed out after 500 ms"), (job, ended)
    fleet.wait("short", "succeeded")
