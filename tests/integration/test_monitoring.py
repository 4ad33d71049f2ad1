"""monitoring/: a real Prometheus scrapes real workers, and every query of the dashboard finds something there. Each alarm rings when it should."""
import json
import os
import re
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest
import yaml

from fleet import ROOT, until
from test_metrics import address, measured, ready

MONITORING = os.path.join(ROOT, "monitoring")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Prometheus:
    def __init__(self, directory, targets):
        with open(os.path.join(MONITORING, "prometheus.yml"), encoding="utf-8") as file:
            config = yaml.safe_load(file)
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [os.path.join(MONITORING, name) for name in config["rule_files"]]
        config["scrape_configs"][0]["static_configs"] = [{"targets": targets}]
        with open(os.path.join(directory, "prometheus.yml"), "w", encoding="utf-8") as file:
            yaml.safe_dump(config, file)
        self.url = "http://127.0.0.1:%d" % free_port()
        self.log_path = os.path.join(directory, "prometheus.log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", "--config.file", os.path.join(directory, "prometheus.yml"), "--storage.tsdb.path", os.path.join(directory, "data"),
                 "--web.listen-address", self.url[len("http://"):]], stdout=log, stderr=log, cwd=directory)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]

    def ask(self, path, **parameters):
        assert self.process.poll() is None, self.log()
        try:
            with urllib.request.urlopen("%s/api/v1/%s?%s" % (self.url, path, urllib.parse.urlencode(parameters)), timeout=10) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return None  # it is starting
            raise AssertionError("%s: %s" % (parameters, error.read().decode())) from error
        except OSError:
            return None
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expr):
        """The values, without those that are no number."""
        data = self.ask("query", query=expr)
        return [float(r["value"][1]) for r in data["result"] if r["value"][1] != "NaN"] if data else []


def queries():
    """(panel, query), as Grafana would send them with all pools chosen."""
    with open(os.path.join(MONITORING, "grafana", "flotilla.json"), encoding="utf-8") as file:
        board = json.load(file)
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            expr = target["expr"].replace("$__rate_interval", "30s").replace("$pool", ".*")
            assert "$" not in expr
            yield panel["title"], expr


@pytest.fixture
def watched(fleet, tmp_path):
    """Two workers of two pools that work, and a Prometheus that sees them."""
    workers = [ready(measured(fleet, "--allow-exec", "--slots", 2)), ready(measured(fleet, "--pool", "gpu"))]
    with Prometheus(str(tmp_path), [address(worker) for worker in workers]) as prometheus:
        until(lambda: prometheus.query('sum(up{job="flotilla"})') == [2], 60, prometheus.log)
        yield fleet, prometheus


def test_every_query_of_the_dashboard_finds_something(watched):
    fleet, prometheus = watched
    left, number = dict.fromkeys(queries()), 0
    assert len(left) > 40

    def look():
        """Jobs go on while it is looked, so that there are rates."""
        nonlocal number
        number += 1
        fleet.publish({"id": "s%d" % number, "task": "sleep", "args": {"ms": 10}})
        fleet.publish({"id": "g%d" % number, "task": "noop", "pool": "gpu"}, pool="gpu")
        fleet.publish({"id": "x%d" % number, "task": "exec", "argv": ["true"]})
        fleet.publish({"id": "f%d" % number, "task": "fail"})
        for key in list(left):
            if prometheus.query(key[1]):
                del left[key]
        return not left
    until(look, 60, lambda: "nothing: %s\n%s" % (sorted(left), prometheus.log()))

    def rules():
        return [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    until(lambda: all(rule["health"] != "unknown" for rule in rules()), 20, lambda: "each alarm has been looked at: %s" % rules())
    assert len(rules()) >= 10 and {rule["health"] for rule in rules()} == {"ok"}, rules()


def test_a_pool_without_workers_is_seen_with_what_waits_there(watched):
    fleet, prometheus = watched
    fleet.workers[1].stop()
    fleet.command("submit", "noop", "--pool", "gpu", "--id", "late", check=0)
    until(lambda: prometheus.query('max(flotilla_pool_workers{pool="gpu"})') == [0], 60, lambda: prometheus.log() + fleet.logs())
    until(lambda: prometheus.query('sum(max by (priority) (flotilla_queue_messages{pool="gpu"}))') == [1], 30, fleet.logs)
    with open(os.path.join(MONITORING, "alerts.yml"), encoding="utf-8") as file:
        rules = {rule["alert"]: rule["expr"] for group in yaml.safe_load(file)["groups"] for rule in group["rules"]}
    assert prometheus.query(rules["FlotillaPoolWithoutWorkers"]) == [1]


def test_every_alarm_rings_when_it_should_and_only_then():
    def promtool(*args):
        done = subprocess.run(["promtool", *args], capture_output=True, text=True, timeout=120, cwd=MONITORING)
        assert done.returncode == 0, done.stdout + done.stderr
    promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "alerts.yml")
    promtool("test", "rules", "alerts_test.yml")
    with open(os.path.join(MONITORING, "alerts.yml"), encoding="utf-8") as file:
        alarms = [rule["alert"] for group in yaml.safe_load(file)["groups"] for rule in group["rules"]]
    with open(os.path.join(MONITORING, "alerts_test.yml"), encoding="utf-8") as file:
        tested = yaml.safe_load(file)["tests"]
    for alarm in alarms:
        samples = [bool(t["promql_expr_test"][0]["exp_samples"]) for t in tested if '"%s"' % alarm in t["promql_expr_test"][0]["expr"]]
        assert sorted(samples) == [False, True], alarm


def test_alarms_and_dashboard_ask_for_metrics_that_there_are():
    with open(os.path.join(ROOT, "docs", "metrics.md"), encoding="utf-8") as file:
        known = set(re.findall(r"^\| `(\w+)` \|", file.read(), re.M))
    with open(os.path.join(MONITORING, "alerts.yml"), encoding="utf-8") as file:
        text = file.read()
    exprs = [expr for _, expr in queries()] + re.findall(r"expr: (.*(?:\n {12}.*)*)", text) + [text]
    for name in set(re.findall(r"\b(flotilla_\w+|process_\w+)", "\n".join(exprs))):
        assert re.sub(r"_(bucket|sum|count)$", "", name) in known or name in known, name
