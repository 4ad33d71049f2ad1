"""A Redis of a test's own, with what it keeps in a directory of its own."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import redis

from fleet import until


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class OwnRedis:
    def __init__(self, *options, user=None):
        self.dir = tempfile.mkdtemp(prefix="flotilla-redis.")
        self.port = free_port()
        self.options = [str(option) for option in options]
        self.url = "redis://%s127.0.0.1:%d/0" % (user + ":x@" if user else "", self.port)
        self.client = redis.Redis(port=self.port, username=user, password="x" if user else None, decode_responses=True)
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.client.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def answers(self):
        try:
            return self.client.ping()
        except redis.RedisError:
            return False

    def start(self):
        self.process = subprocess.Popen(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.dir, "--save", "",
                                         *self.options], stdout=subprocess.DEVNULL)
        until(self.answers, 20, "Redis answers")

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def come_back_empty(self):
        """As one whose whole life was within the second that it forgets."""
        self.kill()
        for name in os.listdir(self.dir):
            path = os.path.join(self.dir, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        self.start()
