"""Bad input of every kind, each with the words that it gets: messages that are no jobs, jobs that no handler can take, options,
handlers, workflow and configuration files, and services that are away, closed or made otherwise."""
import concurrent.futures
import contextlib
import json
import os
import re
import socket
import struct
import subprocess
import threading
import time

import msgpack
import pytest

from fleet import BUILD, until

LIMIT = 1 << 20


class Table:
    """The rows of a table are all tried, and those that fail named together."""

    def __init__(self):
        self.failures = []

    @contextlib.contextmanager
    def row(self, name):
        try:
            yield
        except (AssertionError, KeyError, ValueError, subprocess.TimeoutExpired) as error:
            self.failures.append("%s: %s" % (name, error))

    def check(self):
        assert not self.failures, "\n" + "\n".join(self.failures)


@pytest.fixture
def table():
    table = Table()
    yield table
    table.check()


def json_job(**fields):
    return json.dumps({"task": "noop", **fields}).encode()


def msgpack_job(*raw, **fields):
    """A MessagePack map with `task`, these fields, and pairs of key and bytes as they are."""
    pairs = [(msgpack.packb(k), msgpack.packb(v)) for k, v in {"task": "noop", **fields}.items()] + list(raw)
    return bytes([0x80 | len(pairs)]) + b"".join(k + v for k, v in pairs)


def arg(raw):
    return msgpack_job((msgpack.packb("args"), raw))


def nested(levels):
    return b'{"task":"noop","args":' + b"[" * levels + b"]" * levels + b"}"


# Each: name, body, what its x-flotilla-reason says, properties. Without a content type the body tells what it is.
MESSAGES = [
    # not decodable
    ("empty", b"", "the body is empty", {}),
    ("empty JSON", b"", "the body is empty", {"content_type": "application/json"}),
    ("half of a JSON map", b'{"task":"noop"', "JSON, line 1", {}),
    ("a brace", b"{", "JSON, line 1", {}),
    ("words", b"{hello}", "JSON, line 1", {}),
    ("words behind JSON", b'{"task":"noop"} and more', "end of file expected", {}),
    ("two JSON jobs", b'{"task":"noop"}\n{"task":"noop"}', "end of file expected", {}),
    ("JSON, bad UTF-8", b'{"task":"\xff\xfe"}', "unable to decode byte", {}),
    ("JSON, half a surrogate pair", b'{"task":"\\ud800"}', "invalid Unicode", {}),
    ("JSON, a key twice", b'{"task":"noop","task":"fail"}', "duplicate object key", {}),
    ("JSON, a key twice, deep", b'{"task":"noop","args":[{"a":1,"a":2}]}', "duplicate object key", {}),
    ("JSON NaN", b'{"task":"noop","args":NaN}', "JSON, line 1", {}),
    ("JSON, beyond floats", b'{"task":"noop","args":1e999}', "real number overflow", {}),
    ("JSON, beyond 64 bits", b'{"task":"noop","args":18446744073709551616}', "beyond 64 bits", {}),
    ("JSON with a comment", b'{"task":"noop"/*x*/}', "JSON, line 1", {}),
    ("JSON of 32 levels in args", nested(32), "deeper than 32 levels", {}),
    ("JSON of 5000 levels", nested(5000), "deeper than 32 levels", {}),
    ("half of a MessagePack map", b"\x82\xa4task\xa4noop", "ends too early", {}),
    ("half of a text", b"\x81\xa4task\xa9noop", "ends too early", {}),
    ("a map that says it is huge", b"\xdf\xff\xff\xff\xff", "ends too early", {}),
    ("a list that says it is huge", arg(b"\xdd\xff\xff\xff\xff"), "ends too early", {}),
    ("bytes behind MessagePack", msgpack_job() + b"\xc0", "bytes behind the end", {}),
    ("MessagePack, bad UTF-8", b"\x81\xa4task\xa2\xc3\x28", "not UTF-8", {}),
    ("MessagePack, overlong UTF-8", arg(b"\xa2\xc0\xaf"), "not UTF-8", {}),
    ("MessagePack, a key twice", b"\x82\xa4task\xa4noop\xa4task\xa4noop", "the key `task` stands twice", {}),
    ("MessagePack, a key twice, deep", arg(b"\x82\xa1a\x01\xa1a\x02"), "the key `a` stands twice", {}),
    ("MessagePack, a number as key", b"\x82\xa4task\xa4noop\x01\x02", "a key that is not text", {}),
    ("MessagePack, a number as key, deep", arg(b"\x81\x01\x02"), "a key that is not text", {}),
    ("MessagePack, binary", arg(b"\xc4\x03abc"), "binary data", {}),
    ("MessagePack, binary as task", b"\x81\xa4task\xc4\x04noop", "binary data", {}),
    ("MessagePack, an extension", arg(b"\xd4\x01x"), "an extension", {}),
    ("MessagePack, a timestamp", arg(msgpack.packb(msgpack.Timestamp(1, 2))), "an extension", {}),
    ("MessagePack NaN", arg(msgpack.packb(float("nan"))), "NaN or infinite", {}),
    ("MessagePack infinity", arg(msgpack.packb(float("inf"))), "NaN or infinite", {}),
    ("MessagePack, the byte that is never used", b"\xc1", "0xc1", {}),
    ("MessagePack of 32 levels in args", arg(b"\x91" * 31 + b"\x90"), "deeper than 32 levels", {}),
    ("JSON said to be MessagePack", json_job(), "MessagePack", {"content_type": "application/msgpack"}),
    ("MessagePack said to be JSON", msgpack_job(), "JSON", {"content_type": "application/json"}),
    # no map
    ("a list", b"[]", "must be a map, not a list", {"content_type": "application/json"}),
    ("a JSON text", b'"noop"', "must be a map, not text", {"content_type": "application/json"}),
    ("a MessagePack list", msgpack.packb(["task", "noop"]), "must be a map, not a list", {}),
    ("a MessagePack nil", b"\xc0", "must be a map", {}),
    # properties
    ("plain text", json_job(), "content type `text/plain`", {"content_type": "text/plain"}),
    ("a type that only begins well", json_job(), "content type `application/jsonx`", {"content_type": "application/jsonx"}),
    ("gzip", json_job(), "content encoding `gzip`", {"content_encoding": "gzip"}),
    ("a message_id that is no id", json_job(), "message_id", {"message_id": "a:b"}),
    ("too large", json_job(args="x" * LIMIT), "1048576 are allowed", {}),
    ("an invitation that is none", b"no id: this", "flotilla.invite", {"type": "flotilla.invite"}),
    # fields
    ("no task", b"{}", "field `task`: missing", {}),
    ("null task", json_job(task=None), "field `task`: missing", {}),
    ("empty task", json_job(task=""), "field `task`: must not be empty", {}),
    ("task a number", json_job(task=5), "field `task`: must be text", {}),
    ("task with NUL", json_job(task="a\0b"), "field `task`: must not hold a NUL", {}),
    ("unknown field", json_job(color="red"), "field `color`: unknown", {}),
    ("version 2", json_job(v=2), "field `v`: must be 1", {}),
    ("id with a colon", json_job(id="a:b"), "field `id`: must be 1 to 200", {}),
    ("id too long", json_job(id="a" * 201), "field `id`: must be 1 to 200", {}),
    ("empty id", json_job(id=""), "field `id`: must be 1 to 200", {}),
    ("run with a blank", json_job(run="a b"), "field `run`: must be 1 to 200", {}),
    ("argv is text", json_job(argv="ls -l"), "field `argv`: must be a list of texts", {}),
    ("argv with a number", json_job(argv=["ls", 1]), "field `argv`: entry 2: must be text", {}),
    ("argv with NUL", json_job(argv=["ls\0"]), "field `argv`: entry 1: must not hold a NUL", {}),
    ("argv empty", json_job(argv=[]), "field `argv`: must not be empty", {}),
    ("env is a list", json_job(env=["A=1"]), "field `env`: must be a map", {}),
    ("env with a number", json_job(env={"A": 1}), "value of `A` must be text", {}),
    ("env name with =", json_job(env={"A=B": "x"}), "must not hold a =", {}),
    ("env with NUL", json_job(env={"A": "\0"}), "must not hold a NUL", {}),
    ("env name empty", json_job(env={"": "x"}), "a name must not be empty", {}),
    ("label a number", json_job(labels={"a": 1}), "field `labels`", {}),
    ("after is text", json_job(after="a"), "field `after`: must be a list", {}),
    ("after a number", json_job(after=[1]), "entry 1: an id must be text", {}),
    ("after without id", json_job(after=[{"when": "failed"}]), "entry 1: has no `id`", {}),
    ("after, unknown key", json_job(after=[{"id": "a", "if": "failed"}]), "unknown key `if`", {}),
    ("after, unknown when", json_job(after=[{"id": "a", "when": "done"}]), "`when` must be", {}),
    ("after, two whens", json_job(after=["a", {"id": "a", "when": "failed"}]), "two different `when`", {}),
    ("after itself", json_job(id="self", after=["self"]), "wait for itself", {}),
    ("pool in capitals", json_job(pool="GPU"), "field `pool`", {}),
    ("unknown priority", json_job(priority="urgent"), "must be one of high, normal, low", {}),
    ("dedup too long", json_job(dedup="k" * 257), "field `dedup`", {}),
    ("reuse without dedup", json_job(reuse=True), "field `reuse`: needs `dedup`", {}),
    ("reuse a number", json_job(dedup="k", reuse=1), "must be true or false", {}),
    ("retries -1", json_job(retries=-1), "field `retries`: must be a whole number", {}),
    ("retries 1001", json_job(retries=1001), "from 0 to 1000", {}),
    ("retries 1.5", json_job(retries=1.5), "not 1.5", {}),
    ("retries true", json_job(retries=True), "field `retries`", {}),
    ("timeout of nothing", json_job(timeout_ms=0), "field `timeout_ms`", {}),
    ("timeout negative", json_job(timeout_ms=-1), "field `timeout_ms`", {}),
    ("timeout beyond 64 bits", msgpack_job(timeout_ms=1 << 63), "field `timeout_ms`", {}),
    ("timeout a float beyond 2^53", json_job(timeout_ms=1e17), "field `timeout_ms`", {}),
    ("backoff text", json_job(backoff_ms="1s"), "field `backoff_ms`", {}),
    ("delay negative", json_job(delay_ms=-1), "field `delay_ms`", {}),
    ("delay with run_at", json_job(delay_ms=1, run_at=1), "cannot stand beside `run_at`", {}),
    ("expires in the past of time", json_job(expires_at=-1), "field `expires_at`", {}),
    ("keep_s negative", json_job(keep_s=-1), "field `keep_s`", {}),
]


def send_bad(fleet, number, row, reply_to):
    name, body, _, properties = row
    given = {"message_id": "m-%d" % number, "reply_to": reply_to, "correlation_id": "c-%d" % number, "app_id": "bad input",
             "timestamp": 1700000000 + number, "headers": {"x-number": number, "x-name": name, "deep": {"list": [1, "é", None]}},
             "content_type": None, **properties}
    fleet.publish(None, body=body, priority=["high", "normal", "low"][number % 3], default_exchange=number % 2 == 1, **given)
    return given


def rejected(fleet, count, seconds=30):
    """What lies in the queue of what is no job, by number."""
    queue, found = fleet.prefix + ".rejected", {}

    def more():
        while True:
            method, properties, body = fleet.channel.basic_get(queue, auto_ack=True)
            if not method:
                return len(found) >= count
            number = properties.headers["x-number"]
            assert number not in found, "twice: %s" % properties
            found[number] = properties, body
    until(more, seconds, lambda: "%d of %d are in %s; missing: %s\n%s" % (
        len(found), count, queue, [r[0] for i, r in enumerate(MESSAGES) if i not in found], fleet.logs()))
    return found


def check_rejected(fleet, number, row, given, properties, body):
    name, sent, words, _ = row
    headers = dict(properties.headers)
    reason, source = headers.pop("x-flotilla-reason"), headers.pop("x-flotilla-from")
    headers.pop("x-delivery-count", None)  # the broker's
    assert words in reason, (name, reason)
    assert "\n" not in reason, name
    assert source == "%s.default.%s" % (fleet.prefix, ["high", "normal", "low"][number % 3]), name
    assert body == sent, name
    assert headers == given["headers"], name
    for key in ("message_id", "reply_to", "correlation_id", "app_id", "timestamp", "content_type"):
        assert getattr(properties, key) == given[key], (name, key)
    assert properties.type == given.get("type") and properties.content_encoding == given.get("content_encoding"), name
    assert properties.delivery_mode == 2, name


def check_answers(fleet, queue, table):
    """Each with a reply_to has been told."""
    answers = {}

    def more():
        while True:
            method, properties, body = fleet.channel.basic_get(queue, auto_ack=True)
            if not method:
                return len(answers) >= len(MESSAGES)
            answers[properties.correlation_id] = properties, body
    until(more, 20, lambda: "%d answers of %d" % (len(answers), len(MESSAGES)))
    for number, (name, _, words, _) in enumerate(MESSAGES):
        with table.row("answer to " + name):
            properties, body = answers["c-%d" % number]
            answer = json.loads(body) if properties.content_type == "application/json" else msgpack.unpackb(body)
            assert answer["state"] == "rejected" and answer["reason"] == "rejected" and words in answer["error"], answer
            assert "id" in answer
    return answers


def test_messages_that_are_no_jobs(fleet, table):
    assert len(MESSAGES) >= 40 and len({row[0] for row in MESSAGES}) == len(MESSAGES)
    worker = fleet.worker("--slots", 2)
    queue = fleet.reply_queue()
    given = [send_bad(fleet, number, row, queue) for number, row in enumerate(MESSAGES)]
    found = rejected(fleet, len(MESSAGES))
    for number, row in enumerate(MESSAGES):
        with table.row(row[0]):
            check_rejected(fleet, number, row, given[number], *found[number])
    answers = check_answers(fleet, queue, table)
    by_name = {row[0]: answers["c-%d" % i] for i, row in enumerate(MESSAGES)}
    assert json.loads(by_name["no task"][1])["id"] == "m-%d" % [r[0] for r in MESSAGES].index("no task")
    assert msgpack.unpackb(by_name["MessagePack, binary"][1])["id"]
    # they left nothing, and the worker goes on
    assert list(fleet.redis.scan_iter(fleet.key("job", "*"))) == []
    assert list(fleet.redis.scan_iter(fleet.key("dedup", "*"))) == []
    assert worker.process.poll() is None
    fleet.publish({"task": "noop", "id": "good", "args": nested_value(30), "x-ours": 1, "run": None})
    assert fleet.wait("good", "succeeded")["attempt"] == "1"
    fleet.settled()
    for priority in ("high", "normal", "low"):
        until(lambda: fleet.queue_length("%s.default.%s" % (fleet.prefix, priority)) == 0)
    assert fleet.queue_length(fleet.prefix + ".rejected") == 0


def nested_value(levels):
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_replies_to_the_fleets_own_queues_are_refused(fleet):
    fleet.worker()
    names = [fleet.prefix + ".default.normal", fleet.prefix + ".rejected", fleet.prefix + ".returned", fleet.prefix,
             fleet.prefix + ".other.low"]
    for number, name in enumerate(names):
        fleet.publish({"task": "noop", "id": "r%d" % number}, reply_to=name, headers={"x-number": number})
    found = rejected(fleet, len(names))
    for number, name in enumerate(names):
        assert "reply_to" in found[number][0].headers["x-flotilla-reason"], name
    assert list(fleet.redis.scan_iter(fleet.key("job", "*"))) == []
    # a queue of which the name only begins alike is somebody else's
    other = fleet.prefix + "-mine"
    fleet.channel.queue_declare(other, exclusive=True)
    fleet.publish({"task": "noop", "id": "mine"}, reply_to=other)
    assert json.loads(fleet.get(other)[2])["state"] == "succeeded"


def test_the_largest_and_one_more(fleet):
    fleet.worker()
    start = b'{"task":"noop","id":"edge"}'
    fleet.publish(None, body=start + b" " * (LIMIT - len(start)), content_type="application/json")
    fleet.wait("edge", "succeeded")
    fleet.publish(None, body=start + b" " * (LIMIT + 1 - len(start)), content_type="application/json", headers={"x-number": 0})
    assert "1048577 bytes" in rejected(fleet, 1)[0][0].headers["x-flotilla-reason"]


# Taken, and then: name, job, state, reason, words of the error.
TAKEN = [
    ("argv that noop does not take", {"task": "noop", "argv": ["x"]}, "bad argument", "argv"),
    ("env that noop does not take", {"task": "noop", "env": {"A": "x"}}, "bad argument", "env"),
    ("argv for a command", {"task": "echo", "args": {"text": "t"}, "argv": ["x"]}, "bad argument", "argv"),
    ("env that is not listed", {"task": "echo", "args": {"text": "t"}, "env": {"LD_PRELOAD": "x"}}, "bad argument", "LD_PRELOAD"),
    ("a placeholder without a value", {"task": "echo", "args": {"txt": "t"}, "retries": 3}, "bad argument", "args.text"),
    ("a NUL for a command", {"task": "echo", "args": {"text": "a\0b"}}, "bad argument", "NUL"),
    ("exec without argv", {"task": "exec"}, "bad argument", "argv"),
    ("sleep without ms", {"task": "sleep", "args": {"minutes": 1}}, "bad argument", "ms"),
    ("sleep for no number", {"task": "sleep", "args": {"ms": "long"}}, "bad argument", "ms"),
    ("fail", {"task": "fail", "args": {"message": "as I was told"}}, "error", "as I was told"),
    ("a program that is not there", {"task": "exec", "argv": ["no-such-program-here"]}, "error", "no-such-program-here"),
    ("a program that is a directory", {"task": "exec", "argv": ["/usr"]}, "error", "/usr"),
    ("an exit code", {"task": "exec", "argv": ["sh", "-c", "exit 7"]}, "exit", "7"),
    ("a signal", {"task": "exec", "argv": ["sh", "-c", "kill -SEGV $$"]}, "signal", "signal 11"),
    ("a result that is no JSON", {"task": "exec", "argv": ["sh", "-c", "echo hello > result"]}, "result", "not JSON"),
    ("too long", {"task": "exec", "argv": ["sleep", "30"], "timeout_ms": 100}, "timeout", "100"),
]


def test_jobs_that_are_taken_and_then_fail(fleet, table):
    with open(os.path.join(fleet.dir, "h.yaml"), "w", encoding="utf-8") as file:
        file.write('handlers:\n  echo: { command: ["echo", "{args.text}"], env: [COLOUR] }\n')
    worker = fleet.worker("--slots", 8, "--allow-exec", "--handlers", "h.yaml")
    ids = []
    for number, (_, job, _, _) in enumerate(TAKEN):
        ids.append("t%d" % number)
        fleet.publish({"id": ids[-1], "backoff_ms": 10, **job}, encoding=["json", "msgpack"][number % 2])
    fleet.wait_all(ids)
    for id, (name, _, reason, words) in zip(ids, TAKEN):
        job = fleet.job(id)
        with table.row(name):
            assert (job["state"], job["reason"]) == ("failed", reason), job
            assert words in job["error"], job
            assert job["attempt"] == "1", job
    fleet.settled()
    assert worker.process.poll() is None


# --- options

COMMAND_OPTIONS = [
    ([], "a command is missing"),
    (["sbumit"], "did you mean 'submit'"),
    (["frobnicate"], "there is no command 'frobnicate'"),
    (["submit"], "too few arguments"),
    (["submit", "noop", "extra"], "one argument too many: 'extra'"),
    (["submit", "noop", "--pol", "x"], "did you mean --pool"),
    (["submit", "noop", "--args", "{"], "--args"),
    (["submit", "noop", "--id", "a:b"], "field `id`: must be 1 to 200"),
    (["submit", "noop", "--pool", "A"], "field `pool`: must be 1 to 63"),
    (["submit", "noop", "--retries", "many"], "whole number"),
    (["submit", "noop", "--retries", "1001"], "1000"),
    (["submit", "noop", "--delay", "5"], "has no unit"),
    (["submit", "noop", "--timeout", "soon"], "no duration"),
    (["submit", "noop", "--after", "a:sometimes"], "`when` must be"),
    (["submit", "noop", "--env", "A"], "not NAME=VALUE"),
    (["submit", "noop", "--label", "A"], "not NAME=VALUE"),
    (["submit", "noop", "--reuse"], "dedup"),
    (["submit", "noop", "--priority", "urgent"], "urgent"),
    (["submit", "noop", "--id", "a", "--after", "a"], "wait for itself"),
    (["submit", "noop", "--prefix", "No Good"], "must be 1 to 64 characters"),
    (["submit", "noop", "--amqp", "http://x"], "amqp://"),
    (["submit", "noop", "--redis", "http://x"], "redis://"),
    (["submit", "noop", "--redis", "redis://h:0/"], "port"),
    (["submit", "noop", "--config", "none.yaml"], "none.yaml"),
    (["status"], "too few arguments"),
    (["status", "a:b"], "cannot be an id"),
    (["ls", "--state", "done"], "is no state"),
    (["ls", "--limit", "0"], "whole number"),
    (["cancel"], "name either jobs or --run"),
    (["cancel", "x", "--run", "r"], "name either jobs or --run"),
    (["retry"], "name either jobs or --run"),
    (["retry", "--run", "r"], "--failed"),
    (["wait"], "too few arguments"),
    (["wait", "x", "--timeout", "1"], "has no unit"),
    (["run"], "too few arguments"),
    (["run", "none.yaml"], "none.yaml"),
    (["logs"], "too few arguments"),
    (["status", "--json=3", "x"], "takes no value"),
]


def run_tool(fleet, tool, args, env=None, timeout=30):
    return subprocess.run([os.path.join(BUILD, "bin", tool), *map(str, args)], capture_output=True, text=True, timeout=timeout,
                          cwd=fleet.dir, env={**os.environ, "FLOTILLA_PREFIX": fleet.prefix, **(env or {})})


def expect(done, code, *words):
    assert done.returncode == code, (done.args, done.returncode, done.stdout, done.stderr)
    for word in words:
        assert word in done.stderr, (word, done.args, done.stderr)
    return done


def expect_usage(done, words, what):
    """Exit 2, one line, nothing on standard output."""
    assert done.returncode == 2, (what, done.returncode, done.stdout, done.stderr)
    assert words in done.stderr, (what, done.stderr)
    assert done.stdout == "", (what, done.stdout)
    assert len(done.stderr.strip().splitlines()) == 1, (what, done.stderr)


def test_bad_options_of_the_command(fleet, table):
    for args, words in COMMAND_OPTIONS:
        with table.row(args):
            expect_usage(run_tool(fleet, "flotilla", args), words, args)
    assert list(fleet.redis.scan_iter(fleet.key("job", "*"))) == []


WORKER_OPTIONS = [
    (["--pool", "A"], "is no pool"),
    (["--pool", ""], "is no pool"),
    (["--name", "a b"], "is no name"),
    (["--slots", "0"], "from 1 to"),
    (["--slots", "-1"], "from 1 to"),
    (["--slots", "many"], "whole number"),
    (["--lease", "10"], "has no unit"),
    (["--lease", "1ms"], "must be from"),
    (["--grace", "soon"], "no duration"),
    (["--max-lost", "0"], "from 1 to"),
    (["--max-body", "0"], "from 1 to"),
    (["--log-format", "xml"], "neither text nor json"),
    (["--prefix", "a.b"], "must be 1 to 64"),
    (["--priorities", "a,,b"], "priorities"),
    (["--priorities", "A B"], "priorities"),
    (["--amqp", "http://x/"], "amqp://"),
    (["--redis", "http://x/"], "redis://"),
    (["--handlers", "none.yaml"], "none.yaml"),
    (["--config", "none.yaml"], "none.yaml"),
    (["--work-dir", "/proc/nowhere"], "work directory"),
]


def test_bad_options_of_the_worker(fleet, table):
    for args, words in WORKER_OPTIONS:
        with table.row(args):
            done = expect(run_tool(fleet, "flotillad", args), 2, words)
            assert done.stdout == "" and len(done.stderr.strip().splitlines()) == 1, done.stderr
    # the option parser of the C library speaks for itself
    expect(run_tool(fleet, "flotillad", ["--frob"]), 2, "frob")
    expect(run_tool(fleet, "flotillad", ["extra"]), 2, 'unexpected argument "extra"')
    assert list(fleet.redis.scan_iter(fleet.prefix + ":*")) == []


# --- files

HANDLERS = [
    ("handlers:\n  a: { command: [x, '{nope}'] }\n", ":2: {nope} is none of"),
    ("handlers:\n  a: { command: [x, '{args.a'] }\n", ":2:"),
    ("handlers:\n  a: { command: x }\n", ":2:"),
    ("handlers:\n  a: { command: [] }\n", ":2:"),
    ("handlers:\n  a: { timeout: 3s }\n", ":2:"),
    ("handlers:\n  a: { command: [x], runner: [y] }\n", ":2:"),
    ("handlers:\n  a:\n    command: [x]\n    timeout: 3\n", ":4: timeout"),
    ("handlers:\n  a: { command: [x], retries: -1 }\n", ":2:"),
    ("handlers:\n  a: { command: [x], processes: 2 }\n", ":2:"),
    ("handlers:\n  a: { runner: [x], processes: 0 }\n", ":2:"),
    ("handlers:\n  a: { command: [x], env: [FLOTILLA_ID] }\n", ":2:"),
    ("handlers:\n  a: { command: [x], comand: 1 }\n", ":2:"),
    ("handlers:\n  noop: { command: [x] }\n", ":2: noop is built in"),
    ("handlers:\n  a: { plugin: ./missing.so }\n", ":2:"),
    ("handler:\n  a: 7\n", ":1:"),
    ("handlers: []\n", ":1:"),
    ("handlers:\n  a: { command: [x] }\n  a: { command: [x] }\n", ":3:"),
    ("handlers:\n  a: { command: [x]\n", ".yaml:"),
]


def write(fleet, name, text):
    with open(os.path.join(fleet.dir, name), "w", encoding="utf-8") as file:
        file.write(text)
    return name


def test_bad_handlers_files(fleet, table):
    for text, words in HANDLERS:
        write(fleet, "bad.yaml", text)
        with table.row(text):
            expect(run_tool(fleet, "flotillad", ["--handlers", "bad.yaml"]), 2, "bad.yaml", words)


WORKFLOWS = [
    ("", 1, "a map"),
    ("- a\n", 1, "a map with `jobs`"),
    ("name: x\n", 1, "no `jobs`"),
    ("jobs:\n  a: { task: noop\n", 3, ""),
    ("jobs:\n  a: { task: noop }\ncolour: red\n", 3, "unknown key colour"),
    ("jobs:\n  a: { args: 1 }\n", 2, "no `task`"),
    ("jobs:\n  a:\n    task: noop\n    retires: 3\n", 4, "is retries meant?"),
    ("jobs:\n  a:\n    task: noop\n    timeout_ms: 5\n", 4, "timeout: 10s"),
    ("jobs:\n  a:\n    task: noop\n    priority: urgent\n", 4, "priority"),
    ("jobs:\n  a: { task: noop }\n  a: { task: noop }\n", 3, "a"),
    ("jobs:\n  a: { task: noop }\n  b: { task: noop, after: [c] }\n", 3, "no job here is called that"),
    ("jobs:\n  x: { task: noop }\n  a: { task: noop, after: c }\n  b: { task: noop, after: [a, x] }\n  c: { task: noop, after: b }\n",
     3, "a → b → c → a"),
    ("jobs:\n  a: { task: noop, matrix: { x: [] } }\n", 2, "x is empty"),
    ("jobs:\n  a:\n    task: noop\n    args: '{level}'\n", 4, "nothing fills {level}"),
    ("jobs:\n  a: { task: noop, matrix: { x: ['a b', 'a:b'] } }\n", 2, "two jobs are called a.x=a_b"),
]


def test_bad_workflow_files(fleet, table):
    for text, line, words in WORKFLOWS:
        write(fleet, "flow.yaml", text)
        with table.row(text):
            done = run_tool(fleet, "flotilla", ["run", "flow.yaml"])
            expect_usage(done, words, text)
            assert "flow.yaml:%d: " % line in done.stderr, done.stderr
    write(fleet, "flow.json", '{"schemaVersion": "1.5"}')
    expect(run_tool(fleet, "flotilla", ["run", "flow.json", "--replay", "1"]), 2, "flow.json")
    write(fleet, "flow.yaml", "jobs:\n  a: { task: noop, args: '{level}' }\n")
    for sets, words in ((["--set", "level"], "NAME=VALUE"), (["--set", "lvel=3"], "level"), (["--replay", "1"], "--replay")):
        with table.row(sets):
            expect_usage(run_tool(fleet, "flotilla", ["run", "flow.yaml", *sets]), words, sets)
    assert list(fleet.redis.scan_iter(fleet.key("job", "*"))) == []


CONFIGS = [
    ("prefix: a\nslotz: 1\n", ":2: `slotz` is no setting"),
    ("- a\n", ":1: must be a map"),
    ("prefix: No Good\n", ":1: `prefix`"),
    ("amqp_url: { a: 1 }\n", ":1: `amqp_url` must be one value"),
    ("\nredis_url:\n", ":2: `redis_url` has no value"),
    ("prefix: a\nprefix: b\n", ":2: the key `prefix` stands twice"),
    ("prefix: [\n", "c.yaml:"),
]
WORKER_CONFIGS = [
    ("slots: many\n", ":1: `slots`: must be a whole number"),
    ("slots: 1\nlease: 10\n", ":2: `lease`: \"10\" has no unit"),
    ("allow_exec: maybe\n", ":1: `allow_exec`: must be true or false"),
]


def test_bad_config_files(fleet, table):
    for text, words in CONFIGS + WORKER_CONFIGS:
        write(fleet, "c.yaml", text)
        with table.row(text):
            expect(run_tool(fleet, "flotillad", ["--config", "c.yaml"], timeout=3), 2, words)
            if (text, words) in CONFIGS:
                expect_usage(run_tool(fleet, "flotilla", ["ls", "--config", "c.yaml"]), words, text)
                expect_usage(run_tool(fleet, "flotilla", ["ls"], {"FLOTILLA_CONFIG": "c.yaml"}), words, text)
    for name, value in (("FLOTILLA_PREFIX", "No"), ("FLOTILLA_AMQP_URL", "x"), ("FLOTILLA_REDIS_URL", "x")):
        for tool, args in (("flotilla", ["submit", "noop"]), ("flotillad", [])):
            with table.row((tool, name)):
                expect(run_tool(fleet, tool, args, {name: value}), 2)


# --- services

def test_services_that_cannot_be_reached(fleet, table):
    no_amqp, no_redis = ["--amqp", "amqp://guest:guest@127.0.0.1:9/"], ["--redis", "redis://127.0.0.1:9/0"]
    commands = [("flotillad", ["--retry-services", "1s", *no_amqp]), ("flotillad", ["--retry-services", "1s", *no_redis]),
                ("flotilla", ["submit", "noop", "--id", "mine", *no_amqp]), ("flotilla", ["submit", "noop", "--id", "mine", *no_redis])]
    commands += [("flotilla", [*args, *no_redis]) for args in (["status", "x"], ["ls"], ["wait", "x"], ["why", "x"], ["stats"])]
    with concurrent.futures.ThreadPoolExecutor(len(commands)) as pool:
        for (tool, args), done in zip(commands, pool.map(lambda c: run_tool(fleet, *c), commands)):
            with table.row((tool, args)):
                expect(done, 3, "127.0.0.1:9")
                assert done.stdout == ""
                # the id that it would have been, for another try
                assert args[0] != "submit" or "mine" in done.stderr, done.stderr
    assert fleet.command("submit", "noop", "--id", "mine", check=0).stdout == "mine\n"


def hangs_up(listening):
    """A Redis that answers all that a session begins with in one piece, resets the connection behind it, and does so again."""
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        connection.settimeout(0.3)
        asked = b""
        with contextlib.suppress(OSError):
            while more := connection.recv(1 << 16):
                asked += more
        answers = b""
        for command in re.findall(rb"\*\d+\r\n\$\d+\r\n([A-Z]+)\r\n", asked):
            answers += {b"CONFIG": b"*0\r\n", b"GET": b"$-1\r\n", b"SCRIPT": b"$40\r\n" + 40 * b"a" + b"\r\n"}.get(command, b"+OK\r\n")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            connection.sendall(answers)
        connection.close()


def test_a_redis_that_hangs_up_as_soon_as_it_is_there(fleet):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=hangs_up, args=(listening,), daemon=True).start()
        url = "redis://127.0.0.1:%d/0" % listening.getsockname()[1]
        done = run_tool(fleet, "flotilla", ["ls", "--redis", url])
        listening.shutdown(socket.SHUT_RDWR)
    assert done.returncode == 3, (done.returncode, done.stderr)


def test_wrong_passwords(fleet):
    amqp = os.environ["FLOTILLA_AMQP_URL"].replace("guest:guest@", "guest:wrong@")
    redis = os.environ["FLOTILLA_REDIS_URL"].replace("redis://", "redis://u:wrong@")
    for args, words in ((["--amqp", amqp], "wrong user or password"), (["--redis", redis], "Redis")):
        began = time.monotonic()
        done = expect(run_tool(fleet, "flotillad", ["--retry-services", "20s", *args]), 2, words)
        assert time.monotonic() - began < 10, "it tried again"
        assert ":wrong" not in done.stderr, "a password in the log: " + done.stderr
        done = expect(run_tool(fleet, "flotilla", ["submit", "noop", *args]), 2, words)
        assert ":wrong" not in done.stderr
    nowhere = os.environ["FLOTILLA_AMQP_URL"].rstrip("/") + "/no-such-vhost"
    expect(run_tool(fleet, "flotillad", ["--amqp", nowhere]), 2, "no-such-vhost")


def test_a_queue_declared_otherwise(fleet):
    name = fleet.prefix + ".default.normal"
    fleet.channel.queue_declare(name, durable=True)
    expect(run_tool(fleet, "flotillad", ["--retry-services", "20s"]), 2, name, "declared otherwise", "inequivalent arg 'x-")
    expect(run_tool(fleet, "flotilla", ["broker", "apply"]), 2, name, "declared otherwise")
    fleet.connect()
    fleet.channel.queue_delete(name)
    fleet.channel.exchange_delete(fleet.prefix)
    fleet.channel.exchange_declare(fleet.prefix, "topic", durable=True)
    expect(run_tool(fleet, "flotillad", ["--retry-services", "20s"]), 2, "exchange", fleet.prefix, "type")
    fleet.connect()
    fleet.channel.exchange_delete(fleet.prefix)
    fleet.worker()


def test_another_schema(fleet):
    fleet.redis.set(fleet.key("schema"), "99")
    expect(run_tool(fleet, "flotillad", ["--retry-services", "20s"]), 2, "99")
    expect(run_tool(fleet, "flotilla", ["submit", "noop"]), 2, "99")
    assert fleet.redis.get(fleet.key("schema")) == "99"


@pytest.mark.parametrize("args", [["status", "nobody"], ["result", "nobody"], ["logs", "nobody"], ["wait", "nobody"],
                                  ["why", "nobody"], ["cancel", "nobody"], ["retry", "nobody"], ["cancel", "--run", "nobody"]])
def test_what_nobody_knows(fleet, args):
    done = run_tool(fleet, "flotilla", args)
    expect(done, 4, "nobody")
    assert done.stdout == ""
