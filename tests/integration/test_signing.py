"""Signed jobs: what a pool that demands signatures takes and what it parks, keys that rotate, and the ways around by other pools."""
import hashlib
import hmac
import json
import os
import re
import subprocess

import pika

from fleet import BUILD, until

OLD, NEW, OTHER = (bytes([n]) * 32 for n in (1, 2, 3))


def headers(fleet, body, key=OLD, id="old", pool="secure", priority="normal", message_id="", reply_to="", correlation_id=""):
    lines = ["flotilla-job-1", id, fleet.prefix, pool + "." + priority, message_id, reply_to, correlation_id, ""]
    mac = hmac.new(key, "\n".join(lines).encode() + body, hashlib.sha256).hexdigest()
    return {"x-flotilla-key": id, "x-flotilla-signature": mac}


def keys(fleet, *pairs, name="keys", mode=0o600):
    """Written as an operator should: aside, then moved."""
    path = os.path.join(fleet.dir, name)
    with open(path + ".new", "w", encoding="utf-8") as file:
        os.chmod(path + ".new", mode)
        file.write("".join("%s %s\n" % (id, key.hex()) for id, key in pairs))
    os.rename(path + ".new", path)
    return path


def secure(fleet, *options, pool="secure", pairs=(("old", OLD),)):
    return fleet.worker("--pool", pool, "--require-signed", "--signing-keys", keys(fleet, *pairs), *options)


def publish(fleet, job, pool="secure", priority="normal", signed=True, body=None, **how):
    """`how` says what is signed; what goes out may be said otherwise by body and sent."""
    sent = how.pop("sent", {})
    text = json.dumps(job).encode()
    properties = {name: how[name] for name in ("message_id", "reply_to", "correlation_id") if name in how}
    named = headers(fleet, text, **{"pool": pool, "priority": priority, **how}) if signed else {}
    properties.setdefault("headers", named)
    fleet.publish(None, pool=pool, priority=priority, body=body or text, **{**properties, **sent})


def rejected(fleet, pool="secure", priority="normal"):
    _, properties, body = fleet.get(fleet.prefix + ".rejected")
    assert properties.headers["x-flotilla-from"] == "%s.%s.%s" % (fleet.prefix, pool, priority)
    return properties.headers["x-flotilla-reason"], properties, body


def noop(id, **more):
    return {"task": "noop", "id": id, **more}


def test_signed_jobs_run(fleet):
    secure(fleet)
    queue = fleet.reply_queue()
    publish(fleet, noop("plain"))
    publish(fleet, noop("replied"), priority="high", reply_to=queue, correlation_id="c-é")
    publish(fleet, {"task": "noop"}, message_id="from-message", priority="low")
    fleet.publish(None, pool="secure", default_exchange=True, body=b'{"task":"noop","id":"by-queue"}',
                  headers=headers(fleet, b'{"task":"noop","id":"by-queue"}'))
    upper = headers(fleet, json.dumps(noop("upper")).encode())
    publish(fleet, noop("upper"), sent={"headers": {**upper, "x-flotilla-signature": upper["x-flotilla-signature"].upper(), "x-mine": 1}})
    ids = ["plain", "replied", "from-message", "by-queue", "upper"]
    fleet.wait_all(ids)
    assert {fleet.state(id) for id in ids} == {"succeeded"}
    assert json.loads(fleet.get(queue)[2])["id"] == "replied"
    assert fleet.queue_length(fleet.prefix + ".rejected") == 0
    fleet.settled()


REFUSED = [
    ("unsigned", {"signed": False}, "it is not signed"),
    ("no mac", {"sent": {"headers": {"x-flotilla-key": "old"}}}, "the header x-flotilla-signature is missing"),
    ("no key", {"sent": {"headers": {"x-flotilla-signature": "00" * 32}}}, "the header x-flotilla-key is missing"),
    ("short", {"sent": {"headers": {"x-flotilla-key": "old", "x-flotilla-signature": "00" * 31}}}, "64 hex digits"),
    ("no hex", {"sent": {"headers": {"x-flotilla-key": "old", "x-flotilla-signature": "0g" * 32}}}, "64 hex digits"),
    ("no text", {"sent": {"headers": {"x-flotilla-key": 7, "x-flotilla-signature": 7}}}, "it is not signed"),
    ("wrong key", {"key": OTHER}, "is not what the key `old` makes"),
    ("unknown key", {"id": "nobody"}, "`nobody`: no key"),
    ("other id of the key", {"key": OLD, "id": "new"}, "is not what the key `new` makes"),
    ("altered body", {"body": b'{"task": "noop", "id": "other"}'}, "is not what"),
    ("altered message_id", {"message_id": "mine", "sent": {"message_id": "yours"}}, "is not what"),
    ("no message_id", {"message_id": "mine", "sent": {"message_id": None}}, "is not what"),
    ("added message_id", {"sent": {"message_id": "yours"}}, "is not what"),
    ("altered reply_to", {"reply_to": "mine", "sent": {"reply_to": "yours"}}, "is not what"),
    ("added reply_to", {"sent": {"reply_to": "yours"}}, "is not what"),
    ("altered correlation_id", {"correlation_id": "mine", "sent": {"correlation_id": "yours"}}, "is not what"),
    ("moved between properties", {"message_id": "mine", "sent": {"message_id": None, "reply_to": "mine"}}, "is not what"),
    ("line feed", {"correlation_id": "a\nb"}, "correlation_id: a signed message must not have a line feed"),
]


def test_what_is_not_signed_right_is_parked_with_its_reason(fleet):
    worker = secure(fleet, pairs=(("old", OLD), ("new", NEW)))
    for number, (name, how, words) in enumerate(REFUSED):
        publish(fleet, noop("r%d" % number), **how)
        reason, properties, body = rejected(fleet)
        assert words in reason, (name, reason)
        assert fleet.state("r%d" % number) is None, name
    publish(fleet, {"task": "noop"})
    assert "field `id`: a signed job needs one" in rejected(fleet)[0]
    publish(fleet, noop("elsewhere"), sent={"headers": headers(fleet, json.dumps(noop("elsewhere")).encode(), pool="other")})
    assert "where it was published" in rejected(fleet)[0]
    publish(fleet, noop("urgent"), priority="high", sent={"headers": headers(fleet, json.dumps(noop("urgent")).encode())})
    assert "where it was published" in rejected(fleet, priority="high")[0]
    publish(fleet, noop("large", args="x" * (1 << 20)))
    assert "bytes, and 1048576 are allowed" in rejected(fleet)[0]
    # nothing of it has come to Redis
    assert list(fleet.redis.scan_iter(fleet.key("job", "*"))) == []
    assert OLD.hex() not in worker.log() and NEW.hex() not in worker.log()


def test_a_rejected_message_keeps_all_and_is_answered(fleet):
    secure(fleet)
    queue = fleet.reply_queue()
    fleet.publish(noop("x"), pool="secure", reply_to=queue, correlation_id="c", headers={"x-mine": 1})
    _, properties, body = rejected(fleet)
    assert properties.headers["x-mine"] == 1 and json.loads(body) == noop("x")
    _, properties, answer = fleet.get(queue)
    assert properties.correlation_id == "c"
    assert json.loads(answer)["state"] == "rejected" and "not signed" in json.loads(answer)["error"]


def test_the_same_message_again_runs_nothing(fleet):
    secure(fleet)
    for _ in range(3):
        publish(fleet, noop("once"))
    assert fleet.wait("once", "succeeded")["attempt"] == "1"
    until(lambda: fleet.queue_length(fleet.prefix + ".secure.normal") == 0)
    publish(fleet, noop("after"))
    fleet.wait("after", "succeeded")
    assert fleet.job("once")["attempt"] == "1" and fleet.redis.hget(fleet.key("stats"), "succeeded") == "2"


def test_the_way_by_another_pool(fleet):
    """A job that names the pool comes in by the queue of one that demands nothing: its worker notes it, the claim refuses it."""
    fleet.worker("--pool", "other")
    secure(fleet)
    queue = fleet.reply_queue()
    fleet.publish(noop("stranger", pool="secure"), pool="other", reply_to=queue)
    job = fleet.wait("stranger")
    assert (job["state"], job["reason"], job["attempt"], job["via"]) == ("failed", "unsigned", "0", "other"), job
    assert "by a queue of the pool other" in job["error"]
    assert json.loads(fleet.get(queue)[2])["reason"] == "unsigned"
    # nor behind a predecessor, in whatever pool that runs, nor after a retry
    fleet.publish(noop("child", pool="secure", after=["parent"]), pool="other")
    fleet.publish(noop("second", pool="secure", after=["trusted"]), pool="other")
    fleet.wait("child", "waiting")
    fleet.publish(noop("parent"), pool="other")
    fleet.wait("second", "waiting")
    fleet.command("submit", "noop", "--id", "trusted", "--pool", "secure", check=0)
    for id in ("child", "second"):
        job = fleet.wait(id)
        assert (job["state"], job["reason"], job["attempt"]) == ("failed", "unsigned", "0"), job
    fleet.command("retry", "stranger", check=0)
    fleet.wait("stranger", "failed")
    until(lambda: fleet.job("stranger").get("epoch") == "1" and fleet.state("stranger") == "failed")
    assert fleet.job("stranger")["reason"] == "unsigned"
    # what asks for its own pool, or comes through Redis, is nobody's business
    fleet.publish(noop("at-home"), pool="other")
    fleet.wait("at-home", "succeeded")
    assert fleet.state("trusted") == "succeeded" and fleet.job("at-home").get("via") is None
    fleet.settled()
    assert "its own takes signed jobs only" in fleet.command("why", "stranger").stdout
    assert "takes-unsigned" not in fleet.command("doctor", check=0).stdout
    lax = fleet.worker("--pool", "secure")
    done = until(lambda: [line for line in fleet.command("doctor").stdout.splitlines() if "takes unsigned" in line])
    assert len(done) == 1 and lax.name in done[0], done


def test_a_signature_for_one_pool_is_none_for_another(fleet):
    secure(fleet)
    fleet.worker("--pool", "other", "--require-signed", "--signing-keys", keys(fleet, ("theirs", OTHER), name="others"))
    fleet.worker("--pool", "default", "--signing-keys", keys(fleet, ("old", OLD)))
    # who holds a key of the other pool cannot reach this one by it, nor by a pool that demands nothing
    publish(fleet, noop("theirs", pool="secure"), pool="other", key=OTHER, id="theirs")
    publish(fleet, noop("by-default", pool="secure"), pool="default")
    assert fleet.wait("theirs")["reason"] == fleet.wait("by-default")["reason"] == "unsigned"
    assert "by a queue of the pool other" in fleet.job("theirs")["error"]
    publish(fleet, noop("direct"), key=OTHER, id="theirs")
    assert "`theirs`: no key" in rejected(fleet)[0]
    # a pool that demands nothing takes what is signed wrong, or not, also from one that does
    publish(fleet, noop("wrong"), pool="default", key=OTHER)
    publish(fleet, noop("not"), pool="default", signed=False)
    publish(fleet, noop("out", pool="default"))
    fleet.wait_all(["wrong", "not", "out"])
    assert {fleet.state(id) for id in ("wrong", "not", "out")} == {"succeeded"} and fleet.job("out")["via"] == "secure"
    assert json.loads(fleet.command("status", "out", "--json", check=0).stdout)["via"] == "secure"
    fleet.settled()


def test_keys_rotate_without_a_restart(fleet):
    worker = secure(fleet)
    publish(fleet, noop("a"))
    fleet.wait("a", "succeeded")
    publish(fleet, noop("early"), key=NEW, id="new")
    assert "`new`: no key" in rejected(fleet)[0]
    keys(fleet, ("old", OLD), ("new", NEW))
    until(lambda: "read again: 2" in worker.log())
    publish(fleet, noop("b"))
    publish(fleet, noop("c"), key=NEW, id="new")
    fleet.wait_all("bc")
    keys(fleet, ("new", NEW))
    until(lambda: "read again: 1" in worker.log())
    publish(fleet, noop("late"))
    assert "`old`: no key" in rejected(fleet)[0]
    # a file that cannot be taken leaves the keys that were there, and is told of once
    for make, words in ((lambda: keys(fleet), "holds no key"), (lambda: keys(fleet, ("new", b"short")), "keys:1: a key is"),
                        (lambda: keys(fleet, ("new", NEW), mode=0o644), "mode 0644"), (lambda: os.unlink(fleet.dir + "/keys"), "No such file")):
        make()
        until(lambda: words in worker.log(), what=lambda: words + "\n" + worker.log())
        publish(fleet, noop("d-" + words[:3].strip()), key=NEW, id="new")
        assert fleet.wait("d-" + words[:3].strip())["state"] == "succeeded"
        assert worker.log().count(words) == 1
    keys(fleet, ("old", OLD))
    until(lambda: worker.log().count("read again: 1") == 2)
    publish(fleet, noop("back"))
    assert fleet.wait("back")["state"] == "succeeded"
    assert OLD.hex() not in worker.log() and NEW.hex() not in worker.log()


def test_after_a_redelivery_and_by_unrouted(fleet):
    """Headers and body are what they were, whichever way a message comes."""
    publish_first = noop("unrouted")
    fleet.command("broker", "apply", "--pool", "other", check=0)
    publish(fleet, publish_first)
    assert fleet.queue_length(fleet.prefix + ".unrouted") == 1
    worker = secure(fleet)
    assert fleet.wait("unrouted")["state"] == "succeeded"
    worker.stop()
    publish(fleet, noop("again"))
    queue = fleet.prefix + ".secure.normal"
    channel = fleet.connection.channel()
    method, _, _ = channel.basic_get(queue)
    channel.basic_nack(method.delivery_tag, requeue=True)
    secure(fleet)
    assert fleet.wait("again")["state"] == "succeeded"
    # what the broker gave up on is published once more, as it was
    fleet.publish(None, pool="secure", body=json.dumps(noop("once-more")).encode(), headers=headers(fleet, json.dumps(noop("once-more")).encode()))
    assert fleet.wait("once-more")["state"] == "succeeded"
    returned = headers(fleet, json.dumps(noop("returned")).encode())
    fleet.channel.basic_publish("", fleet.prefix + ".returned", json.dumps(noop("returned")).encode(),
                                pika.BasicProperties(headers={**returned, "x-first-death-queue": queue}))
    assert fleet.wait("returned")["state"] == "succeeded"


def test_retries_and_dependents_need_no_signature_of_their_own(fleet):
    secure(fleet, "--allow-exec")
    script = 'test "$FLOTILLA_ATTEMPT" = 2'
    publish(fleet, {"id": "twice", "task": "exec", "argv": ["sh", "-c", script], "retries": 1, "backoff_ms": 10})
    publish(fleet, noop("behind", after=["twice"]))
    publish(fleet, noop("delayed", delay_ms=50))
    fleet.wait_all(["twice", "behind", "delayed"])
    assert fleet.job("twice")["attempt"] == "2" and fleet.state("behind") == fleet.state("delayed") == "succeeded"
    assert fleet.queue_length(fleet.prefix + ".rejected") == 0


def test_handlers_do_not_learn_where_the_keys_are(fleet):
    path = keys(fleet, ("old", OLD))
    fleet.worker("--pool", "secure", "--require-signed", "--allow-exec", env={"FLOTILLA_SIGNING_KEYS": path})
    publish(fleet, {"id": "env", "task": "exec", "argv": ["sh", "-c", "env"]})
    assert fleet.wait("env")["state"] == "succeeded"
    output = fleet.redis.get(fleet.key("job", "env", "output"))
    assert "FLOTILLA_ID=env" in output and "SIGNING" not in output and path not in output


# --- the command

def test_publish_signs(fleet):
    secure(fleet, pairs=(("new", NEW), ("old", OLD)))
    lines = "".join(json.dumps(job) + "\n" for job in [noop("a"), {"task": "noop"}, noop("c", priority="high")])
    path = keys(fleet, ("old", OLD), ("new", NEW), name="mine")
    for how in ({}, {"env": {"FLOTILLA_SIGNING_KEYS": path}}):
        option = [] if how else ["--signing-keys", path]
        ids = fleet.command("publish", "-", "--pool", "secure", *option, check=0, stdin=lines, **how).stdout.split()
        assert len(ids) == 3
        fleet.wait_all(ids)
        assert {fleet.state(id) for id in ids} == {"succeeded"}
    with open(fleet.dir + "/flotilla.yaml", "w", encoding="utf-8") as file:
        file.write("signing_keys: mine\nrequire_signed: true\n")
    fleet.command("publish", "-", "--pool", "secure", "--config", "flotilla.yaml", check=0, stdin='{"task":"noop","id":"by-file"}')
    assert fleet.wait("by-file")["state"] == "succeeded"
    # without keys it is a stranger's
    fleet.command("publish", "-", "--pool", "secure", check=0, stdin='{"task":"noop","id":"bare"}')
    assert "not signed" in rejected(fleet)[0]


def tool(fleet, program, *args, env=None):
    return subprocess.run([os.path.join(BUILD, "bin", program), *args], capture_output=True, text=True, timeout=30, cwd=fleet.dir,
                          env={**os.environ, "FLOTILLA_PREFIX": fleet.prefix, **(env or {})}, input="{}")


FILES = [
    ("", 0o600, r"holds no key"),
    ("# nothing\n\n", 0o600, r"holds no key"),
    ("a\n", 0o600, r":1: a key is 32 to 256 bytes as hex"),
    ("# one\n a 00\n", 0o600, r":2: a key is"),
    ("a %s\n" % ("0g" * 32), 0o600, r":1: a key is"),
    ("a %s0\n" % ("00" * 32), 0o600, r":1: a key is"),
    ("a %s b\n" % ("00" * 32), 0o600, r":1: a line is `ID KEY` and nothing else"),
    ("a/b %s\n" % ("00" * 32), 0o600, r":1: an id has 1 to 32"),
    ("%s a\n" % ("ab" * 32), 0o600, r":1: an id has 1 to 32"),
    ("a %s\n\na %s\n" % ("00" * 32, "11" * 32), 0o600, r":3: the id is that of line 1"),
    ("".join("k%d %s\n" % (n, "00" * 32) for n in range(17)), 0o600, r":17: more than 16 keys"),
    ("a %s\n" % ("00" * 32), 0o644, r"mode 0644 lets others at the keys: chmod 600"),
    ("a %s\n" % ("00" * 32), 0o660, r"mode 0660"),
    ("a %s\0\n" % ("00" * 32), 0o600, r"holds a NUL"),
    ("#" * 70000, 0o600, r"has more than 65536 bytes"),
]


def test_bad_keys_and_options(fleet):
    path = os.path.join(fleet.dir, "bad")
    for text, mode, words in FILES:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        for program, args in (("flotillad", []), ("flotilla", ["publish", "-"])):
            done = tool(fleet, program, *args, "--signing-keys", path)
            assert done.returncode == 2 and re.search(words, done.stderr), (text, done)
            assert len(done.stderr.splitlines()) == 1 and "abab" not in done.stderr and "00000000" not in done.stderr
    os.chmod(path, 0o600)
    for where, words in ((fleet.dir, "no plain file"), (path + ".none", "No such file")):
        done = tool(fleet, "flotillad", "--signing-keys", where)
        assert done.returncode == 2 and words in done.stderr, done
    done = tool(fleet, "flotillad", "--require-signed")
    assert done.returncode == 2 and "--require-signed: there are no keys" in done.stderr
    # what only the worker has in a file is no error to the command, which asks for keys only where it signs
    done = tool(fleet, "flotilla", "stats", env={"FLOTILLA_SIGNING_KEYS": path + ".none"})
    assert done.returncode == 0, done
