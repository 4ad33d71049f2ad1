"""A RabbitMQ and a Redis of a test's own, to be killed, stopped, filled."""
import os
import shutil
import signal
import subprocess
import tempfile

from fleet import ROOT, Fleet


class Servers:
    def __init__(self, *options):
        self.dir = tempfile.mkdtemp(prefix="flotilla-own.")
        self.do("up", *options)
        self.env = {}
        self.read_env()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.do("down")
        shutil.rmtree(self.dir, ignore_errors=True)

    def do(self, *words):
        subprocess.run([os.path.join(ROOT, "scripts", "services"), *words, "--dir", self.dir], check=True, timeout=120,
                       stdout=subprocess.DEVNULL)

    def read_env(self):
        with open(self.dir + "/env", encoding="utf-8") as file:
            for line in file:
                name, value = line.strip().split("=", 1)
                self.env[name] = value.strip("'")

    def port(self, name):
        return int(self.env["FLOTILLA_%s_PORT" % {"rabbitmq": "AMQP", "redis": "REDIS"}[name]])

    def pid(self, name):
        with open("%s/%s.pid" % (self.dir, name), encoding="utf-8") as file:
            return int(file.read().split()[0])

    def kill(self, name):
        os.kill(self.pid(name), signal.SIGCONT)
        self.do("kill", name)

    def start(self, name):
        """Returns when it answers."""
        self.do("start", name)
        self.read_env()

    def pause(self, name):
        os.kill(self.pid(name), signal.SIGSTOP)

    def go_on(self, name):
        os.kill(self.pid(name), signal.SIGCONT)

    def rabbitmqctl(self, *words):
        self.do("rabbitmqctl", *words)

    def messages(self, prefix):
        """How many messages, ready or unacknowledged, the prefix' queues for jobs hold."""
        done = subprocess.run([os.path.join(ROOT, "scripts", "services"), "rabbitmqctl", "--dir", self.dir, "-q", "list_queues", "name",
                               "messages", "--no-table-headers"], check=True, timeout=60, capture_output=True, text=True)
        lines = (line.split() for line in done.stdout.splitlines())
        return sum(int(line[1]) for line in lines if len(line) == 2 and line[0].startswith(prefix + ".") and line[0].count(".") == 2)

    def fleet(self):
        fleet = Fleet(redis_url=self.env["FLOTILLA_REDIS_URL"], amqp_url=self.env["FLOTILLA_AMQP_URL"])
        fleet.servers = self
        return fleet
