"""`flotillad --metrics`: what it says over HTTP, and when it does not."""
import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest

from exposition import parse
from fleet import ROOT, until
from proxy import Proxy


def address(worker):
    """Where the worker answers, by its log: the tests let the kernel choose the port."""
    return until(lambda: re.search(r"metrics at http://(\S+)/metrics", worker.log()), 20, worker.log).group(1)


def get(worker, path):
    """Status and text."""
    try:
        with urllib.request.urlopen("http://%s%s" % (address(worker), path), timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def scrape(worker):
    status, text = get(worker, "/metrics")
    assert status == 200
    return parse(text)


def measured(fleet, *options, **more):
    return fleet.worker("--metrics", "127.0.0.1:0", *options, **more)


def ready(worker):
    until(lambda: get(worker, "/readyz")[0] == 200, 20, lambda: get(worker, "/readyz")[1] + worker.log())
    return worker


def test_jobs_are_counted_by_task_and_outcome_and_timed(fleet):
    worker = ready(measured(fleet, "--allow-exec"))
    for i in range(3):
        fleet.publish({"id": "n%d" % i, "task": "noop"})
    fleet.publish({"id": "s", "task": "sleep", "args": {"ms": 60}})
    fleet.publish({"id": "f", "task": "fail", "retries": 1, "backoff_ms": 1})
    fleet.publish({"id": "x", "task": "exec", "argv": ["sh", "-c", "exit 3"]})
    fleet.wait_all(["n0", "n1", "n2", "s", "f", "x"])

    def jobs(task, outcome):
        return scrape(worker).value("flotilla_jobs_total", pool="default", task=task, outcome=outcome)
    until(lambda: jobs("fail", "failed") == 1, 10, worker.log)
    until(lambda: jobs("exec", "failed") == 1, 10, worker.log)
    assert jobs("noop", "succeeded") == 3
    assert jobs("fail", "retried") == 1
    page = scrape(worker)
    for name in ("wait", "run", "total"):
        assert page.value("flotilla_job_%s_seconds_count" % name, pool="default", task="sleep") == 1
    assert 0.06 <= page.value("flotilla_job_run_seconds_sum", pool="default", task="sleep") < 20
    assert page.value("flotilla_job_run_seconds_bucket", pool="default", task="sleep", le="0.05") == 0
    assert page.value("flotilla_job_run_seconds_bucket", pool="default", task="sleep", le="+Inf") == 1
    assert page.value("flotilla_job_total_seconds_count", pool="default", task="fail") == 1
    assert page.value("flotilla_claims_total", pool="default") == 7
    assert page.value("flotilla_children_cpu_seconds_total") > 0


def documented():
    """Name → (type, labels, meaning), of the tables of docs/metrics.md."""
    rows = {}
    with open(os.path.join(ROOT, "docs", "metrics.md"), encoding="utf-8") as file:
        for line in file:
            match = re.match(r"\| `(\w+)` \| (counter|gauge|histogram) \| ([^|]+) \| ([^|]+) \| (.+) \|$", line)
            if match:
                assert match.group(1) not in rows, line
                rows[match.group(1)] = (match.group(2), set(re.findall(r"`(\w+)`", match.group(4))), match.group(5))
    return rows


def test_the_page_and_what_is_told_agree(fleet):
    worker = ready(measured(fleet))
    page = until(lambda: (lambda p: p if p.values("flotilla_queue_messages") and len(p.values("flotilla_parked_messages")) == 3
                          else None)(scrape(worker)), 30, worker.log)
    rows = documented()
    assert set(page.types) == set(rows)
    for name, (kind, labels, meaning) in rows.items():
        assert page.types[name] == kind, name
        assert page.labels(name) == labels, name
        assert meaning.startswith(page.help[name]), name
    done = subprocess.run(["promtool", "check", "metrics"], input=get(worker, "/metrics")[1], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def through(proxy, url):
    return re.sub(r":[0-9]+(?=/)", ":%d" % proxy.port, url)


def test_a_worker_says_whether_it_serves_and_why_not(fleet):
    broker, redis = Proxy(urlsplit(fleet.amqp_url).port), Proxy(urlsplit(fleet.redis_url).port)
    worker = ready(measured(fleet, "--lease", "2s", "--redis", through(redis, fleet.redis_url), "--amqp", through(broker, fleet.amqp_url)))
    assert get(worker, "/readyz") == (200, "ready\n")
    redis.cut("hold", "hold")
    until(lambda: get(worker, "/readyz")[0] == 503, 20, worker.log)
    # a request waits for nobody, and the loop turns
    assert "Redis" in get(worker, "/readyz")[1]
    assert get(worker, "/healthz") == (200, "ok\n")
    assert scrape(worker).value("flotilla_ready", pool="default") == 0
    redis.heal()
    ready(worker)
    broker.refuse()
    until(lambda: get(worker, "/readyz") == (503, "there is no session with RabbitMQ\n"), 20, worker.log)
    # the session that publishes may be missed first
    until(lambda: scrape(worker).value("flotilla_connection_up", connection="consume") == 0, 20, worker.log)
    broker.accept_again()
    ready(worker)
    for connection in ("consume", "publish"):
        until(lambda: scrape(worker).value("flotilla_reconnects_total", connection=connection) >= 1, 20, worker.log)
        assert scrape(worker).value("flotilla_connection_failures_total", connection=connection) >= 1


def test_a_full_worker_is_ready_and_a_stopping_one_is_not(fleet):
    worker = ready(measured(fleet, "--slots", "1", "--grace", "20s"))
    fleet.publish({"id": "long", "task": "sleep", "args": {"ms": 60000}})
    fleet.wait("long", "running")
    other = fleet.worker("--slots", "1")
    # all slots are taken by a long job and another is idle: it does not consume, so that the other gets what comes
    until(lambda: not any(scrape(worker).values("flotilla_consuming")), 20, worker.log)
    assert get(worker, "/readyz") == (200, "ready\n")
    other.stop()
    worker.process.send_signal(signal.SIGTERM)
    until(lambda: get(worker, "/readyz") == (503, "stopping: it takes no more jobs\n"), 10, worker.log)
    assert get(worker, "/healthz")[0] == 200
    assert scrape(worker).value("flotilla_draining", pool="default") == 1
    fleet.command("cancel", "long", check=0)
    assert worker.process.wait(30) == 0


def test_what_nobody_has_a_handler_for_makes_no_series(fleet):
    worker = ready(measured(fleet))
    before = len(scrape(worker).samples)
    for i in range(30):
        fleet.publish({"id": "u%d" % i, "task": 'odd-%d"\\' % i})
    fleet.wait_all(["u%d" % i for i in range(30)])
    page = until(lambda: (lambda p: p if p.value("flotilla_jobs_total", task="other", pool="default", outcome="failed") == 30
                          else None)(scrape(worker)), 20, lambda: get(worker, "/metrics")[1])
    assert {l["task"] for _, l, _ in page.samples if "task" in l} == {"fail", "noop", "replay", "sleep", "other"}
    assert page.value("flotilla_claims_refused_total", pool="default", reason="unknown task") >= 30
    assert len(page.samples) - before < 120  # the fleet's figures, and those of `other`


def test_slow_and_odd_clients_hold_up_nobody(fleet):
    worker = ready(measured(fleet))
    host, port = address(worker).split(":")
    slow = [socket.create_connection((host, int(port)), timeout=10) for _ in range(20)]
    for i, client in enumerate(slow):
        client.sendall([b"GET /metrics HT", b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\nabc", b"\x16\x03\x01\x00", b""][i % 4])
    assert get(worker, "/metrics")[0] == 200
    request = urllib.request.Request("http://%s:%s/metrics" % (host, port), data=b"x" * 300000, method="POST")
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=10)
    assert error.value.code == 405
    assert get(worker, "/etc/passwd")[0] == 404
    fleet.publish({"id": "a", "task": "noop"})
    assert fleet.wait("a")["state"] == "succeeded"
    for client in slow:
        client.close()
    assert worker.stop() == 0


@pytest.mark.parametrize("text, word", [
    ("9464", "is no ADDR:PORT"), ("::1:9464", "is no ADDR:PORT"), ("localhost:", "the port must be a number"), ("127.0.0.1:99999", "the port must be a number"),
    ("127.0.0.1:+5", "the port must be a number"), ("192.0.2.1:9464", "this machine has no such address"), (":9464", "is no ADDR:PORT")])
def test_a_bad_address_ends_the_worker_with_its_reason(fleet, text, word):
    worker = measured(fleet, "--metrics", text, ready=False)
    assert worker.process.wait(20) == 2
    assert "--metrics" in worker.log() and word in worker.log() and text in worker.log()


def test_a_port_that_is_taken_is_named(fleet):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = "127.0.0.1:%d" % taken.getsockname()[1]
        worker = measured(fleet, "--metrics", where, ready=False)
        assert worker.process.wait(20) == 3
        assert "--metrics %s: the port is taken" % where in worker.log()


def test_the_address_may_stand_in_the_file(fleet):
    with open(os.path.join(fleet.dir, "worker.yaml"), "w", encoding="utf-8") as file:
        file.write("metrics: '[::1]:0'\n")
    worker = fleet.worker("--config", os.path.join(fleet.dir, "worker.yaml"))
    assert re.search(r"metrics at http://\[::1\]:[0-9]+/metrics", worker.log())


def test_lines_about_a_job_say_which(fleet):
    """In JSON: every line that names a job has it, its run, its attempt and the worker as members."""
    worker = ready(measured(fleet, "--log-format", "json", "--allow-exec", "--lease", "1s"))
    fleet.publish({"id": "f", "task": "exec", "argv": ["false"], "run": "r", "retries": 1, "backoff_ms": 1})
    fleet.wait("f")
    fleet.publish(None, body=b'{"id": "bad", "task": 5}')
    fleet.publish({"id": "stolen", "task": "sleep", "args": {"ms": 60000}, "run": "r"})
    fleet.wait("stolen", "running")
    fleet.redis.hset(fleet.key("job", "stolen"), "token", "another")
    until(lambda: "lease was lost" in worker.log(), 20, worker.log)
    fleet.publish({"id": "back", "task": "sleep", "args": {"ms": 60000}})
    fleet.wait("back", "running")
    worker.process.send_signal(signal.SIGTERM)
    until(lambda: "takes no more" in worker.log(), 10, worker.log)
    worker.stop()
    lines = [json.loads(line) for line in worker.log().splitlines()]
    assert all(line["worker"] == worker.name for line in lines)
    about = {(line.get("job"), line.get("run"), line.get("attempt")) for line in lines if "job" in line}
    assert {("f", "r", 1), ("f", "r", 2), ("bad", None, None), ("stolen", "r", 1), ("back", None, 1)} <= about, lines
    ids = ("f", "bad", "stolen", "back")
    assert not [line for line in lines if "job" not in line and re.search(r"\b(%s)\b" % "|".join(ids), line["message"])]


def test_processes_are_those_that_the_kernel_knows(fleet):
    worker = ready(measured(fleet, "--allow-exec"))
    fleet.publish({"id": "x", "task": "exec", "argv": ["sh", "-c", "while :; do :; done"]})
    fleet.wait("x", "running")
    until(lambda: scrape(worker).value("flotilla_children_cpu_seconds_total") > 0.2, 30, worker.log)
    page = scrape(worker)
    assert page.value("flotilla_children") == 1
    assert 0 < page.value("flotilla_children_resident_memory_bytes") < 1 << 30
    with open("/proc/%d/statm" % worker.process.pid, encoding="utf-8") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    assert resident / 2 < page.value("process_resident_memory_bytes") < resident * 2
    assert abs(page.value("process_open_fds") - len(os.listdir("/proc/%d/fd" % worker.process.pid))) <= 5
    assert abs(page.value("process_start_time_seconds") - os.stat("/proc/%d" % worker.process.pid).st_ctime) < 60
    before = page.value("flotilla_children_cpu_seconds_total")
    fleet.command("cancel", "x", check=0)
    fleet.wait("x")
    page = until(lambda: (lambda p: p if p.value("flotilla_children") == 0 else None)(scrape(worker)), 20, worker.log)
    assert page.value("flotilla_children_cpu_seconds_total") >= before
    assert page.value("flotilla_children_max_resident_memory_bytes") > 0
