"""A fleet on servers where everybody has a user of its own, by role (broker-config/README.md)."""
import json
import os

import pika
import redis

from fleet import until

ROLES = {"worker": "worker", "client": "client", "operator": "operator", "monitor": "monitor", "alice": "stranger", "bob": "stranger"}


def password(name):
    return "secret of " + name


def url(env, name, which):
    scheme = {"amqp": "amqp", "redis": "redis"}[which]
    port = env["FLOTILLA_%s_PORT" % which.upper()]
    return "%s://%s:%s@127.0.0.1:%s/%s" % (scheme, name, password(name).replace(" ", "%20"), port, "0" if which == "redis" else "")


class Guarded:
    """Servers with the fleet's users, and a fleet whose programs run as them."""

    def __init__(self, servers):
        self.env = servers.env
        self.servers = servers
        self.fleet = servers.fleet()
        self.users = os.path.join(self.fleet.dir, "users.yaml")
        self.write_users(ROLES)
        self.apply()
        self.fleet.connect()

    def write_users(self, roles):
        with open(self.users, "w", encoding="utf-8") as file:
            json.dump({"users": [{"name": name, "role": role, "password": password(name)} for name, role in roles.items()]}, file)

    def apply(self, check=0):
        return self.fleet.command("broker", "apply", "--users", self.users, "--management", self.env["FLOTILLA_MANAGEMENT_URL"], check=check)

    def as_user(self, name, *args, **options):
        return self.fleet.command(args[0], "--redis", url(self.env, name, "redis"), *args[1:],
                                  env={"FLOTILLA_AMQP_URL": url(self.env, name, "amqp")}, **options)

    def worker(self, *options, name="worker", ready=True):
        return self.fleet.worker("--redis", url(self.env, name, "redis"), *options, ready=ready,
                                 env={"FLOTILLA_AMQP_URL": url(self.env, name, "amqp")})

    def channel(self, name):
        connection = pika.BlockingConnection(pika.URLParameters(url(self.env, name, "amqp")))
        channel = connection.channel()
        channel.confirm_delivery()
        return channel

    def redis(self, name):
        return redis.Redis(port=int(self.env["FLOTILLA_REDIS_PORT"]), username=name, password=password(name), decode_responses=True)

    def publish(self, channel, job, key="default.normal", **properties):
        channel.basic_publish(self.fleet.prefix, key, json.dumps(job),
                              pika.BasicProperties(content_type="application/json", delivery_mode=2, **properties), mandatory=True)

    def ask(self, name, job, seconds=20, **properties):
        """Publishes a job as a stranger who says its name, and returns the first answer."""
        channel = self.channel(name)
        replies = channel.queue_declare("", exclusive=True).method.queue
        properties.setdefault("user_id", name)
        self.publish(channel, job, reply_to=replies, **{k: v for k, v in properties.items() if v})
        body = until(lambda: channel.basic_get(replies, auto_ack=True)[2], seconds, lambda: "an answer\n" + self.fleet.logs())
        channel.connection.close()
        return json.loads(body)
