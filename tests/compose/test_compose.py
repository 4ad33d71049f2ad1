"""What docs/compose.md tells an operator to do, typed as it stands there, on a fleet that works. tests/compose/run starts the engine,
makes the images and the copy of the files that this works in. All tests share one fleet, which test_up brings up; each scales it to
what it wants. Where one goes on where others ended, it says so, and a selection without those is refused (conftest.py).

Jobs write down, in the volume that all workers share, when they begin and end: so it is counted from outside how often each ran."""
import collections
import functools
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

import pika
import pytest
import yaml

import fleet
from fleet import ROOT

until = functools.partial(fleet.until, pause=0.25)  # each look starts processes, of which the fleet is to have no less
pytestmark = pytest.mark.after("test_up")

SITE = os.environ["COMPOSE_SITE"]
NOTES = "/var/lib/flotilla/shared/notes"
NOTE = """
  note: { command: ["sh", "-c", "echo begin $0 $HOSTNAME >> $2; sleep $1; echo end $0 $HOSTNAME >> $2", "{id}", "{args.seconds}", "%s"] }
""" % NOTES
with open(os.path.join(ROOT, "docs", "compose.md"), encoding="utf-8") as page:
    BLOCKS = {(name, kind): block for name, kind, block in re.findall(r"<!-- (\w+) -->\n```(\w+)\n(.*?)```", page.read(), re.DOTALL)}


def sh(command, seconds=300, check=True, **more):
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=SITE, capture_output=True, text=True, timeout=seconds, check=False,
                          **more)
    if check:
        assert done.returncode == 0, "%s\nexit %d\n%s\n%s" % (command, done.returncode, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout


TYPED = set()


def typed(name, seconds=300):
    """Runs the commands that stand in the page behind <!-- name -->."""
    TYPED.update(re.sub(r"\s+#.*", "", each) for each in BLOCKS[name, "sh"].splitlines())
    return sh(BLOCKS[name, "sh"], seconds)


def line(name, start):
    """Runs the one of them that begins so."""
    found = next(each for each in BLOCKS[name, "sh"].splitlines() if each.startswith(start))
    TYPED.add(re.sub(r"\s+#.*", "", found))
    return sh(found)


# --- what there is

def containers(service, all_of_them=False):
    return sh("docker ps -q %s --filter label=com.docker.compose.project=$COMPOSE_PROJECT_NAME --filter label=com.docker.compose.service=%s"
              % ("-a" if all_of_them else "", service)).split()


def inspect(container):
    return json.loads(sh("docker inspect " + container))[0]


def healthy(service, count):
    def look():
        states = [inspect(each)["State"] for each in containers(service)]
        return len(states) == count and all(state["Health"]["Status"] == "healthy" for state in states)
    until(look, 120, lambda: "%d of %s are healthy\n%s" % (count, service, sh("docker-compose ps; docker-compose logs --tail 30 " + service)))


def scaled(count):
    line("scale", "docker-compose up -d --scale consumer=%d" % count)
    healthy("consumer", count)


class Ends:
    """Writes down which containers end meanwhile, and how; 137 is of one that was killed, for it took too long to stop."""

    def __enter__(self):
        self.file = tempfile.TemporaryFile("w+", encoding="utf-8")
        self.events = subprocess.Popen(
            ["docker", "events", "--since", sh("date +%s").strip(), "--filter", "event=die", "--filter",
             "label=com.docker.compose.project=" + os.environ["COMPOSE_PROJECT_NAME"], "--format",
             '{{index .Actor.Attributes "com.docker.compose.service"}} {{.Actor.Attributes.exitCode}} {{.TimeNano}}'], stdout=self.file)
        self.begin = time.time_ns()
        return self

    def __exit__(self, *_):
        self.events.kill()
        self.events.wait()
        self.file.close()

    def of(self, service):
        self.file.seek(0)
        lines = (line.split() for line in self.file.read().splitlines())
        return [code for name, code, at in lines if name == service and int(at) >= self.begin]

    def well(self, service, count):
        until(lambda: len(self.of(service)) == count, 10, lambda: "%d of %s have ended: %s" % (count, service, self.of(service)))
        assert set(self.of(service)) == {"0"}


def inside(service, command):
    return sh("docker exec %s %s" % (containers(service)[0], command))


def redis(command):
    return inside("redis", "sh -c 'REDISCLI_AUTH=$(cat /run/secrets/monitor) redis-cli --user monitor %s'" % command)


def outside_url():
    with open(SITE + "/secrets/outside.url", encoding="utf-8") as file:
        return file.read().strip()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


PORT, PROMETHEUS_PORT = free_port(), free_port()


# --- work

class Stream:
    """A program outside that publishes jobs, each after two that came before, until it is told to stop: 25 a second of 1.2 s,
    so that some 30 could run at a time, and all workers have to do."""

    def __init__(self, run):
        self.run, self.ids, self.stopped = run, [], threading.Event()
        self.thread = threading.Thread(target=self.publish)

    def publish(self):
        with pika.BlockingConnection(pika.URLParameters(outside_url())) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            while not self.stopped.wait(0.04):
                job = {"id": "%s/%d" % (self.run, len(self.ids)), "run": self.run, "task": "note", "args": {"seconds": 1.2},
                       "after": [self.ids[-back] for back in (40, 57) if back <= len(self.ids)]}
                channel.basic_publish("flotilla", "default.normal", json.dumps(job), mandatory=True,
                                      properties=pika.BasicProperties(content_type="application/json", delivery_mode=2, user_id="outside"))
                self.ids.append(job["id"])

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()


def submit(run, layers, width, seconds):
    """Layers of jobs, each of which comes after two of the layer before."""
    jobs = {"j%d-%d" % (layer, n): {"task": "note", "args": {"seconds": seconds},
                                    **({"after": ["j%d-%d" % (layer - 1, m % width) for m in (n, n + 1)]} if layer else {})}
            for layer in range(layers) for n in range(width)}
    sh("docker-compose run --rm -T producer run - --name %s --detach" % run, input=json.dumps({"name": run, "jobs": jobs}))
    return ["%s/%s" % (run, name) for name in jobs]


def jobs_of(run):
    return {job["id"]: job for job in map(json.loads, inside("consumer", "flotilla ls --json --limit 10000 --run " + run).splitlines())}


def succeeded(run):
    return sum(job["state"] == "succeeded" for job in jobs_of(run).values())


def notes():
    """Who began, and who ended, how often; and the hosts that did."""
    words = [each.split() for each in inside("consumer", "cat " + NOTES).splitlines()]
    begun, ended = (collections.Counter(id for what, id, _ in words if what == kind) for kind in ("begin", "end"))
    return begun, ended, {id: host for _, id, host in words}


def hosts_of(run):
    return {host for id, host in notes()[2].items() if id.startswith(run + "/")}


def all_ended(run, ids):
    """Each has succeeded, at its first attempt, and was begun and ended once."""
    until(lambda: succeeded(run) == len(ids), 120, lambda: "%s ends\n%s" % (run, jobs_of(run)))
    jobs, (begun, ended, _) = jobs_of(run), notes()
    assert set(jobs) == set(ids)
    assert all(begun[id] == ended[id] == 1 for id in ids), [(id, begun[id], ended[id]) for id in ids]
    assert all((job["attempt"], job["lost"]) == (1, 0) for job in jobs.values()), jobs


# --- the page, from its beginning

def test_up():
    os.mkdir(SITE + "/handlers")
    with open(SITE + "/examples/handlers.yaml", encoding="utf-8") as old, open(SITE + "/handlers/handlers.yaml", "w", encoding="utf-8") as new:
        new.write(old.read() + NOTE)
    with open(SITE + "/.env", "w", encoding="utf-8") as file:
        file.write("FLOTILLA_AMQP_LISTEN=127.0.0.1:%d\nFLOTILLA_PROMETHEUS_LISTEN=127.0.0.1:%d\nFLOTILLA_HANDLERS=./handlers\n" % (PORT, PROMETHEUS_PORT))
    line("up", "scripts/compose-secrets")
    with open(SITE + "/secrets/outside.url", "r+", encoding="utf-8") as file:  # the usual port may be somebody else's
        url = file.read()
        file.seek(0)
        file.write(url.replace(":5672", ":%d" % PORT))
    typed("up", 900)  # it builds
    for service in ("rabbitmq", "redis", "consumer"):
        healthy(service, 1)
    topology, = containers("topology", all_of_them=True)
    assert inspect(topology)["State"]["ExitCode"] == 0
    assert not containers("producer", all_of_them=True)


def test_what_a_container_may():
    for service in ("rabbitmq", "redis", "consumer"):
        status = inside(service, "cat /proc/1/status")
        uid = int(re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE).group(1))
        assert uid != 0 and re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE) and re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE), status
        seen = inspect(containers(service)[0])
        assert seen["HostConfig"]["Memory"] > 0 and seen["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    for service in ("redis", "consumer"):
        assert inspect(containers(service)[0])["HostConfig"]["ReadonlyRootfs"]
    half = int(inside("rabbitmq", "rabbitmqctl -q eval 'vm_memory_monitor:get_memory_limit().'"))
    assert half == inspect(containers("rabbitmq")[0])["HostConfig"]["Memory"] // 2 or half == 500000000


def test_passwords_are_nowhere_but_in_their_files():
    secrets = set()
    for name in os.listdir(SITE + "/secrets"):
        with open(os.path.join(SITE, "secrets", name), encoding="utf-8") as file:
            secrets.update(re.findall(r"\b[0-9a-f]{48}\b", file.read()))
    assert len(secrets) == 7
    everything = sh("docker inspect $(docker ps -aq); docker history --no-trunc --format '{{.CreatedBy}}' $(docker inspect -f '{{.Image}}' %s); "
                    "docker-compose config; docker-compose logs --no-color; cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' ' || true"
                    % containers("consumer")[0])
    assert not [secret for secret in secrets if secret in everything]
    assert os.stat(SITE + "/secrets").st_mode & 0o77 == 0
    assert "stays as it is" in sh("scripts/compose-secrets 2>&1")


def test_submit_and_look():
    out = typed("producer")
    assert "Hello, you! This is attempt 1." in out and " 0/4 " in out, out
    typed("run")
    typed("operator")
    sh("python3 -", input=BLOCKS["pika", "python"])
    until(lambda: '"succeeded"' in sh("docker exec %s flotilla status --json outside-1" % containers("consumer")[0], check=False), 20, "it ends")
    out = typed("look")
    assert re.search(r"^state\nsucceeded$", out, re.MULTILINE) and "outside-1" in out and "consuming from pool default" in out, out


def test_scaled_while_a_workflow_runs():
    with Stream("scaled") as stream:
        until(lambda: succeeded("scaled") > 0, 30, "it has begun")
        line("scale", "docker-compose up -d --scale consumer=4")
        until(lambda: len(hosts_of("scaled")) == 4, 60, "all four have had jobs")
        four = set(containers("consumer"))
        with Ends() as ends:
            line("scale", "docker-compose up -d --scale consumer=2")
            ends.well("consumer", 2)
        assert len(four & set(containers("consumer"))) == len(containers("consumer")) == 2
        assert succeeded("scaled") < len(stream.ids), "it has never been idle"
    all_ended("scaled", stream.ids)


def test_a_container_is_killed():
    """Those of its jobs that had not ended run once more, elsewhere; all others once."""
    scaled(2)
    ids = submit("killed", 2, 12, 1)
    victim = containers("consumer")[0]

    def running_there():
        return {id for id, job in jobs_of("killed").items() if job["state"] == "running" and job["worker"].startswith(victim)}
    until(running_there, 30, "the victim has jobs")
    sh("docker kill " + victim)
    lost, ended_before = running_there(), notes()[1]
    line("scale", "docker-compose up -d --scale consumer=2")
    until(lambda: succeeded("killed") == len(ids), 120, lambda: "all end\n%s" % jobs_of("killed"))
    jobs, (begun, ended, _) = jobs_of("killed"), notes()
    assert lost and {id for id, job in jobs.items() if job["lost"]} == lost
    assert all((job["attempt"], job["lost"]) == ((2, 1) if id in lost else (1, 0)) for id, job in jobs.items()), jobs
    assert all(ended[id] == 1 + (id in lost and ended_before[id]) for id in ids), (lost, ended)
    assert all(begun[id] == 1 for id in ids if id not in lost), begun
    healthy("consumer", 2)


def test_a_worker_that_dies_comes_back_by_itself():
    scaled(2)
    one = containers("consumer")[0]
    sh("docker exec %s sh -c 'kill -9 $(pidof flotillad)'" % one, check=False)
    until(lambda: inspect(one)["RestartCount"] == 1, 20, lambda: "docker starts it again\n%s" % sh("docker-compose ps"))
    healthy("consumer", 2)


def test_a_worker_that_does_not_consume_is_unhealthy():
    scaled(2)
    sh("docker-compose pause rabbitmq")
    try:
        until(lambda: {inspect(each)["State"]["Health"]["Status"] for each in containers("consumer")} == {"unhealthy"}, 90, "they notice")
        assert all(inspect(each)["State"]["Running"] for each in containers("consumer"))
    finally:
        sh("docker-compose unpause rabbitmq")
    healthy("rabbitmq", 1)
    healthy("consumer", 2)


def test_rabbitmq_is_restarted_under_a_workflow():
    ids = submit("restarted", 4, 12, 0.7)
    until(lambda: succeeded("restarted") > 0, 30, "it has begun")
    with Ends() as ends:
        typed("restart")
        ends.well("rabbitmq", 1)
    all_ended("restarted", ids)
    healthy("rabbitmq", 1)


def upgrade_by_the_page():
    """To another image of the same name, with the command of docs/operations.md."""
    with open(os.path.join(ROOT, "docs", "operations.md"), encoding="utf-8") as page:
        command, = re.findall(r"^ +(docker-compose up [^#\n]*[^# \n])", page.read(), re.MULTILINE)
    before = set(containers("consumer"))
    sh("printf 'FROM %s\nLABEL upgraded=yes\n' | docker build -q -t %s -" % ((inspect(min(before))["Config"]["Image"],) * 2))
    with Ends() as ends:
        sh(command)
        ends.well("consumer", len(before))
    after = set(containers("consumer"))
    assert len(after) == 8 and not before & after
    assert {inspect(each)["Config"]["Labels"].get("upgraded") for each in after} == {"yes"}


def test_eight_workers_are_upgraded_under_a_workflow():
    line("up", "docker-compose up -d")  # back to one
    with Stream("eight") as stream:
        until(lambda: succeeded("eight") > 0, 30, "it has begun")
        line("scale", "docker-compose up -d --scale consumer=8")
        until(lambda: len(hosts_of("eight")) >= 8, 60, "all eight have had jobs")
        upgrade_by_the_page()
    all_ended("eight", stream.ids)
    healthy("consumer", 8)
    assert len(set(redis("zrange flotilla:workers 0 -1").split())) == 8


def test_down_and_up_again():
    """What was in RabbitMQ only, and what was in Redis, is there again."""
    sh("docker-compose run --rm -T producer submit noop --id before-1 --wait")
    sh("docker-compose stop consumer")
    sh("python3 -", input=BLOCKS["pika", "python"].replace("outside-1", "later-1"))
    assert redis("exists flotilla:job:later-1").strip() == "0"
    with Ends() as ends:
        typed("down")
        ends.well("rabbitmq", 1)
        ends.well("redis", 1)
    assert not sh("docker ps -aq --filter label=com.docker.compose.project=$COMPOSE_PROJECT_NAME").split()
    line("up", "docker-compose up -d")
    until(lambda: redis("hget flotilla:job:later-1 state").strip() == "succeeded", 60, "the job that waited ends")
    assert redis("hget flotilla:job:before-1 state").strip() == "succeeded"


def monitored(command):
    """With Prometheus beside the fleet, and Grafana, which no package has and which is not started."""
    files = os.environ["COMPOSE_FILE"].split(":")
    files.insert(1, "docker-compose.monitoring.yml")
    files += ["tests/compose/stand-ins.monitoring.yml"] * (len(files) - 2)
    return sh(command, env={**os.environ, "COMPOSE_FILE": ":".join(files)})


def asked(path):
    """What Prometheus answers, on the host as the page says."""
    try:
        with urllib.request.urlopen("http://127.0.0.1:%d/api/v1/%s" % (PROMETHEUS_PORT, path), timeout=10) as answer:
            return json.load(answer)["data"]
    except OSError:
        return None


def test_prometheus_finds_the_workers_that_there_are():
    config = yaml.safe_load(monitored("docker-compose config"))
    assert {"prometheus", "grafana", "consumer"} <= set(config["services"])
    for volume in config["services"]["grafana"]["volumes"]:
        source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
        assert not source.startswith("/") or os.path.exists(source), volume
    monitored("docker-compose up -d --no-recreate --scale consumer=2 prometheus consumer")
    try:
        healthy("prometheus", 1)
        for count in (2, 4):
            scaled(count)
            until(lambda: [each["value"][1] for each in (asked("query?query=sum(up{job=%22flotilla%22})") or {}).get("result", [])] == [str(count)],
                  60, lambda: "Prometheus sees %d: %s" % (count, asked("targets")))
        with open(os.path.join(ROOT, "monitoring", "alerts.yml"), encoding="utf-8") as file:
            alarms = {rule["alert"]: "ok" for rule in yaml.safe_load(file)["groups"][0]["rules"]}
        until(lambda: {rule["name"]: rule["health"] for group in asked("rules")["groups"] for rule in group["rules"]} == alarms, 30,
              lambda: "each alarm is looked at: %s" % asked("rules"))
    finally:
        monitored("docker-compose rm -sf prometheus; docker volume rm ${COMPOSE_PROJECT_NAME}_prometheus")


@pytest.mark.after("test_submit_and_look", "test_scaled_while_a_workflow_runs", "test_rabbitmq_is_restarted_under_a_workflow",
                   "test_eight_workers_are_upgraded_under_a_workflow", "test_down_and_up_again")
def test_every_command_of_the_page_was_typed():
    with open(os.path.join(ROOT, "docs", "compose.md"), encoding="utf-8") as file:
        shown = [each.strip() for each in re.findall(r"^(?:    )?((?:docker|docker-compose|scripts/)\S* .*|scripts/\S+)$", file.read(), re.MULTILINE)]
    shown = [each for each in shown if "monitoring.yml" not in each and not each.startswith("docker build ")]  # the page says so of these
    assert shown and not [each for each in shown if re.sub(r"\s+#.*", "", each) not in TYPED], (shown, TYPED)
