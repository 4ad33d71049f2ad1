"""Handlers of every kind: commands, runners, plugins; what they get, and what becomes of what they do."""
import json
import os
import shutil
import subprocess
import time

import pytest

from fleet import ROOT, until
from jobs import alive

HANDLERS = """
handlers:
  show: {{ command: ["./show", "{{args.text}}", "-t{{args.text}}", "{{args}}", "{{id}}/{{task}}/{{attempt}}"] }}
  operand: {{ command: ["./show", "--", "{{args.text}}"] }}
  env: {{ command: ["sh", "-c", "env > env; echo \\"$COLOUR\\""], env: [COLOUR] }}
  told: {{ command: ["sh", "-c", "env > env"], services: true }}
  files: {{ command: ["sh", "-c", "cp job.json result; echo out; echo err >&2"] }}
  slow: {{ command: ["sh", "-c", "sleep 61 & echo $! > {dir}/grandchild; echo begun; sleep 62"], timeout: 1s }}
  flaky: {{ command: ["sh", "-c", "test {{attempt}} = 3"], retries: 5 }}
  add: {{ runner: ["{python}", "{root}/examples/runner.py"], processes: 2 }}
  odd: {{ runner: ["{python}", "odd.py"], retries: 1, timeout: 30s }}
  words: {{ plugin: ./libwords.so, processes: 1 }}
"""

SHOW = """#!/bin/sh
for argument in "$@"; do printf '[%s]' "$argument"; done
"""

# A runner that does as it is told.
ODD = """
import os, sys, time
sys.path.insert(0, {examples!r})
import runner

def handle(self, job):
    word = job["args"]["do"]
    if word == "die once" and job["attempt"] == 1:
        os._exit(3)
    if word == "wait":
        print("waiting", flush=True)
        self.progress("half way")
        while not self.stopping():
            time.sleep(0.02)
        raise RuntimeError("was asked to stop")
    return {{"attempt": job["attempt"], "results": job["results"], "env": sorted(n for n in os.environ if n.startswith("FLOTILLA"))}}

runner.Runner().serve(handle)
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("plugin") / "libwords.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-I", ROOT + "/shared/include", "-o", path, ROOT + "/examples/plugin.c"], check=True)
    return path


@pytest.fixture
def worker(fleet, plugin):
    examples = os.path.join(ROOT, "examples")
    shutil.copy(plugin, os.path.join(fleet.dir, "libwords.so"))
    for name, text in (("h.yaml", HANDLERS.format(dir=fleet.dir, root=ROOT, python="/usr/bin/python3")), ("show", SHOW),
                       ("odd.py", ODD.format(examples=examples))):
        with open(os.path.join(fleet.dir, name), "w", encoding="utf-8") as file:
            file.write(text)
    os.chmod(os.path.join(fleet.dir, "show"), 0o755)
    return fleet.worker("--handlers", "h.yaml", "--slots", 4, "--allow-exec", env={"SECRET_OF_HOST": "seen", "FLOTILLA_EXTRA": "hidden"})


def output(fleet, id):
    return fleet.redis.get(fleet.key("job", id, "output")) or ""


def read(fleet, id, name):
    with open(os.path.join(fleet.job(id)["dir"], name), encoding="utf-8") as file:
        return file.read()


def variables(text):
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


HOSTILE = ["plain", "", "--help", "-", "-rf /", "; rm -rf / #", "$(id) `id` ${HOME}", "{id} {{x}} {args.text}", "a\nb\t'\"\\", "\n-x", " -x",
           "*", "?[a-z]", "~root", "%s%n", "&& true", "| tee x", "> /tmp/x", "é\U0001f6a2\u202e\ufeff", "\x01\x7f\x1b[2J", "x" * 100000]


def test_placeholders_stay_one_argument(fleet, worker):
    """And none becomes an option, unless the operator said that it may stand there."""
    for number, text in enumerate(HOSTILE):
        for task in ("show", "operand"):
            fleet.publish({"task": task, "id": "%s%d" % (task, number), "args": {"text": text}}, encoding=["json", "msgpack"][number % 2])
    fleet.publish({"task": "show", "id": "list", "args": {"text": [1, {"a": None}]}})
    fleet.publish({"task": "show", "id": "number", "args": {"text": -5}, "retries": 3})
    fleet.publish({"task": "show", "id": "nul", "args": {"text": "a\0b"}, "retries": 3})
    fleet.publish({"task": "show", "id": "long", "args": {"text": "x" * 131072}, "retries": 3})
    fleet.wait_all(["%s%d" % (task, i) for i in range(len(HOSTILE)) for task in ("show", "operand")] + ["list", "number", "nul", "long"])
    for number, text in enumerate(HOSTILE):
        id = "show%d" % number
        if text.startswith("-"):
            job = fleet.job(id)
            assert (job["state"], job["reason"]) == ("failed", "bad argument") and "{args.text}" in job["error"], job
        elif len(text) < 1000:
            said = output(fleet, id)
            assert said.startswith("[%s][-t%s][" % (text, text)) and said.endswith("[%s/show/1]" % id), said
            assert json.loads(said[len("[%s][-t%s][" % (text, text)):-len("][%s/show/1]" % id)]) == {"text": text}
        assert read(fleet, "operand%d" % number, "stdout") == "[--][%s]" % text
    assert output(fleet, "list").startswith('[[1,{"a":null}]]')
    for id, words in (("number", "begins with -"), ("nul", "NUL"), ("long", "128 KiB")):
        job = fleet.job(id)
        assert (job["state"], job["reason"], job["attempt"]) == ("failed", "bad argument", "1") and words in job["error"], job


def test_environment(fleet, worker):
    fleet.publish({"task": "env", "id": "e", "env": {"COLOUR": "red $HOME"}, "run": "r1"})
    fleet.publish({"task": "told", "id": "t"})
    fleet.publish({"task": "exec", "id": "x", "argv": ["sh", "-c", "env > env; ls -l /proc/self/fd | wc -l > fds"],
                   "env": {"PATH": os.environ["PATH"], "MINE": "1"}})
    fleet.wait_all("etx")
    seen = variables(read(fleet, "e", "env"))
    assert seen["COLOUR"] == "red $HOME" and seen["SECRET_OF_HOST"] == "seen"
    names = {"FLOTILLA_ID", "FLOTILLA_TASK", "FLOTILLA_ATTEMPT", "FLOTILLA_RUN", "FLOTILLA_JOB_DIR", "FLOTILLA_WORKER"}
    assert {n for n in seen if n.startswith("FLOTILLA")} == names
    assert (seen["FLOTILLA_ID"], seen["FLOTILLA_TASK"], seen["FLOTILLA_ATTEMPT"], seen["FLOTILLA_RUN"]) == ("e", "env", "1", "r1")
    assert os.path.samefile(seen["FLOTILLA_JOB_DIR"], fleet.job("e")["dir"])
    seen = variables(read(fleet, "t", "env"))
    assert seen["FLOTILLA_AMQP_URL"] == os.environ["FLOTILLA_AMQP_URL"] and seen["FLOTILLA_PREFIX"] == fleet.prefix
    assert seen["FLOTILLA_REDIS_URL"] == os.environ["FLOTILLA_REDIS_URL"]
    seen = variables(read(fleet, "x", "env"))
    assert seen["MINE"] == "1" and not {n for n in seen if n.startswith("FLOTILLA")} - names
    assert int(read(fleet, "x", "fds")) <= 5  # 0, 1, 2, its own, and the line of the total


def test_files_of_a_job(fleet, worker):
    fleet.publish({"task": "noop", "id": "p", "args": {"n": [1]}})
    fleet.publish({"task": "files", "id": "f", "after": ["p"], "args": {"k": 1}, "labels": {"l": "m"}})
    fleet.wait("f", "succeeded")
    told = fleet.result("f")
    assert told["job"]["id"] == "f" and told["job"]["args"] == {"k": 1} and told["attempt"] == 1
    assert told["results"] == {"p": {"n": [1]}} and "handler" in told
    assert read(fleet, "f", "stdout") == "out\n" and read(fleet, "f", "stderr") == "err\n"
    until(lambda: os.path.exists(fleet.job("f")["dir"] + "/profile.json"))
    profile = json.loads(read(fleet, "f", "profile.json"))
    assert {"exit_code", "signal", "wall_ms", "user_ms", "system_ms", "max_rss_kib"} <= set(profile) and profile["exit_code"] == 0


RESULTS = [
    ("echo '{\"a\": 1}' > result", "succeeded", None),
    ("true", "succeeded", None),
    ("echo null > result", "succeeded", None),
    ("echo '{\"a\": ' > result", "failed", "not JSON"),
    (": > result", "failed", "JSON"),
    ("echo '1 2' > result", "failed", "not JSON"),
    ("printf '\"\\377\"' > result", "failed", "not JSON"),
    ("mkdir result", "failed", "plain file"),
    ("ln -s /etc/passwd result", "failed", "plain file"),
    ("mkfifo result", "failed", "plain file"),
    ("{ echo '\"'; head -c 70000 /dev/zero | tr '\\0' x; echo '\"'; } | tr -d '\\n' > result", "failed", "64 KiB"),
    ("echo 1 > result; chmod 0 result; exit 4", "failed", None),
]


def test_result_files(fleet, worker):
    for number, (script, _, _) in enumerate(RESULTS):
        fleet.publish({"task": "exec", "id": "r%d" % number, "argv": ["sh", "-c", script]})
    fleet.wait_all(["r%d" % i for i in range(len(RESULTS))])
    for number, (script, state, words) in enumerate(RESULTS):
        job = fleet.job("r%d" % number)
        assert job["state"] == state, (script, job)
        if words:
            assert job["reason"] == "result" and words in job["error"], (script, job)
    assert fleet.result("r0") == {"a": 1} and fleet.result("r1") is None and fleet.result("r2") is None


def test_a_timeout_ends_the_whole_group(fleet, worker):
    fleet.publish({"task": "slow", "id": "s"})
    until(lambda: "begun" in output(fleet, "s") or fleet.state("s") == "failed", 10, "its output while it runs")
    job = fleet.wait("s", "failed", 20)
    assert job["reason"] == "timeout" and job["attempt"] == "1", job
    with open(fleet.dir + "/grandchild", encoding="utf-8") as file:
        grandchild = int(file.read())
    until(lambda: not alive(grandchild), 10, "the grandchild is gone")
    assert output(fleet, "s") == "begun\n"


def test_output_while_it_runs_and_its_end(fleet, worker):
    script = "echo early; while [ ! -e {0}/go ]; do sleep 0.05; done; head -c 200000 /dev/zero | tr '\\0' x; echo end"
    fleet.publish({"task": "exec", "id": "o", "argv": ["sh", "-c", script.format(fleet.dir)]})
    until(lambda: output(fleet, "o") == "early\n", 10, "its output while it runs")
    assert fleet.state("o") == "running"
    open(fleet.dir + "/go", "w", encoding="utf-8").close()
    fleet.wait("o", "succeeded")
    tail = output(fleet, "o")
    assert len(tail) <= 64 * 1024 and len(tail) > 60 * 1024 and tail.endswith("xend\n")


def test_retries_of_a_handler(fleet, worker):
    fleet.publish({"task": "flaky", "id": "f", "backoff_ms": 10})
    fleet.publish({"task": "flaky", "id": "less", "backoff_ms": 10, "retries": 1})
    job = fleet.wait("f", "succeeded")
    assert (job["attempt"], job["failures"]) == ("3", "2"), job
    job = fleet.wait("less", "failed")
    assert (job["attempt"], job["reason"]) == ("2", "exit"), job


def test_runner_and_plugin(fleet, worker):
    for number in range(30):
        fleet.publish({"task": "add", "id": "a%d" % number, "args": [number, 1]})
    fleet.publish({"task": "words", "id": "w", "args": "how many words are these"})
    fleet.publish({"task": "add", "id": "bad", "args": "no list", "retries": 3})
    fleet.publish({"task": "words", "id": "bad2", "args": 5, "retries": 3})
    fleet.publish({"task": "add", "id": "wrong", "args": [1, "x"]})
    fleet.wait_all(["a%d" % i for i in range(30)] + ["w", "bad", "bad2", "wrong"])
    assert [fleet.result("a%d" % i) for i in range(30)] == [{"sum": i + 1} for i in range(30)]
    assert "added 2 numbers" in output(fleet, "a0") and fleet.job("a0")["progress"] == "2 of 2"
    assert fleet.result("w") == {"words": 5}
    for id in ("bad", "bad2"):
        job = fleet.job(id)
        assert (job["state"], job["reason"], job["attempt"]) == ("failed", "bad argument", "1"), job
    assert fleet.job("wrong")["reason"] == "error" and "TypeError" in fleet.job("wrong")["error"]


def test_what_a_runner_says_is_kept_up_to_a_bound(fleet):
    shutil.copy(os.path.join(ROOT, "examples", "runner.py"), fleet.dir)
    with open(os.path.join(fleet.dir, "r.py"), "w", encoding="utf-8") as file:
        file.write("import runner\ndef handle(self, job):\n    self.progress('x' + 'é' * 900000)\n    raise Exception('e' * 1900000)\n"
                   "runner.Runner().serve(handle)\n")
    with open(os.path.join(fleet.dir, "h.yaml"), "w", encoding="utf-8") as file:
        file.write("handlers:\n  talks: { runner: [/usr/bin/python3, r.py] }\n")
    worker = fleet.worker("--handlers", "h.yaml")
    fleet.publish({"id": "t", "task": "talks"})
    job = fleet.wait("t", "failed")
    assert job["progress"] == "x" + "é" * 2047 + " ..." and job["error"].endswith("e" * 4000 + " ...") and len(job["error"]) == 4100
    assert len(worker.log()) < 10000


def test_a_runner_that_dies(fleet, worker):
    fleet.publish({"task": "noop", "id": "before", "args": "b"})
    fleet.publish({"task": "odd", "id": "d", "args": {"do": "die once"}, "backoff_ms": 10, "after": ["before"]})
    job = fleet.wait("d", "succeeded")
    assert (job["attempt"], job["failures"]) == ("2", "1"), job
    assert fleet.result("d") == {"attempt": 2, "results": {"before": "b"}, "env": ["FLOTILLA_WORKER"]}
    fleet.publish({"task": "odd", "id": "last", "args": {"do": "die once"}, "retries": 0})
    job = fleet.wait("last", "failed")
    assert job["reason"] == "exit" and "3" in job["error"], job


def test_cancel_and_timeout_of_a_runners_job(fleet, worker):
    fleet.publish({"task": "odd", "id": "c", "args": {"do": "wait"}})
    until(lambda: fleet.job("c").get("progress") == "half way", 15, lambda: "its progress: %s" % fleet.job("c"))
    until(lambda: "waiting" in output(fleet, "c"), 10, "its output while it runs")
    began = time.monotonic()
    fleet.command("cancel", "c", check=0)
    assert fleet.wait("c", "cancelled")["reason"] == "cancelled"
    assert time.monotonic() - began < 4, "it was asked, and did not have to be killed"
    fleet.publish({"task": "odd", "id": "t", "args": {"do": "wait"}, "timeout_ms": 300, "retries": 0})
    assert fleet.wait("t", "failed")["reason"] == "timeout"
    fleet.publish({"task": "odd", "id": "n", "args": {"do": "nothing"}})
    assert fleet.wait("n", "succeeded")["attempt"] == "1"
    fleet.settled()
