"""`flotillad --metrics`: what it says over HTTP, and when it does not."""
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request

import pytest

from exposition import parse
from fleet import ROOT, until


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
