"""The command `flotilla`: every sub-command, its output, its exit codes and its errors. `live` is one fleet with a worker for
the whole file (each test with ids of its own); `fleet` is one without, fresh for each test."""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import uuid

import pytest

from fleet import BUILD, Fleet, until

FLOTILLA = os.path.join(BUILD, "bin", "flotilla")
STATES = {"waiting", "scheduled", "queued", "running", "succeeded", "failed", "cancelled", "skipped", "expired"}


@pytest.fixture(scope="module")
def live():
    fleet = Fleet()
    fleet.worker("--allow-exec", "--slots", 4)
    yield fleet
    fleet.close()


@pytest.fixture
def name():
    return "j" + uuid.uuid4().hex[:10]


def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def flotilla(*args, env=None, **more):
    return subprocess.run([FLOTILLA, *args], capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})}, **more)


def write(fleet, name, text):
    with open(os.path.join(fleet.dir, name), "w") as file:
        file.write(text)
    return name


# --- usage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("args, code, words", [
    ([], 2, "a command is missing"),
    (["sbumit", "x"], 2, "did you mean 'submit'"),
    (["stat"], 2, "did you mean"),
    (["doktor"], 2, "did you mean 'doctor'"),
    (["--nope"], 2, "no option --nope"),
    (["submit"], 2, "too few arguments"),
    (["submit", "a", "b"], 2, "one argument too many: 'b'"),
    (["submit", "x", "--retires", "3"], 2, "did you mean --retries?"),
    (["submit", "x", "--id"], 2, "--id"),
    (["submit", "x", "--reuse=1"], 2, "--reuse takes no value"),
    (["submit", "x", "--retries", "many"], 2, "--retries: 'many'"),
    (["submit", "x", "--retries", "1001"], 2, "1000"),
    (["submit", "x", "--timeout", "10"], 2, "--timeout"),
    (["submit", "x", "--timeout", "-1s"], 2, "--timeout"),
    (["submit", "x", "--args", "{"], 2, "--args"),
    (["submit", "x", "--args", '{"a":1,"a":2}'], 2, "--args"),
    (["submit", "x", "--env", "NOEQUALS"], 2, "NAME=VALUE"),
    (["submit", "x", "--id", "a:b"], 2, "id"),
    (["submit", "x", "--id", "a b"], 2, "id"),
    (["submit", "x", "--pool", "UPPER"], 2, "pool"),
    (["submit", "x", "--priority", "urgent"], 2, "priority"),
    (["submit", "x", "--after", "a:never"], 2, "after"),
    (["submit", "x", "--id", "a", "--after", "a"], 2, "after"),
    (["submit", "x", "--after", "a:failed", "--after", "a:ended"], 2, "after"),
    (["submit", "x", "--reuse"], 2, "reuse"),
    (["submit", "", "--id", "a"], 2, "task"),
    (["submit", "x", "--prefix", "Not Valid"], 2, "--prefix"),
    (["submit", "x", "--redis", "http://x"], 2, "redis"),
    (["submit", "x", "--amqp", "http://x"], 2, "amqp"),
    (["submit", "x", "--config", "/nonexistent.yaml"], 2, "/nonexistent.yaml"),
    (["ls", "--state", "dead"], 2, "'dead' is no state"),
    (["ls", "--limit", "0"], 2, "--limit"),
    (["ls", "x"], 2, "one argument too many"),
    (["cancel"], 2, "--run"),
    (["cancel", "a", "--run", "r"], 2, "either"),
    (["retry", "--run", "r"], 2, "--failed"),
    (["retry", "--failed"], 2, "--run RUN"),
    (["wait"], 2, "too few"),
    (["wait", "a:b"], 2, "cannot be an id"),
    (["broker", "destroy"], 2, "broker apply"),
    (["broker", "apply", "--pool", "A"], 2, "--pool"),
    (["import", "x.json"], 2, "--to"),
    (["import", "x.json", "--to", "xml"], 2, "yaml"),
    (["run", "/nonexistent.yaml"], 2, "/nonexistent.yaml"),
    (["run", "x.yaml", "--replay", "0"], 2, "--replay"),
])
def test_bad_usage(args, code, words):
    done = flotilla(*args)
    assert done.returncode == code, done
    assert done.stdout == ""
    assert words in done.stderr and done.stderr.startswith("flotilla")
    assert done.stderr.count("\n") == 1, "an error is one line"


def test_help_and_version():
    assert re.match(r"flotilla \d+\.\d+\.\d+\n$", flotilla("version").stdout)
    everything = flotilla("--help")
    assert everything.returncode == 0
    for command in re.findall(r"^  (\w+)  ", everything.stdout.split("Commands:")[1], re.M):
        for args in ([command, "--help"], ["help", command]):
            done = flotilla(*args)
            assert done.returncode == 0 and done.stdout.startswith("Usage: flotilla " + command), args


# --- services ---------------------------------------------------------------------------------------------------------


def test_redis_away(name):
    url = "redis://127.0.0.1:%d/0" % closed_port()
    done = flotilla("submit", "noop", "--id", name, "--redis", url)
    assert done.returncode == 3 and done.stdout == ""
    assert url in done.stderr and "--redis" in done.stderr and "--id " + name in done.stderr
    assert flotilla("ls", env={"FLOTILLA_REDIS_URL": url}).returncode == 3


def test_broker_away(fleet, name):
    done = fleet.command("submit", "noop", "--id", name, "--amqp", "amqp://127.0.0.1:%d/" % closed_port())
    assert done.returncode == 3 and done.stdout == ""
    assert "--id " + name in done.stderr and "--amqp" in done.stderr
    assert fleet.state(name) == "queued"
    assert fleet.redis.zscore(fleet.key("outbox"), name)
    assert fleet.command("submit", "noop", "--id", name, check=0).stdout == name + "\n"
    assert fleet.command("broker", "apply", "--amqp", "amqp://127.0.0.1:%d/" % closed_port()).returncode == 3


def test_wrong_password(fleet):
    url = re.sub("//[^@]*@", "//nobody:secret-word@", os.environ["FLOTILLA_AMQP_URL"])
    done = fleet.command("broker", "apply", "--amqp", url)
    assert done.returncode == 2 and "secret-word" not in done.stderr
    done = fleet.command("submit", "noop", "--amqp", url)
    assert done.returncode == 2 and "secret-word" not in done.stderr


def test_settings_from_a_file(fleet, name):
    path = write(fleet, "f.yaml", "prefix: %s\nslots: 3\nlease: 5s\n" % fleet.prefix)
    env = {k: v for k, v in os.environ.items() if k != "FLOTILLA_PREFIX"}
    done = subprocess.run([FLOTILLA, "--config", path, "submit", "noop", "--id", name], cwd=fleet.dir, env=env, timeout=30)
    assert done.returncode == 0 and fleet.state(name) == "queued"
    write(fleet, "bad.yaml", "prefix: x\nbogus: 1\n")
    done = subprocess.run([FLOTILLA, "ls", "--config", "bad.yaml"], cwd=fleet.dir, env=env, timeout=30, capture_output=True, text=True)
    assert done.returncode == 2 and "bad.yaml:2" in done.stderr and "bogus" in done.stderr


def test_other_priorities_from_a_file(fleet, name):
    write(fleet, "p.yaml", "priorities: [urgent, usual, whenever]\n")
    fleet.command("submit", "noop", "--id", name, "--config", "p.yaml", "--priority", "urgent", check=0)
    fleet.command("submit", "noop", "--id", name + "u", "--config", "p.yaml", check=0)
    assert fleet.job(name)["priority"] == "urgent" and fleet.job(name + "u")["priority"] == "usual"
    fleet.command("submit", "noop", "--config", "p.yaml", "--priority", "high", check=2)
    for priority in ("urgent", "usual"):
        fleet.channel.queue_delete("%s.default.%s" % (fleet.prefix, priority))


def test_redis_that_is_full(fleet, name):
    limit = fleet.redis.config_get("maxmemory")["maxmemory"]
    fleet.redis.config_set("maxmemory", 1)
    try:
        done = fleet.command("submit", "noop", "--id", name)
    finally:
        fleet.redis.config_set("maxmemory", limit)
    assert done.returncode == 3 and "is full" in done.stderr and "--id " + name in done.stderr


def test_broker_apply(fleet):
    done = fleet.command("broker", "apply", "--pool", "default", "--pool", "gpu", check=0)
    for queue in ("rejected", "returned", "unrouted", "default.high", "gpu.low"):
        assert "queue     %s.%s\n" % (fleet.prefix, queue) in done.stdout
        assert fleet.queue_length("%s.%s" % (fleet.prefix, queue)) == 0
    assert fleet.command("broker", "apply", check=0).stdout
    fleet.channel.queue_declare(fleet.prefix + ".other.high")
    done = fleet.command("broker", "apply", "--pool", "other")
    assert done.returncode == 2 and fleet.prefix + ".other.high" in done.stderr


# --- submit, status, ls -----------------------------------------------------------------------------------------------


def test_submit_writes_every_field(fleet, name):
    done = fleet.command("submit", "shout", "--id", name, "--args", '{"a":[1,2.5,"x"]}', "--pool", "gpu", "--priority", "high",
                         "--retries", 4, "--keep", "1500ms", "--run", "r1", "--label", "who=me", "--label", "a=b=c",
                         "--delay", "1h", "--expires", "2h", "--backoff", "2s", "--timeout", "1m", check=0)
    assert done.stdout == name + "\n" and done.stderr == ""
    status = json.loads(fleet.command("status", name, "--json", check=0).stdout)
    now = fleet.redis.time()[0] * 1000
    assert status["id"] == name and status["state"] == "scheduled" and status["task"] == "shout"
    assert status["pool"] == "gpu" and status["priority"] == "high" and status["retries"] == 4 and status["run"] == "r1"
    assert status["labels"] == {"who": "me", "a": "b=c"} and status["attempt"] == 0 and status["result"] is None
    assert abs(status["due_at"] - now - 3600_000) < 20_000 and abs(status["expires_at"] - now - 7200_000) < 20_000
    assert fleet.job(name)["keep"] == "2", "seconds are rounded up"
    words = fleet.command("status", name, check=0).stdout
    assert re.search(r"^state +scheduled$", words, re.M) and "(in 1 h" in words.replace("59 min", "1 h")


def test_submit_again_and_made_ids(fleet, name):
    fleet.command("submit", "noop", "--id", name, check=0)
    done = fleet.command("submit", "other", "--id", name, check=0)
    assert done.stdout == name + "\n" and "already known, state queued" in done.stderr
    assert fleet.job(name)["task"] == "noop"
    made = [fleet.command("submit", "noop", check=0).stdout.strip() for _ in range(2)]
    assert made[0] != made[1] and all(len(id) == 26 for id in made)
    assert fleet.command("submit", "noop", "--args", "-", "--id", name + "s", stdin='{"from":"stdin"}', check=0)
    assert b"stdin" in fleet.raw_redis.get(fleet.key("job", name + "s", "spec"))


def test_submit_declares_the_queue(fleet, name):
    fleet.command("submit", "noop", "--id", name, "--pool", "gpu", "--priority", "low", check=0)
    assert fleet.queue_length(fleet.prefix + ".gpu.low") == 1


def test_ls(fleet):
    for i in range(5):
        fleet.command("submit", "noop", "--id", "a%d" % i, "--run", "ra", check=0)
    fleet.command("submit", "noop", "--id", "b", "--pool", "gpu", "--after", "nobody", check=0)

    def ls(*args):
        return [json.loads(line)["id"] for line in fleet.command("ls", "--json", *args, check=0).stdout.splitlines()]
    assert set(ls()) == {"a0", "a1", "a2", "a3", "a4", "b"} and ls()[0] == "b"
    assert ls("--limit", 2) == ["b", "a4"]
    assert ls("--state", "waiting") == ["b"] and ls("--pool", "gpu") == ["b"]
    assert ls("--run", "ra", "--limit", 3) == ["a4", "a3", "a2"]
    assert ls("--run", "none") == []
    table = fleet.command("ls", check=0).stdout.splitlines()
    assert table[0].split() == ["ID", "STATE", "TASK", "POOL", "PRIORITY", "ATTEMPT", "AGE"]
    assert table[1].split()[:6] == ["b", "waiting", "noop", "gpu", "normal", "0"]
    assert "\033" not in "".join(table)


@pytest.mark.parametrize("command", ["status", "result", "logs", "why", "cancel", "retry", "wait"])
def test_unknown_id(fleet, command):
    done = fleet.command(command, "nobody")
    assert done.returncode == 4 and "nobody" in done.stderr and done.stderr.count("\n") == 1


# --- wait, result, logs -----------------------------------------------------------------------------------------------


def test_submit_and_wait(live, name):
    done = live.command("submit", "noop", "--id", name, "--args", '{"x":[1,null]}', "--wait", check=0)
    assert done.stdout == name + "\n"
    assert json.loads(live.command("result", name, check=0).stdout) == {"x": [1, None]}
    assert live.command("wait", name, check=0).stdout == name + " succeeded\n"
    status = json.loads(live.command("status", name, "--json", check=0).stdout)
    assert status["result"] == {"x": [1, None]} and status["attempt"] == 1
    failed = live.command("submit", "fail", "--args", '{"message":"boom"}', "--wait", check=1)
    assert failed.stdout.strip() in failed.stderr and "flotilla why" in failed.stderr


def test_wait_exit_codes(live, name):
    good, bad, slow = name + "g", name + "b", name + "s"
    live.command("submit", "noop", "--id", good, check=0)
    live.command("submit", "fail", "--id", bad, check=0)
    live.command("submit", "sleep", "--id", slow, "--args", '{"ms":60000}', check=0)
    assert live.command("wait", good, good, check=0).stdout == good + " succeeded\n"
    assert set(live.command("wait", good, bad, check=1).stdout.splitlines()) == {good + " succeeded", bad + " failed"}
    done = live.command("wait", good, slow, "--timeout", "300ms", check=124)
    assert "1 of 2" in done.stderr and done.stdout == good + " succeeded\n"
    live.command("wait", slow, bad, "--any", check=1)
    live.command("wait", slow, good, "--any", check=0)
    live.command("wait", good, "nobody", check=4)
    live.command("wait", "nobody", "--unknown-ok", "--timeout", "200ms", check=124)
    live.command("cancel", slow, check=0)
    live.command("wait", slow, check=1)


def test_wait_for_one_to_come(live, name):
    waiting = subprocess.Popen([FLOTILLA, "wait", name, "--unknown-ok", "--prefix", live.prefix], stdout=subprocess.PIPE, text=True)
    live.command("submit", "sleep", "--args", '{"ms":300}', "--id", name, check=0)
    out, _ = waiting.communicate(timeout=20)
    assert waiting.returncode == 0 and out == name + " succeeded\n"


def test_result(live, name):
    live.command("submit", "exec", "--id", name, "--wait", "--", "true", check=0)
    assert live.command("result", name, check=0).stdout == "null\n"
    live.command("submit", "noop", "--id", name + "w", "--after", "nobody", check=0)
    done = live.command("result", name + "w", check=1)
    assert done.stdout == "" and "has not ended" in done.stderr


def test_logs(live, name):
    live.command("submit", "exec", "--id", name, "--wait", "--", "sh", "-c", "echo out; echo err >&2", check=0)
    assert sorted(live.command("logs", name, check=0).stdout.splitlines()) == ["err", "out"]
    script = "for i in 1 2 3 4; do echo line $i; sleep 0.6; done"
    live.command("submit", "exec", "--id", name + "f", "--", "sh", "-c", script, check=0)
    assert live.command("logs", name + "f", "--follow", check=0).stdout == "line 1\nline 2\nline 3\nline 4\n"


def test_environment_and_argv_reach_the_program(live, name):
    live.command("submit", "exec", "--id", name, "--env", "COLOUR=red=ish", "--wait", "--", "sh", "-c",
                 'printf "%s|%s|%s" "$COLOUR" "$0" "$FLOTILLA_ID"', "--a", check=0)
    assert live.command("logs", name, check=0).stdout == "red=ish|--a|" + name


# --- cancel, retry ----------------------------------------------------------------------------------------------------


def test_cancel(live, name):
    first, joined, after = name + "1", name + "2", name + "3"
    live.command("submit", "sleep", "--id", first, "--args", '{"ms":60000}', "--dedup", name, check=0)
    live.command("submit", "sleep", "--id", joined, "--dedup", name, check=0)
    live.command("submit", "noop", "--id", after, "--after", first, check=0)
    live.wait(first, "running")
    assert json.loads(live.command("status", joined, "--json", check=0).stdout)["duplicate_of"] == first
    done = live.command("cancel", first, check=0)
    assert "asked to end it" in done.stdout and joined in done.stdout
    live.command("wait", first, joined, after, "--timeout", "15s", check=1)
    assert [live.state(id) for id in (first, joined, after)] == ["cancelled", "cancelled", "skipped"]
    assert "ended already, cancelled" in live.command("cancel", first, check=0).stdout
    live.command("cancel", first, "nobody", check=4)


def test_cancel_needs_the_broker_only_for_what_becomes_ready(fleet, name):
    away = ["--amqp", "amqp://127.0.0.1:%d/" % closed_port()]
    fleet.command("submit", "noop", "--id", name, check=0)
    fleet.command("submit", "noop", "--id", name + "b", "--after", name + ":ended", check=0)
    fleet.command("submit", "noop", "--id", name + "c", "--after", name, check=0)
    fleet.command("cancel", name + "c", *away, check=0)
    done = fleet.command("cancel", name, *away, check=3)
    assert "the cancellation stands" in done.stderr and fleet.state(name) == "cancelled"
    assert fleet.state(name + "b") == "queued" and fleet.redis.zscore(fleet.key("outbox"), name + "b")


def test_retry(live, name):
    first, second, third = name + "1", name + "2", name + "3"
    flag = os.path.join(live.dir, name)
    live.command("submit", "exec", "--id", first, "--", "sh", "-c", "test -e " + flag, check=0)
    live.command("submit", "noop", "--id", second, "--after", first, check=0)
    live.command("submit", "noop", "--id", third, "--after", second, check=0)
    live.command("wait", third, check=1)
    done = live.command("retry", third, check=2)
    assert "flotilla retry " + first in done.stderr
    open(flag, "w").close()
    assert "tried again" in live.command("retry", first, check=0).stdout
    live.command("wait", first, second, third, "--timeout", "15s", check=0)
    assert live.job(first)["attempt"] == "2"
    assert "only what failed" in live.command("retry", first, check=0).stdout


# --- why --------------------------------------------------------------------------------------------------------------


def why(fleet, id):
    return fleet.command("why", id, check=0).stdout


def test_why_waiting(fleet):
    fleet.command("submit", "noop", "--id", "a", check=0)
    fleet.command("submit", "noop", "--id", "b", "--after", "a", "--after", "ghost:failed", check=0)
    words = why(fleet, "b")
    assert words.startswith("b (noop) is waiting") and "2 predecessors" in words
    assert "a: is queued (asked: succeeded)" in words
    assert "ghost: nobody has submitted it" in words and "asked: failed" in words


def test_why_names_a_cycle(fleet):
    for job, *after in (("a", "c"), ("b", "a"), ("c", "b"), ("d", "ghost", "c"), ("e", "a", "b", "c")):
        fleet.command("submit", "noop", "--id", job, *(word for id in after for word in ("--after", id)), check=0)
    for job in "abcde":
        words = why(fleet, job)
        assert "wait for one another" in words
        line = next(line for line in words.splitlines() if "one another" in line)
        names = re.findall(r"\b[a-e]\b", line.split(":")[1])
        assert set(names) == set("abc") and names[0] == names[-1] and len(names) == 4, line
    fleet.command("cancel", "b", check=0)
    assert "one another" not in why(fleet, "d")


def test_why_joined(fleet):
    fleet.command("submit", "noop", "--id", "a", "--dedup", "k", check=0)
    fleet.command("submit", "noop", "--id", "b", "--dedup", "k", check=0)
    assert "joined a" in why(fleet, "b")


def test_why_registration_unfinished(fleet):
    fleet.command("submit", "noop", "--id", "a", "--after", "z", check=0)
    fleet.redis.hset(fleet.key("job", "a", "waiting"), "~", "")
    assert "registration is not finished" in why(fleet, "a")


def test_why_queued(fleet, live, name):
    fleet.command("submit", "noop", "--id", "a", "--pool", "gpu", check=0)
    assert "no worker serves pool gpu: start one: flotillad --pool gpu" in why(fleet, "a")
    live.command("submit", "nosuch", "--id", name, check=0)
    words = why(live, name)
    assert "no worker of pool default knows the task nosuch" in words and live.workers[0].name in words and "noop" in words


def test_why_scheduled(live, name):
    live.command("submit", "noop", "--id", name, "--delay", "1h", check=0)
    assert re.search("due in (1 h|59 min)", why(live, name))
    live.command("submit", "fail", "--id", name + "f", "--args", '{"message":"boom"}', "--retries", 2, "--backoff", "1h", check=0)
    live.wait(name + "f", "scheduled")
    words = why(live, name + "f")
    assert "attempt 1 failed" in words and "boom" in words and "due in" in words


def test_why_running_and_failed(live, name):
    live.command("submit", "exec", "--id", name, "--", "sh", "-c", "echo some words; sleep 0.1; exec sleep 60", check=0)
    live.wait(name, "running")
    words = until(lambda: re.search("lease", why(live, name)) and why(live, name))
    assert live.workers[0].name in words and str(live.workers[0].process.pid) in words
    live.command("cancel", name, check=0)
    live.command("wait", name, check=1)
    assert "cancelled" in why(live, name)
    live.command("submit", "exec", "--id", name + "f", "--wait", "--", "sh", "-c", "seq 50; echo \033[2Jlast; exit 7", check=1)
    words = why(live, name + "f")
    assert "exited with status 7" in words and "| 50\n" in words and "| ?[2Jlast" in words and "| 20\n" not in words
    assert "flotilla retry" in words


def test_why_skipped_follows_the_chain(live, name):
    live.command("submit", "fail", "--id", name, check=0)
    live.command("submit", "noop", "--id", name + "b", "--after", name, check=0)
    live.command("submit", "noop", "--id", name + "c", "--after", name + "b", check=0)
    live.command("wait", name + "c", check=1)
    words = why(live, name + "c")
    assert name + "b ended as skipped" in words and "because %s ended as failed" % name in words
    assert "flotilla retry %s tries it again" % name in words


# --- the fleet --------------------------------------------------------------------------------------------------------


def test_workers_stats_top(live, name):
    live.command("submit", "noop", "--id", name, "--wait", check=0)
    worker = json.loads(live.command("workers", "--json", check=0).stdout.splitlines()[0])
    assert worker["name"] == live.workers[0].name and worker["alive"] and worker["slots"] == 4 and "exec" in worker["tasks"]
    assert live.workers[0].name in live.command("workers", check=0).stdout
    stats = json.loads(live.command("stats", "--json", check=0).stdout)
    assert stats["ended"]["succeeded"] >= 1 and stats["workers"] == 1
    assert {q["priority"] for q in stats["queues"]} == {"high", "normal", "low"}
    assert "succeeded" in live.command("stats", check=0).stdout
    live.command("submit", "sleep", "--id", name + "s", "--args", '{"ms":60000}', check=0)
    live.wait(name + "s", "running")
    top = live.command("top", check=0).stdout
    assert name + "s" in top and live.workers[0].name in top and "\033" not in top
    live.command("cancel", name + "s", check=0)


# --- run --------------------------------------------------------------------------------------------------------------

NIGHTLY = """name: nightly
jobs:
  extract: { task: noop, args: { level: "{level}" } }
  train:   { task: noop, after: [extract], matrix: { lr: [0.1, 0.01] }, args: { lr: "{lr}" } }
  pick:    { task: noop, after: [train] }
  alarm:   { task: noop, after: [{ id: pick, when: failed }] }
"""


def test_run(live):
    path = write(live, "nightly.yaml", NIGHTLY)
    done = live.command("run", path, "--set", "level=3", check=0)
    run = re.match(r"(nightly-\d+): 4 succeeded, 1 skipped of 5 jobs in ", done.stdout).group(1)
    assert "\033" not in done.stderr and "\r" not in done.stderr and "5/5" in done.stderr
    assert live.result(run + "/extract") == {"level": 3} and live.result(run + "/train.lr=0.01") == {"lr": 0.01}
    again = json.loads(live.command("run", path, "--set", "level=3", "--name", run, "--json", check=0).stdout)
    assert again["run"] == run and again["jobs"] == 5 and again["succeeded"] == 4 and again["not_succeeded"] == []
    other = live.command("run", path, "--set", "level=4", "--name", run, check=2)
    assert run in other.stderr and "another file" in other.stderr
    detached = live.command("run", path, "--set", "level=3", "--detach", check=0).stdout.strip()
    assert detached != run and re.match(r"nightly-\d+$", detached)
    live.command("wait", detached + "/pick", check=0)
    assert len(live.command("graph", run, check=0).stdout.splitlines()) == 6
    assert '"%s/extract" -> "%s/train.lr=0.1"' % (run, run) in live.command("graph", run, "--dot", check=0).stdout


def test_run_submits_what_is_missing(live):
    path = write(live, "nightly.yaml", NIGHTLY)
    run = live.command("run", path, "--set", "level=1", check=0).stdout.split(":")[0]
    keys = live.redis.keys(live.key("job", run + "/pick*"))
    live.redis.delete(*keys)
    live.redis.hincrby(live.key("run", run), "jobs", -1)
    live.redis.hincrby(live.key("run", run), "succeeded", -1)
    live.redis.srem(live.key("run", run, "jobs"), run + "/pick")
    assert "4 succeeded, 1 skipped of 5" in live.command("run", path, "--set", "level=1", "--name", run, check=0).stdout
    assert live.state(run + "/pick") == "succeeded"


def test_run_that_fails(live):
    write(live, "bad.yaml", "jobs:\n  a: { task: fail, args: { message: 'no way' } }\n  b: { task: noop, after: [a] }\n")
    done = live.command("run", "bad.yaml", check=1)
    assert "1 failed, 1 skipped of 2 jobs" in done.stdout and "bad-1/a" in done.stdout and "no way" in done.stdout
    assert "flotilla why bad-1/a" in done.stdout
    document = json.loads(live.command("run", "bad.yaml", "--json", check=1).stdout)
    assert document["failed"] == 1 and document["not_succeeded"][0]["error"] == "no way"
    assert "tried again" in live.command("retry", "--run", "bad-1", "--failed", check=0).stdout
    live.command("wait", "bad-1/b", check=1)


def test_run_where_rabbitmq_cannot_be_reached_from_here(live):
    """It is registered, the caretaker invites, the run ends: so says the command, though its own invitations never went out."""
    path = write(live, "nightly.yaml", NIGHTLY)
    done = live.command("run", path, "--set", "level=3", "--amqp", "amqp://guest:guest@127.0.0.1:1/", check=0)
    assert "4 succeeded, 1 skipped of 5 jobs in " in done.stdout


def test_run_dry_and_bad_files(fleet):
    path = write(fleet, "nightly.yaml", NIGHTLY)
    assert "5 jobs; nothing was submitted" in fleet.command("run", path, "--set", "level=1", "-n", check=0).stdout
    done = fleet.command("run", path, check=2)
    assert "nightly.yaml:3" in done.stderr and "level" in done.stderr
    write(fleet, "cycle.yaml", "jobs:\n  a: { task: noop, after: [b] }\n  b: { task: noop, after: [a] }\n")
    done = fleet.command("run", "cycle.yaml", check=2)
    assert "cycle.yaml:2" in done.stderr and done.stderr.count("\n") == 1
    assert fleet.redis.keys(fleet.key("job", "*")) == []
    assert "4 levels" in fleet.command("graph", "-", "--set", "level=1", stdin=NIGHTLY, check=0).stdout
    assert fleet.command("graph", "nowhere").returncode == 4


def test_cancel_a_run(fleet):
    path = write(fleet, "nightly.yaml", NIGHTLY)
    run = fleet.command("run", path, "--set", "level=1", "--detach", check=0).stdout.strip()
    fleet.command("cancel", "--run", run, check=0)
    assert {fleet.state(id) for id in fleet.redis.smembers(fleet.key("run", run, "jobs"))} <= {"cancelled", "skipped"}
    fleet.command("run", path, "--set", "level=1", "--name", run, check=1)
    fleet.command("cancel", "--run", "nobody", check=4)


def test_an_interrupted_run_goes_on(fleet):
    path = write(fleet, "nightly.yaml", NIGHTLY)
    process = subprocess.Popen([FLOTILLA, "run", path, "--set", "level=1", "--prefix", fleet.prefix], cwd=fleet.dir,
                               stderr=subprocess.PIPE, text=True)
    lines = []
    threading.Thread(target=lambda: lines.extend(iter(process.stderr.readline, "")), daemon=True).start()
    until(lambda: any("0/5" in line for line in lines))
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    until(lambda: any("goes on" in line for line in lines))
    assert len(fleet.redis.smembers(fleet.key("run", "nightly-1", "jobs"))) == 5


RECORDED = {
    "name": "tiny", "schemaVersion": "1.5",
    "workflow": {
        "specification": {
            "tasks": [
                {"name": "make", "id": "make", "parents": [], "children": ["use"], "inputFiles": ["in"], "outputFiles": ["mid"]},
                {"name": "use", "id": "use", "parents": ["make"], "children": [], "inputFiles": ["mid"], "outputFiles": ["out"]},
            ],
            "files": [{"id": f, "sizeInBytes": 1000} for f in ("in", "mid", "out")],
        },
        "execution": {"makespanInSeconds": 2, "executedAt": "2024-01-01T00:00:00Z",
                      "tasks": [{"id": t, "runtimeInSeconds": 1} for t in ("make", "use")], "machines": []},
    },
}


def test_replay_of_a_recorded_workflow(live):
    write(live, "tiny.json", json.dumps(RECORDED))
    done = live.command("run", "tiny.json", check=2)
    assert "--replay" in done.stderr
    done = live.command("run", "tiny.json", "--replay", "0.01", "--name", "tiny", "--file-factor", 1, check=0)
    assert "2 succeeded of 2 jobs" in done.stdout
    assert os.path.getsize(os.path.join(live.dir, "flotilla-runs", "tiny", "out")) == 1000
    yaml = live.command("import", "tiny.json", "--to", "yaml", "--replay", "0.01", check=0).stdout
    assert "replay" in yaml
    write(live, "tiny.yaml", yaml)
    live.command("run", "tiny.yaml", check=0)


def test_who_waits_is_told_that_no_worker_serves_the_pool(fleet):
    fleet.worker()
    for id in ("n1", "n2"):
        fleet.command("submit", "noop", "--pool", "other", "--id", id, check=0)
    done = fleet.command("wait", "n1", "n2", "--timeout", "4s", check=124)
    assert done.stderr.count("\n") == 2, done.stderr
    assert "no worker serves pool other, where n1 is queued and 1 more; start one: flotillad --pool other" in done.stderr
    queues = json.loads(fleet.command("stats", "--json", check=0).stdout)["queues"]
    assert {(q["pool"], q["priority"]): q["ready"] for q in queues}[("other", "normal")] == 2
    with open(fleet.dir + "/w.yaml", "w", encoding="utf-8") as file:
        file.write("name: w\njobs:\n  a: { task: noop, pool: other }\n")
    with open(fleet.dir + "/said", "w", encoding="utf-8") as said:
        run = subprocess.Popen([FLOTILLA, "run", "w.yaml", "--prefix", fleet.prefix], cwd=fleet.dir, stdout=said, stderr=said)
    try:
        until(lambda: "no worker serves pool other, where w-1/a is queued;" in open(fleet.dir + "/said", encoding="utf-8").read())
        fleet.worker("--pool", "other")
        assert run.wait(20) == 0
    finally:
        run.kill()


def test_a_server_that_hangs_up_does_not_end_a_command(fleet):
    """A write to a connection that was reset raises SIGPIPE; so does one to a reader that has gone, and that one does."""
    fleet.worker()
    command = [os.path.join(BUILD, "bin", "flotilla"), "wait", "--prefix", fleet.prefix, "--redis", fleet.redis_url, "--unknown-ok", "p"]
    waiting = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(lambda: any(c["name"] == "flotilla" for c in fleet.redis.client_list()), what="the command is there")
    waiting.send_signal(signal.SIGPIPE)
    fleet.publish({"task": "noop", "id": "p"})
    assert waiting.wait(20) == 0, waiting.stderr.read()
    read, write = os.pipe()
    os.close(read)
    assert subprocess.run(command[:1] + ["ls"] + command[2:6], stdout=write, stderr=subprocess.PIPE, check=False).returncode == -signal.SIGPIPE
    os.close(write)
