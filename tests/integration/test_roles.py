"""Each role can do its work and nothing else, on servers that know nobody else (broker-config/README.md)."""
import json
import os
import subprocess

import pika
import pytest
import redis

from fleet import BUILD, Fleet, until
from own_redis import OwnRedis
from servers import Servers

ROLES = {"worker": "worker", "client": "client", "operator": "operator", "monitor": "monitor", "alice": "stranger", "bob": "stranger"}
DENIED = (pika.exceptions.ChannelClosedByBroker, pika.exceptions.ConnectionClosedByBroker)


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


@pytest.fixture(scope="module")
def servers():
    with Servers("--management") as servers:
        yield servers


@pytest.fixture
def guarded(servers):
    guarded = Guarded(servers)
    yield guarded
    guarded.fleet.close()


def refused(name, channel_of, act):
    """The broker answers that the user has not the right; each try on a channel of its own."""
    channel = channel_of(name)
    try:
        with pytest.raises(DENIED) as caught:
            act(channel)
            channel.connection.process_data_events(0.2)
        assert "ACCESS_REFUSED" in str(caught.value) or "RESOURCE_LOCKED" in str(caught.value), caught.value
        return str(caught.value)
    finally:
        if channel.connection.is_open:
            channel.connection.close()


# --- broker apply, broker users

def test_apply_says_what_changed_once_and_never_a_password(guarded):
    again = guarded.apply()
    lines = [line for line in again.stdout.splitlines() if " user " in line]
    assert len(lines) == 2 * len(ROLES)
    assert all(line.endswith("as it was") for line in lines), again.stdout
    guarded.write_users({**ROLES, "monitor": "worker", "bob": "client"})
    changed = guarded.apply()
    assert "rabbitmq  user monitor, worker: permissions set" in changed.stdout
    assert "redis     user monitor, worker: set" in changed.stdout
    assert "redis     user bob, client: made" in changed.stdout
    guarded.write_users(ROLES)
    back = guarded.apply()
    assert "redis     user bob, stranger: taken away" in back.stdout
    for done in (again, changed, back):
        assert "secret" not in done.stdout + done.stderr
    assert "without a password" in back.stderr and "aclfile" in back.stderr


def test_a_new_password_counts_and_the_old_one_does_not(guarded):
    with open(guarded.users, encoding="utf-8") as file:
        users = json.load(file)
    users["users"][-1]["password"] = "another"
    with open(guarded.users, "w", encoding="utf-8") as file:
        json.dump(users, file)
    assert "rabbitmq  user bob, stranger: password set" in guarded.apply().stdout
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        guarded.channel("bob")
    guarded.write_users(ROLES)
    guarded.apply()
    guarded.channel("bob").connection.close()


def test_an_administrator_is_no_user_of_a_role(guarded):
    guarded.write_users({"guest": "worker"})
    done = guarded.apply(check=2)
    assert "`guest` has a tag" in done.stderr


def test_who_is_no_administrator_is_told(guarded):
    done = guarded.as_user("operator", "broker", "apply", "--users", guarded.users, "--management", guarded.env["FLOTILLA_MANAGEMENT_URL"], check=2)
    assert "`operator`" in done.stderr and "administrator" in done.stderr
    done = guarded.as_user("operator", "broker", "apply", "--users", guarded.users, "--management", "none", check=2)
    assert "acl" in done.stderr and "takes another role" in done.stderr
    done = guarded.fleet.command("broker", "apply", "--users", guarded.users, "--management", "http://127.0.0.1:1", check=3)
    assert "rabbitmq_management" in done.stderr


@pytest.mark.parametrize("text, line, says", [
    ("users: [{ name: a, role: king, password: x }]", 1, "`role` of the user `a` must be stranger, client, worker, operator or monitor"),
    ("users:\n- { name: a, role: worker }", 2, "the user `a` needs `password_file`"),
    ("users:\n- { name: a, role: worker, password: x, password_env: Y }", 2, "`password_env` beside `password`"),
    ("users:\n- { name: a, role: worker, password_env: FLOTILLA_NO_SUCH }", 2, "FLOTILLA_NO_SUCH is not set"),
    ("users:\n- { name: a, role: worker, password_file: none }", 2, "none cannot be read"),
    ("users:\n- { name: a, role: worker, password: '' }", 2, "the password of `a` is empty"),
    ("users:\n- { name: a b, role: worker, password: x }", 2, "`name` must be"),
    ("users:\n- { name: default, role: worker, password: x }", 2, "Redis' own user"),
    ("users:\n- { name: a, role: worker, password: x }\n- { name: a, role: client, password: x }", 3, "stands here twice"),
    ("users:\n- { name: a, role: worker, password: x, tags: administrator }", 2, "`tags` is no key"),
    ("people: []", 1, "a list `users`"),
])
def test_a_bad_file_names_its_line(guarded, text, line, says):
    with open(guarded.users, "w", encoding="utf-8") as file:
        file.write(text)
    done = guarded.fleet.command("broker", "users", "--users", guarded.users, "--acl", check=2)
    assert ":%d: " % line in done.stderr and says in done.stderr, done.stderr


def test_what_users_prints_can_be_loaded(guarded):
    """Into a RabbitMQ without the plugin, and a Redis with an aclfile, where apply saves too."""
    secret = os.path.join(guarded.fleet.dir, "secret")
    with open(secret, "w", encoding="utf-8") as file:
        file.write(password("loaded") + "\n")
    with open(guarded.users, "w", encoding="utf-8") as file:
        file.write("users: [{ name: loaded, role: worker, password_file: secret }, { name: loaded2, role: stranger, password_env: TWO }]")
    env = {"TWO": "two"}
    done = guarded.fleet.command("broker", "users", "--users", guarded.users, "--definitions", check=0, env=env)
    definitions = os.path.join(guarded.fleet.dir, "definitions.json")
    with open(definitions, "w", encoding="utf-8") as file:
        file.write(done.stdout)
    guarded.servers.rabbitmqctl("import_definitions", definitions)
    guarded.channel("loaded").connection.close()
    acl = guarded.fleet.command("broker", "users", "--users", guarded.users, "--acl", check=0, env=env).stdout
    assert acl.startswith("user loaded ") and "loaded2" not in acl
    assert "secret" not in done.stdout + acl
    aclfile = os.path.join(guarded.fleet.dir, "users.acl")
    with open(aclfile, "w", encoding="utf-8") as file:
        file.write(acl + "user default on nopass ~* &* +@all\n")
    with OwnRedis("--aclfile", aclfile) as own:
        loaded = redis.Redis(port=own.port, username="loaded", password=password("loaded"))
        assert loaded.set(guarded.fleet.key("stats2"), 1)
        with pytest.raises(redis.exceptions.NoPermissionError):
            loaded.set("elsewhere", 1)
        applied = guarded.fleet.command("broker", "apply", "--redis", own.url, "--users", guarded.users, "--management", "none", check=0, env=env)
        assert "redis     user loaded, worker: as it was" in applied.stdout
        assert "saved in its aclfile" in applied.stdout


# --- each can do its work

def test_the_fleet_works_with_a_user_for_each_role(guarded):
    guarded.worker("--slots", 2, "--allow-exec")
    alice = guarded.channel("alice")
    replies = alice.queue_declare("", exclusive=True).method.queue
    guarded.publish(alice, {"id": "asked", "task": "noop", "args": 7}, reply_to=replies, correlation_id="c")
    reply = json.loads(guarded.fleet.get.__func__(type("Of", (), {"channel": alice})(), replies)[2])
    assert reply["state"] == "succeeded" and reply["result"] == 7

    assert guarded.as_user("client", "submit", "noop", "--args", "1", "--id", "one", "--wait", check=0)
    guarded.as_user("client", "publish", "-", stdin='{"task": "noop", "id": "two"}\n', check=0)
    guarded.fleet.wait("two")
    workflow = os.path.join(guarded.fleet.dir, "w.yaml")
    with open(workflow, "w", encoding="utf-8") as file:
        file.write("jobs: { a: { task: noop }, b: { task: fail, args: { message: m }, after: [a] }, c: { task: noop, after: [b] } }")
    assert guarded.as_user("client", "run", workflow, "--name", "r").returncode == 1
    for args in (("status", "one"), ("result", "one"), ("wait", "one"), ("logs", "one"), ("ls",), ("stats",), ("why", "r/c"), ("workers",),
                 ("graph", "r"), ("top", "--once")):
        for name in ("monitor", "client", "operator"):
            guarded.as_user(name, *args, check=0)

    guarded.as_user("client", "submit", "sleep", "--args", '{"ms": 60000}', "--id", "slow", check=0)
    guarded.fleet.wait("slow", "running")
    guarded.as_user("operator", "cancel", "slow", check=0)
    guarded.fleet.wait("slow", "cancelled")
    guarded.as_user("operator", "retry", "r/b", check=0)
    until(lambda: guarded.fleet.job("r/b").get("attempt") == "2", what="the second attempt")
    guarded.fleet.settled()
    guarded.as_user("operator", "doctor", "--repair", check=0)
    guarded.as_user("operator", "broker", "apply", "--pool", "other", check=0)
    assert guarded.fleet.workers[0].stop() == 0


def test_a_worker_declares_nothing_where_all_stands(guarded):
    guarded.servers.rabbitmqctl("set_permissions", "worker", "^$", "^(%s|amq\\.default)$" % guarded.fleet.prefix,
                                "^%s\\..*$" % guarded.fleet.prefix)
    guarded.worker()
    guarded.as_user("client", "submit", "noop", "--wait", check=0)


def test_a_worker_says_which_right_is_missing(guarded):
    for pair, says in ((("client", "worker"), "ACCESS_REFUSED"), (("worker", "client"), "NOPERM"), (("worker", "monitor"), "NOPERM")):
        worker = guarded.fleet.worker("--redis", url(guarded.env, pair[1], "redis"), ready=False,
                                      env={"FLOTILLA_AMQP_URL": url(guarded.env, pair[0], "amqp")})
        until(lambda: worker.process.poll() is not None, 20, worker.log)
        assert worker.process.returncode == 2, worker.log()
        assert says in worker.log() and "flotilla broker apply --users" in worker.log()


def test_a_worker_that_may_not_write_replies_ends_with_the_reason(guarded):
    prefix = guarded.fleet.prefix
    guarded.servers.rabbitmqctl("set_permissions", "worker", "^$", "^%s$" % prefix, "^%s\\..*$" % prefix)
    worker = guarded.worker()
    guarded.publish(guarded.channel("alice"), {"task": "noop"}, reply_to="amq.gen-nobody")
    until(lambda: worker.process.poll() is not None, 20, worker.log)
    assert worker.process.returncode == 2 and "ACCESS_REFUSED" in worker.log(), worker.log()


# --- and nothing else

def test_a_stranger_can_publish_and_be_answered_and_nothing_else(guarded):
    prefix = guarded.fleet.prefix
    bob = guarded.channel("bob")
    of_bob = bob.queue_declare("", exclusive=True).method.queue
    acts = {
        "consumes jobs": lambda c: c.basic_get(prefix + ".default.normal"),
        "consumes what was rejected": lambda c: c.basic_get(prefix + ".rejected"),
        "purges jobs": lambda c: c.queue_purge(prefix + ".default.normal"),
        "deletes a queue": lambda c: c.queue_delete(prefix + ".default.normal"),
        "deletes the exchange": lambda c: c.exchange_delete(prefix),
        "declares a queue of a name": lambda c: c.queue_declare("mine"),
        "declares the fleet's queue": lambda c: c.queue_declare(prefix + ".other.normal", durable=True),
        "declares an exchange": lambda c: c.exchange_declare("mine"),
        "has jobs copied to its own queue": lambda c: c.queue_bind(c.queue_declare("", exclusive=True).method.queue, prefix, "default.normal"),
        "has unroutable ones copied": lambda c: c.queue_bind(c.queue_declare("", exclusive=True).method.queue, prefix + ".unrouted", ""),
        "takes the fleet's queue off": lambda c: c.queue_unbind(prefix + ".default.normal", prefix, "default.normal"),
        "writes to a queue by name": lambda c: c.basic_publish("", prefix + ".default.normal", b"x"),
        "writes to the unrouted ones": lambda c: c.basic_publish(prefix + ".unrouted", "", b"x"),
        "writes to a reply queue": lambda c: c.basic_publish("", of_bob, b"forged"),
        "writes through dead letters": lambda c: c.queue_declare("", exclusive=True, arguments={"x-dead-letter-exchange": "",
                                                                                             "x-dead-letter-routing-key": of_bob}),
        "reads another's replies": lambda c: c.basic_get(of_bob),
        "purges another's replies": lambda c: c.queue_purge(of_bob),
        "says that it is bob": lambda c: guarded.publish(c, {"task": "noop"}, user_id="bob"),
    }
    for what, act in acts.items():
        if what == "says that it is bob":
            channel = guarded.channel("alice")
            with pytest.raises(DENIED) as caught:
                act(channel)
            assert "user_id" in str(caught.value)
            channel.connection.close()
        else:
            refused("alice", guarded.channel, act)
    with pytest.raises(redis.RedisError, match="WRONGPASS"):
        guarded.redis("alice").ping()
    assert bob.basic_get(of_bob) == (None, None, None)
    assert guarded.fleet.queue_length(prefix + ".default.normal") == 0


def test_a_monitor_changes_nothing(guarded):
    guarded.worker("--grace", "100ms")
    guarded.as_user("client", "submit", "sleep", "--args", '{"ms": 60000}', "--id", "slow", check=0)
    guarded.fleet.wait("slow", "running")
    for args in (("submit", "noop"), ("cancel", "slow"), ("retry", "slow"), ("doctor", "--repair")):
        done = guarded.as_user("monitor", *args)
        assert done.returncode == 2 and "NOPERM" in done.stderr and "its user monitor" in done.stderr, (args, done)
    assert guarded.fleet.state("slow") == "running"
    monitor, key = guarded.redis("monitor"), guarded.fleet.key
    for command in (("SET", key("x"), "1"), ("DEL", key("job", "slow")), ("HSET", key("job", "slow"), "state", "succeeded"), ("FLUSHALL",),
                    ("PUBLISH", key("events"), "x"), ("EVAL", "return 1", "0"), ("SCRIPT", "LOAD", "return 1"), ("CONFIG", "GET", "*"),
                    ("GET", "another:key"), ("KEYS", "*"), ("ACL", "LIST"), ("MONITOR",)):
        with pytest.raises(redis.exceptions.NoPermissionError):
            monitor.execute_command(*command)
    prefix = guarded.fleet.prefix
    for act in (lambda c: c.basic_publish(prefix, "default.normal", b"x"), lambda c: c.basic_publish("", prefix + ".default.normal", b"x"),
                lambda c: c.basic_get(prefix + ".default.normal"), lambda c: c.queue_declare("", exclusive=True)):
        refused("monitor", guarded.channel, act)


def test_a_client_leaves_workers_and_other_keys_alone(guarded):
    guarded.worker()
    client, key = guarded.redis("client"), guarded.fleet.key
    for command in (("ZADD", key("leases"), 1, "a"), ("DEL", key("workers")), ("SET", key("caretaker"), "me"), ("PUBLISH", key("worker", "w"), "x"),
                    ("HSET", key("worker", "w"), "pid", 1), ("SET", "another:key", 1), ("FLUSHALL",), ("CONFIG", "GET", "*"), ("KEYS", "*"),
                    ("EVAL", "return redis.call('SET', KEYS[1], 1)", 1, key("stats")), ("ACL", "LIST")):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command)
    guarded.fleet.redis.zadd(key("leases"), {"ghost": 1})
    done = guarded.as_user("client", "doctor", "--repair")
    assert done.returncode == 2 and "its user client" in done.stderr
    prefix = guarded.fleet.prefix
    for act in (lambda c: c.basic_get(prefix + ".default.normal"), lambda c: c.queue_delete(prefix + ".default.normal"),
                lambda c: c.queue_declare(prefix + ".x.high", durable=True)):
        refused("client", guarded.channel, act)


def test_workers_and_operators_stay_within_their_fleet(guarded):
    for name in ("worker", "operator"):
        connection = guarded.redis(name)
        for command in (("SET", "another:key", 1), ("GET", "another:key"), ("FLUSHALL",), ("FLUSHDB",), ("CONFIG", "SET", "save", ""), ("ACL", "LIST"),
                        ("KEYS", "*"), ("SHUTDOWN",), ("EVAL", "return 1", 0), ("SCRIPT", "FLUSH"), ("PUBLISH", "other", "x")):
            with pytest.raises(redis.exceptions.NoPermissionError):
                connection.execute_command(*command)
        for act in (lambda c: c.queue_declare("mine"), lambda c: c.exchange_declare("mine"), lambda c: c.basic_get("mine"),
                    lambda c: c.queue_declare(guarded.fleet.prefix + "x.default.normal", durable=True)):
            refused(name, guarded.channel, act)


def test_a_prefix_in_braces_is_taken_by_the_letter(servers):
    fleet = Fleet(prefix="{r}", redis_url=servers.env["FLOTILLA_REDIS_URL"], amqp_url=servers.env["FLOTILLA_AMQP_URL"])
    try:
        users = os.path.join(fleet.dir, "users.yaml")
        with open(users, "w", encoding="utf-8") as file:
            json.dump({"users": [{"name": "braced", "role": "worker", "password": password("braced")}]}, file)
        fleet.command("broker", "apply", "--users", users, "--management", servers.env["FLOTILLA_MANAGEMENT_URL"], check=0)
        fleet.worker("--redis", url(servers.env, "braced", "redis"), env={"FLOTILLA_AMQP_URL": url(servers.env, "braced", "amqp")})
        fleet.command("submit", "noop", "--wait", check=0)
    finally:
        fleet.close()


def test_commands_start_without_libcurl():
    """It is loaded by `broker apply --users` alone: to start with it takes five times as long."""
    needed = subprocess.run(["ldd", os.path.join(BUILD, "bin", "flotilla")], capture_output=True, text=True, check=True).stdout
    assert "libcurl" not in needed
