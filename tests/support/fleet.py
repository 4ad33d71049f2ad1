"""What the tests in Python share: a fleet of its own prefix on the servers that the environment names, workers, a client,
and waiting with a deadline. Nothing here sleeps and hopes."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid

import msgpack
import pika
import redis

ENDED = {"succeeded", "failed", "cancelled", "skipped", "expired"}
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("FLOTILLA_BUILD", os.path.join(ROOT, "build", "plain")))


def until(condition, seconds=20, what="the condition", pause=0.02):
    """The first true value of condition(), which is asked anew after each `pause`; fails when there has been none for `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("%s: not within %s s" % (what() if callable(what) else what, seconds))
        time.sleep(pause)


class Worker:
    def __init__(self, fleet, options, env=None, wrapper=(), build=BUILD):
        self.log_path = os.path.join(fleet.dir, "worker-%d.log" % len(fleet.workers))
        self.name = "w%d-%s" % (len(fleet.workers), uuid.uuid4().hex[:6])
        self.log_file = open(self.log_path, "wb")
        command = [*wrapper, os.path.join(build, "bin", "flotillad"), "--prefix", fleet.prefix, "--redis", fleet.redis_url, "--name", self.name,
                   "--work-dir", os.path.join(fleet.dir, "work")] + [str(o) for o in options]
        self.process = subprocess.Popen(command, stderr=self.log_file, stdout=self.log_file,
                                        env={**os.environ, "FLOTILLA_AMQP_URL": fleet.amqp_url, **(env or {})},
                                        cwd=fleet.dir)
        self.fleet = fleet

    def ready(self):
        until(lambda: self.process.poll() is not None or self.fleet.redis.zscore(self.fleet.key("workers"), self.name),
              30, lambda: "worker is there\n" + self.log())
        assert self.process.poll() is None, self.log()
        return self

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self, sig=signal.SIGTERM, seconds=40):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the worker does not stop\n" + self.log())
        return self.process.returncode


class Fleet:
    def __init__(self, prefix=None, redis_url=None, amqp_url=None, where=None):
        self.prefix = prefix or "t" + uuid.uuid4().hex[:12]
        self.redis_url = redis_url or os.environ["FLOTILLA_REDIS_URL"]
        self.amqp_url = amqp_url or os.environ["FLOTILLA_AMQP_URL"]
        self.dir = tempfile.mkdtemp(prefix="flotilla-test.", dir=where)
        self.redis = redis.Redis.from_url(self.redis_url, decode_responses=True)
        self.raw_redis = redis.Redis.from_url(self.redis_url)
        self.workers = []
        self.connection = self.channel = None
        self.connect()

    def connect(self):
        self.connection = pika.BlockingConnection(pika.URLParameters(self.amqp_url))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()
        return self.channel

    def key(self, *parts):
        return ":".join((self.prefix,) + parts)

    # --- workers and commands

    def worker(self, *options, env=None, wrapper=(), ready=True, build=BUILD):
        worker = Worker(self, options, env, wrapper, build)
        self.workers.append(worker)
        return worker.ready() if ready else worker

    def command(self, *args, check=None, stdin=None, timeout=60, env=None, build=BUILD):
        done = subprocess.run([os.path.join(build, "bin", "flotilla"), args[0], "--prefix", self.prefix, "--redis", self.redis_url, *map(str, args[1:])],
                              capture_output=True, text=True, timeout=timeout, input=stdin, cwd=self.dir,
                              env={**os.environ, "FLOTILLA_AMQP_URL": self.amqp_url, **(env or {})})
        if check is not None:
            assert done.returncode == check, (args, done.returncode, done.stdout, done.stderr)
        return done

    # --- publishing

    def publish(self, job, pool="default", priority="normal", encoding="json", default_exchange=False, body=None, **properties):
        if body is None:
            body = json.dumps(job).encode() if encoding == "json" else msgpack.packb(job)
        types = {"json": "application/json", "msgpack": "application/msgpack", None: None}
        exchange, key = self.prefix, "%s.%s" % (pool, priority)
        if default_exchange:
            exchange, key = "", "%s.%s.%s" % (self.prefix, pool, priority)
        properties.setdefault("content_type", types[encoding])
        self.channel.basic_publish(exchange, key, body, pika.BasicProperties(delivery_mode=2, **properties), mandatory=True)

    def publish_many(self, jobs):
        """Many as JSON, by a connection of their own, each confirmed: what is not confirmed when a connection closes may be lost
        (a channel holds back what exceeds some 32 messages on their way into a quorum queue)."""
        connection = pika.BlockingConnection(pika.URLParameters(os.environ["FLOTILLA_AMQP_URL"]))
        channel = connection.channel()
        channel.confirm_delivery()
        for job, properties in jobs:
            channel.basic_publish(self.prefix, "default.normal", json.dumps(job),
                                  pika.BasicProperties(content_type="application/json", delivery_mode=2, **properties))
        connection.close()

    def delete_and_declare_again(self):
        """The queue of the default pool, at once, with the arguments that it has."""
        queue = self.prefix + ".default.normal"
        self.channel.queue_delete(queue)
        self.channel.queue_declare(queue, durable=True, arguments={
            "x-queue-type": "quorum", "x-delivery-limit": 50, "x-overflow": "reject-publish", "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": self.prefix + ".returned", "x-dead-letter-strategy": "at-least-once"})
        self.channel.queue_bind(queue, self.prefix, "default.normal")

    def reply_queue(self):
        return self.channel.queue_declare("", exclusive=True).method.queue

    def get(self, queue, seconds=10):
        def once():
            method, properties, body = self.channel.basic_get(queue, auto_ack=True)
            return (method, properties, body) if method else None
        return until(once, seconds, "a message in " + queue)

    # --- looking

    def job(self, id):
        return self.redis.hgetall(self.key("job", id))

    def state(self, id):
        return self.redis.hget(self.key("job", id), "state")

    def result(self, id):
        text = self.redis.get(self.key("job", id, "result"))
        return None if text is None else json.loads(text)

    def wait(self, id, states=ENDED, seconds=20):
        states = {states} if isinstance(states, str) else states
        until(lambda: self.state(id) in states, seconds,
              lambda: "%s is %s, not one of %s: %s\n%s" % (id, self.state(id), sorted(states), self.job(id), self.logs()))
        return self.job(id)

    def wait_all(self, ids, seconds=60):
        left = set(ids)

        def look():
            pipe = self.redis.pipeline(transaction=False)
            order = list(left)
            for id in order:
                pipe.hget(self.key("job", id), "state")
            for id, state in zip(order, pipe.execute()):
                if state in ENDED:
                    left.discard(id)
            return not left
        until(look, seconds, lambda: "%d jobs have not ended, of them %s\n%s" % (
            len(left), [(id, self.job(id)) for id in sorted(left)[:3]], self.logs()))

    def queue_length(self, name):
        """How many messages are ready; -1 where there is no such queue."""
        try:
            return self.channel.queue_declare(name, passive=True).method.message_count
        except pika.exceptions.ChannelClosedByBroker:
            self.channel = self.connection.channel()
            self.channel.confirm_delivery()
            return -1

    def logs(self):
        return "\n".join("--- %s\n%s" % (w.name, w.log()[-3000:]) for w in self.workers)

    def settled(self, seconds=15):
        """Nothing is owed any more: no registration, end, reply, lease or invitation is left."""
        indices = ["settling", "replies", "leases", "outbox", "scheduled", "expiring"]
        until(lambda: not any(self.redis.zcard(self.key(i)) for i in indices), seconds,
              lambda: "left over: %s" % {i: self.redis.zrange(self.key(i), 0, 5, withscores=True) for i in indices})

    def close(self):
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.terminate()
        for worker in self.workers:
            try:
                worker.process.wait(10)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            worker.log_file.close()
        self.forget()
        shutil.rmtree(self.dir, ignore_errors=True)

    def forget(self):
        """Leaves neither keys nor queues behind."""
        keys = list(self.redis.scan_iter(self.prefix + ":*", count=1000))
        for start in range(0, len(keys), 500):
            self.redis.delete(*keys[start:start + 500])
        try:
            if self.connection.is_closed:
                self.connect()
            for pool in ("default", "other", "gpu", "secure"):
                for priority in ("high", "normal", "low"):
                    self.channel.queue_delete("%s.%s.%s" % (self.prefix, pool, priority))
            for name in ("unrouted", "returned", "rejected"):
                self.channel.queue_delete("%s.%s" % (self.prefix, name))
            self.channel.exchange_delete(self.prefix)
            self.channel.exchange_delete(self.prefix + ".unrouted")
            self.connection.close()
        except pika.exceptions.AMQPError:
            pass
