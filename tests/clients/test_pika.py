"""Jobs from pika, as any program in Python would publish them; asserted from Redis and from a log that the jobs write."""
import collections
import json
import os
import re
import subprocess
import sys
import threading

import msgpack
import pika
import pytest

from fleet import ROOT, until


def logged(fleet, id, **more):
    """A job that writes down when it starts and when it ends, and gives its id back."""
    script = 'echo "start $FLOTILLA_ID" >> {log}; echo "\\"$FLOTILLA_ID\\"" > result; echo "end $FLOTILLA_ID" >> {log}'
    return {"task": "exec", "id": id, "argv": ["sh", "-c", script.format(log=fleet.dir + "/log")], **more}


def log_of(fleet):
    with open(fleet.dir + "/log", encoding="utf-8") as file:
        return file.read().splitlines()


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@pytest.mark.parametrize("default_exchange", [False, True])
def test_children_before_parents(fleet, encoding, default_exchange):
    fleet.worker("--slots", 4, "--allow-exec")
    queue = fleet.reply_queue()
    jobs = {"all": ["b", "c"], "c": ["a"], "b": ["a"], "a": []}
    for id, after in jobs.items():
        fleet.publish(logged(fleet, id, after=after), encoding=encoding, default_exchange=default_exchange,
                      reply_to=queue, correlation_id="about " + id)
    fleet.wait_all(jobs)
    lines = log_of(fleet)
    assert sorted(lines) == sorted(word + id for id in jobs for word in ("start ", "end "))
    for id, after in jobs.items():
        job = fleet.job(id)
        assert job["state"] == "succeeded" and job["attempt"] == "1", job
        assert fleet.result(id) == id
        for parent in after:
            assert lines.index("end " + parent) < lines.index("start " + id)
            assert int(fleet.job(parent)["ended_at"]) <= int(job["started_at"])
    for _ in jobs:
        _, properties, body = fleet.get(queue)
        answer = json.loads(body) if encoding == "json" else msgpack.unpackb(body)
        assert properties.content_type == "application/" + encoding
        assert properties.correlation_id == "about " + answer["id"]
        assert answer["state"] == "succeeded" and answer["result"] == answer["id"]
    fleet.settled()


def test_without_content_type_and_with_parameters(fleet):
    fleet.worker()
    queue = fleet.reply_queue()
    job = {"task": "noop", "args": {"n": [1, 2.5, "é", None, True]}}
    bodies = {"j": (b" \n" + json.dumps({**job, "id": "j"}).encode(), None), "m": (msgpack.packb({**job, "id": "m"}), None),
              "c": (json.dumps({**job, "id": "c"}).encode(), "application/json; charset=utf-8"),
              "p": (msgpack.packb({**job, "id": "p"}), "application/msgpack")}
    for id, (body, kind) in bodies.items():
        fleet.publish(None, body=body, content_type=kind, reply_to=queue)
    for id in bodies:
        fleet.wait(id, "succeeded")
        assert fleet.result(id) == job["args"]
    for _ in bodies:
        _, properties, body = fleet.get(queue)
        answer = json.loads(body) if properties.content_type == "application/json" else msgpack.unpackb(body)
        assert properties.content_type == ("application/json" if answer["id"] in "jc" else "application/msgpack")
        assert answer["result"] == job["args"]


def test_message_id_stands_for_the_id_and_one_is_made(fleet):
    fleet.worker()
    queue = fleet.reply_queue()
    fleet.publish({"task": "noop", "args": 1}, message_id="from/the.message")
    fleet.publish({"task": "noop", "args": 2, "id": "from-the-body"}, message_id="not-this")
    fleet.publish({"task": "noop", "args": 3}, reply_to=queue)
    fleet.wait("from/the.message", "succeeded")
    fleet.wait("from-the-body", "succeeded")
    made = json.loads(fleet.get(queue)[2])["id"]
    assert made and fleet.result(made) == 3 and fleet.state(made) == "succeeded"
    assert fleet.state("not-this") is None


@pytest.mark.parametrize("correlation", ["", "a b:c/d\\e\"f'", "é\U0001f6a2\u2028", "\x01\x1f\n\t{}%s$x|,;=", "x" * 255])
def test_odd_correlation_ids_come_back(fleet, correlation):
    fleet.worker()
    queue = fleet.reply_queue()
    fleet.publish({"task": "noop", "id": "ok"}, reply_to=queue, correlation_id=correlation)
    assert (fleet.get(queue)[1].correlation_id or "") == correlation
    fleet.publish({"task": "noop", "colour": "red"}, reply_to=queue, correlation_id=correlation)
    _, properties, body = fleet.get(queue)
    assert (properties.correlation_id or "") == correlation and json.loads(body)["state"] == "rejected"


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_a_rejected_message_is_answered(fleet, encoding):
    fleet.worker()
    queue = fleet.reply_queue()
    fleet.publish({"task": "noop", "id": "bad", "retries": -1}, encoding=encoding, reply_to=queue, correlation_id="c")
    _, properties, body = fleet.get(queue)
    answer = json.loads(body) if encoding == "json" else msgpack.unpackb(body)
    assert properties.correlation_id == "c" and properties.content_type == "application/" + encoding
    assert (answer["id"], answer["state"], answer["reason"]) == ("bad", "rejected", "rejected")
    assert "retries" in answer["error"]
    assert fleet.state("bad") is None
    until(lambda: fleet.queue_length(fleet.prefix + ".rejected") == 1)


def test_fifty_publishes_of_one_id_from_several_connections(fleet):
    fleet.worker("--slots", 4, "--allow-exec")
    body = json.dumps(logged(fleet, "one")).encode()

    def publish(number):
        connection = pika.BlockingConnection(pika.URLParameters(os.environ["FLOTILLA_AMQP_URL"]))
        channel = connection.channel()
        channel.confirm_delivery()
        for i in range(10):
            exchange, key = ((fleet.prefix, "default.normal"), ("", fleet.prefix + ".default.high"))[(number + i) % 2]
            channel.basic_publish(exchange, key, body, pika.BasicProperties(delivery_mode=2), mandatory=True)
        connection.close()
    together(publish, range(5))
    assert fleet.wait("one", "succeeded")["attempt"] == "1"
    for priority in ("high", "normal"):
        until(lambda: fleet.queue_length("%s.default.%s" % (fleet.prefix, priority)) == 0)
    fleet.settled()
    assert log_of(fleet) == ["start one", "end one"]


def together(function, arguments):
    failures = []

    def run(argument):
        try:
            function(argument)
        except Exception as error:  # of another thread
            failures.append(error)
    threads = [threading.Thread(target=run, args=(argument,)) for argument in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures, failures


def test_twenty_submissions_with_one_key(fleet):
    fleet.worker("--slots", 4, "--allow-exec")
    fleet.worker("--slots", 4, "--allow-exec")
    flag = fleet.dir + "/go"
    script = 'echo "start $FLOTILLA_ID" >> {0}/log; while [ ! -e {1} ]; do sleep 0.05; done; echo "{{\\"by\\": \\"$FLOTILLA_ID\\"}}" > result'
    argv = ["sh", "-c", script.format(fleet.dir, flag)]
    ids = ["d%d" % i for i in range(20)]

    def submit(number):
        if number % 2:
            fleet.command("submit", "exec", "--id", ids[number], "--dedup", "the work", "--", *argv, check=0)
            return
        connection = pika.BlockingConnection(pika.URLParameters(os.environ["FLOTILLA_AMQP_URL"]))
        job = {"task": "exec", "id": ids[number], "argv": argv, "dedup": "the work"}
        connection.channel().basic_publish(fleet.prefix, "default.normal", msgpack.packb(job),
                                           pika.BasicProperties(content_type="application/msgpack", delivery_mode=2))
        connection.close()
    together(submit, range(20))
    until(lambda: all(fleet.state(id) in ("running", "waiting") for id in ids), 20,
          lambda: str(collections.Counter(fleet.state(id) for id in ids)))
    open(flag, "w", encoding="utf-8").close()
    fleet.wait_all(ids)
    lines = log_of(fleet)
    assert len(lines) == 1, lines
    winner = lines[0].split()[1]
    for id in ids:
        job = fleet.job(id)
        assert job["state"] == "succeeded" and fleet.result(id) == {"by": winner}, job
        assert job.get("duplicate_of") == (None if id == winner else winner), job
        assert job["attempt"] == ("1" if id == winner else "0")
    fleet.settled()


def test_the_signed_example(fleet):
    """examples/signed.py as it stands, against a pool that takes nothing else; docs/signing.md shows a part of it."""
    path = os.path.join(fleet.dir, "keys")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
        file.write("mine %s\n" % os.urandom(32).hex())
    fleet.worker("--pool", "secure", "--signing-keys", path, "--require-signed")
    env = {**os.environ, "FLOTILLA_PREFIX": fleet.prefix, "FLOTILLA_SIGNING_KEYS": path}
    done = subprocess.run([sys.executable, os.path.join(ROOT, "examples", "signed.py"), "secure"], env=env, capture_output=True,
                          text=True, timeout=60, check=True)
    correlation, answer = done.stdout.split(" ", 1)
    answer = json.loads(answer)
    assert correlation == "42" and (answer["state"], answer["result"]) == ("succeeded", {"pages": 3})
    fleet.publish({"task": "noop", "id": "bare"}, pool="secure")
    assert "not signed" in fleet.get(fleet.prefix + ".rejected")[1].headers["x-flotilla-reason"]


@pytest.mark.parametrize("name, fence", [("signed.py", "python"), ("signed.mjs", "js")])
def test_the_page_shows_what_the_example_does(name, fence):
    with open(os.path.join(ROOT, "docs", "signing.md"), encoding="utf-8") as file:
        shown = re.search("```%s\n(.*?)```" % fence, file.read(), re.S).group(1)
    with open(os.path.join(ROOT, "examples", name), encoding="utf-8") as file:
        assert shown in file.read()
