"""Each role can do its work and nothing else, on servers that know nobody else (broker-config/README.md)."""
import json
import os
import subprocess

import pika
import pytest
import redis

from fleet import BUILD, Fleet, until
from own_redis import OwnRedis
from guarded import Guarded, ROLES, password, url
from servers import Servers

DENIED = (pika.exceptions.ChannelClosedByBroker, pika.exceptions.ConnectionClosedByBroker)


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
    assert "rabbitmq_management" in done.stderr and "onnect" in done.stderr, done


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


def test_a_default_user_without_rights_would_lose_jobs(guarded):
    """Redis reads its log as that user: what scripts wrote is gone after a restart, without it being said to a client."""
    aclfile = os.path.join(guarded.fleet.dir, "default.acl")
    with open(aclfile, "w", encoding="utf-8") as file:
        file.write("user default off\nuser admin on nopass ~* &* +@all\n")
    with open(guarded.users, "w", encoding="utf-8") as file:
        file.write("users: [{ name: operator, role: operator, password: x }]")

    def apply(check):
        return guarded.fleet.command("broker", "apply", "--redis", own.url, "--users", guarded.users, "--management", "none", check=check)

    def doctor(check):
        return guarded.fleet.command("doctor", "--redis", own.url.replace("admin:x", "operator:x"), check=check).stdout

    def restart():
        own.kill()
        own.start()

    with OwnRedis("--aclfile", aclfile, "--appendonly", "yes", "--appendfsync", "always", user="admin") as own:
        refused = apply(check=2)
        assert "user operator, operator: made" in refused.stdout
        assert "ACL SETUSER default ~* &* +@all" in refused.stderr, refused.stderr
        assert "`default` may not write jobs" in doctor(1)
        guarded.fleet.command("submit", "noop", "--redis", own.url, "--id", "lost", check=0)
        restart()
        assert not own.client.exists(guarded.fleet.key("job", "lost"))

        own.client.execute_command("ACL", "SETUSER", "default", "~*", "&*", "+@all")
        own.client.execute_command("ACL", "SAVE")
        apply(check=0)
        assert "`default`" not in doctor(1)
        guarded.fleet.command("submit", "noop", "--redis", own.url, "--id", "kept", check=0)
        restart()
        assert own.client.exists(guarded.fleet.key("job", "kept"))


# --- each can do its work

def test_the_fleet_works_with_a_user_for_each_role(guarded):
    guarded.worker("--slots", 2, "--allow-exec")
    reply = guarded.ask("alice", {"id": "asked", "task": "noop", "args": 7}, correlation_id="c")
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
    for command in (("ZADD", key("idle", "default"), 1, "a"), ("DEL", key("workers")), ("SET", key("caretaker"), "me"), ("PUBLISH", key("worker", "w"), "x"),
                    ("HSET", key("worker", "w"), "pid", 1), ("SET", "another:key", 1), ("FLUSHALL",), ("CONFIG", "GET", "*"), ("KEYS", "*"),
                    ("EVAL", "return redis.call('SET', KEYS[1], 1)", 1, key("stats")), ("ACL", "LIST")):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command)
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


# --- a job belongs to who published it

def rejected(guarded):
    """The next message of the queue of what is no job: its reason, and its body."""
    _, properties, body = guarded.fleet.get(guarded.fleet.prefix + ".rejected")
    return properties.headers["x-flotilla-reason"], body


def test_who_knows_an_id_is_not_told_what_became_of_anothers_job(guarded):
    guarded.worker("--slots", 2)
    mine = guarded.ask("alice", {"id": "report", "task": "noop", "args": "a secret"})
    assert mine["result"] == "a secret"
    assert guarded.fleet.job("report")["user"] == "alice"
    for name, user in (("bob", "bob"), ("bob", None), ("alice", None)):
        answer = guarded.ask(name, {"id": "report", "task": "noop", "args": "x"}, user_id=user)
        assert answer == {"id": "report", "state": "rejected", "reason": "not allowed", "error": "the id report is another user's; name another"}
        assert rejected(guarded)[0] == "the id report is another user's; name another"
    assert guarded.ask("alice", {"id": "report", "task": "noop"})["result"] == "a secret"
    assert guarded.fleet.result("report") == "a secret"
    guarded.fleet.settled()


def test_of_a_job_that_runs_or_is_the_fleets_own_nothing_is_told_either(guarded):
    guarded.worker("--slots", 2, "--grace", "100ms")
    alice = guarded.channel("alice")
    guarded.publish(alice, {"id": "slow", "task": "sleep", "args": {"ms": 60000}}, user_id="alice")
    guarded.fleet.wait("slow", "running")
    assert guarded.ask("bob", {"id": "slow", "task": "noop"})["state"] == "rejected"
    guarded.as_user("client", "submit", "noop", "--id", "own", "--args", "5", "--wait", check=0)
    assert guarded.ask("bob", {"id": "own", "task": "noop"})["state"] == "rejected"
    done = guarded.as_user("client", "submit", "noop", "--id", "slow")
    assert done.returncode != 0 and "another user's" in done.stderr, done
    assert guarded.fleet.redis.hlen(guarded.fleet.key("job", "slow", "replies")) == 0


def test_without_users_all_is_as_before(guarded):
    guarded.worker()
    assert guarded.ask("alice", {"id": "open", "task": "noop", "args": 1}, user_id=None)["result"] == 1
    assert guarded.ask("bob", {"id": "open", "task": "noop"}, user_id=None)["result"] == 1
    assert "user" not in guarded.fleet.job("open")
    for key in ("k", "@@5:alice:k"):
        assert guarded.ask("bob", {"task": "noop", "args": key, "dedup": key}, user_id=None)["result"] == key


def test_a_key_is_joined_by_its_users_jobs_alone(guarded):
    guarded.worker("--slots", 4)
    first = {"task": "sleep", "args": {"ms": 1500}, "dedup": "nightly"}
    channels = {name: guarded.channel(name) for name in ("alice", "bob")}
    guarded.publish(channels["alice"], {**first, "id": "a1"}, user_id="alice")
    guarded.fleet.wait("a1", "running")
    guarded.publish(channels["alice"], {"task": "noop", "id": "a2", "dedup": "nightly"}, user_id="alice")
    guarded.publish(channels["bob"], {"task": "noop", "id": "b1", "dedup": "nightly"}, user_id="bob")
    guarded.publish(channels["bob"], {"task": "noop", "id": "n1", "dedup": "nightly"})
    guarded.publish(channels["bob"], {"task": "noop", "id": "n2", "dedup": "@@5:alice:nightly"})
    for id in ("b1", "n1", "n2"):
        assert guarded.fleet.wait(id)["attempt"] == "1" and "duplicate_of" not in guarded.fleet.job(id)
    until(lambda: guarded.fleet.job("a2").get("duplicate_of") == "a1", what="a2 has joined a1")
    assert guarded.fleet.wait("a2")["attempt"] == "0"
    guarded.fleet.settled()
    assert guarded.fleet.command("doctor", check=0)


def test_a_retry_keeps_the_user_and_its_key(guarded):
    guarded.worker("--slots", 2)
    alice = guarded.channel("alice")
    guarded.publish(alice, {"task": "fail", "id": "f", "dedup": "k", "after": [{"id": "first", "when": "ended"}]}, user_id="alice")
    guarded.publish(alice, {"task": "noop", "id": "first"}, user_id="alice")
    guarded.fleet.wait("f", "failed")
    guarded.as_user("operator", "retry", "f", check=0)
    until(lambda: guarded.fleet.job("f").get("attempt") == "2", what="the second attempt")
    guarded.fleet.wait("f", "failed")
    assert guarded.fleet.job("f")["user"] == "alice" and guarded.fleet.job("f")["dedup"] == "@@5:alice:k"
    guarded.fleet.settled()
    guarded.fleet.command("doctor", check=0)


def test_results_of_predecessors_go_to_the_same_user(guarded):
    handlers = os.path.join(guarded.fleet.dir, "handlers.yaml")
    with open(handlers, "w", encoding="utf-8") as file:
        file.write("handlers: { show: { command: [\"/bin/cp\", \"job.json\", \"result\"] } }")
    guarded.worker("--slots", 2, "--handlers", handlers)
    guarded.ask("alice", {"id": "secret", "task": "noop", "args": "a secret"})
    of_alice = guarded.ask("alice", {"task": "show", "after": ["secret"]})["result"]
    assert of_alice["results"] == {"secret": "a secret"} and of_alice["results_missing"] == []
    assert of_alice["job"]["x-flotilla-user"] == "alice"
    of_bob = guarded.ask("bob", {"task": "show", "after": ["secret"]})["result"]
    assert of_bob["results"] == {} and of_bob["results_missing"] == ["secret"]
    guarded.as_user("client", "submit", "show", "--after", "secret", "--id", "own", "--wait", check=0)
    assert guarded.fleet.result("own")["results"] == {"secret": "a secret"}


def test_nobody_smuggles_a_job_into_anothers_run(guarded):
    guarded.worker("--slots", 2)
    guarded.ask("alice", {"id": "a/1", "run": "a", "task": "noop"})
    guarded.ask("alice", {"id": "a/2", "run": "a", "task": "noop"})
    answer = guarded.ask("bob", {"id": "b/1", "run": "a", "task": "fail"})
    assert answer["state"] == "rejected" and answer["error"] == "the run a is another user's; name another"
    guarded.as_user("client", "submit", "noop", "--run", "own", "--wait", check=0)
    assert guarded.ask("bob", {"run": "own", "task": "fail"})["state"] == "rejected"
    assert guarded.fleet.redis.hgetall(guarded.fleet.key("run", "a")).items() >= {"user": "alice", "jobs": "2", "succeeded": "2"}.items()
    assert guarded.fleet.redis.hget(guarded.fleet.key("run", "own"), "jobs") == "1"
    assert [rejected(guarded)[0] for _ in range(2)] == ["the run %s is another user's; name another" % run for run in ("a", "own")]
    guarded.fleet.settled()
    guarded.fleet.command("doctor", check=0)


def test_a_worker_that_lets_strangers_run_commands_says_so(guarded):
    assert "so run any command in this one" in guarded.worker("--require-user", "--allow-exec").log()
    channel = guarded.channel("alice")
    guarded.publish(channel, {"id": "x", "task": "exec", "argv": ["true"]}, key="default.high", user_id="alice")
    guarded.fleet.wait("x", "succeeded")
    assert "any command" not in guarded.worker("--require-user").log()


def test_a_worker_may_require_a_user(guarded):
    guarded.worker("--require-user")
    answer = guarded.ask("alice", {"id": "x", "task": "noop"}, user_id=None)
    assert answer["state"] == "rejected" and "user_id: missing" in answer["error"]
    assert "user_id" in rejected(guarded)[0]
    assert guarded.ask("alice", {"id": "x", "task": "noop"})["state"] == "succeeded"
    guarded.as_user("client", "submit", "noop", "--wait", check=0)
    guarded.as_user("client", "publish", "--user-id", "-", stdin='{"task": "noop", "id": "p"}\n', check=0)
    guarded.fleet.wait("p", "succeeded")
    assert guarded.fleet.job("p")["user"] == "client"


def test_nobody_can_write_who_it_is_by_hand(guarded):
    """Neither in the body, nor in the header by which the fleet says so of what it moves."""
    guarded.worker("--require-user")
    for user in ("bob", None):
        answer = guarded.ask("bob", {"id": "x", "task": "noop", "x-flotilla-user": "alice"}, user_id=user)
        assert answer["state"] == "rejected"
    assert guarded.ask("bob", {"id": "x", "task": "noop"}, user_id=None, headers={"x-flotilla-user-id": "alice"})["state"] == "rejected"
    assert guarded.ask("bob", {"id": "x", "task": "noop"}, headers={"x-flotilla-user-id": "alice"})["state"] == "succeeded"
    assert guarded.fleet.job("x")["user"] == "bob"


def test_what_came_before_its_queue_was_there_keeps_its_user(guarded):
    for name, id, headers in (("alice", "a", {}), ("bob", "b", {"x-flotilla-user-id": "alice"})):
        channel = guarded.channel(name)
        guarded.publish(channel, {"id": id, "task": "noop"}, key="other.normal", headers=headers, **({"user_id": name} if name == "alice" else {}))
    until(lambda: guarded.fleet.queue_length(guarded.fleet.prefix + ".unrouted") == 2, what="both lie unrouted")
    guarded.worker("--pool", "other")
    for id in ("a", "b"):
        guarded.fleet.wait(id, "succeeded")
    assert guarded.fleet.job("a")["user"] == "alice"
    assert "user" not in guarded.fleet.job("b")


def test_what_the_broker_gave_up_on_keeps_its_user_and_believes_no_header(guarded):
    """As it lies in the queue of what was given up: dead-lettered, by the default exchange."""
    prefix = guarded.fleet.prefix
    deaths = {"x-first-death-queue": prefix + ".default.normal"}
    guarded.servers.rabbitmqctl("set_user_tags", "worker", "impersonator")
    for id, name, headers in (("a", "alice", {}), ("b", None, {"x-flotilla-user-id": "alice"})):
        connection = pika.BlockingConnection(pika.URLParameters(url(guarded.env, "worker", "amqp")))
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", prefix + ".returned", json.dumps({"id": id, "task": "noop"}), pika.BasicProperties(
            content_type="application/json", delivery_mode=2, user_id=name, headers={**deaths, **headers}))
        connection.close()
    guarded.servers.rabbitmqctl("set_user_tags", "worker")
    guarded.worker()
    for id in ("a", "b"):
        guarded.fleet.wait(id, "succeeded")
    assert guarded.fleet.job("a")["user"] == "alice"
    assert "user" not in guarded.fleet.job("b")


def test_what_only_the_fleet_publishes_is_without_effect_from_a_stranger(guarded):
    guarded.worker("--slots", 2)
    prefix = guarded.fleet.prefix
    guarded.as_user("client", "submit", "noop", "--id", "later", "--delay", "1h", check=0)
    guarded.as_user("client", "submit", "noop", "--id", "waits", "--after", "later", check=0)
    bob = guarded.channel("bob")
    for id in ("later", "waits", "unknown"):
        bob.basic_publish(prefix, "default.normal", id, pika.BasicProperties(type="flotilla.invite", headers={"x-flotilla-task": "noop"}))
    bob.basic_publish(prefix, "default.normal", '{"id": "later", "state": "succeeded"}',
                      pika.BasicProperties(type="flotilla.reply", content_type="application/json", message_id="later"))
    assert "unknown in version 1" in rejected(guarded)[0]
    guarded.publish(bob, {"id": "last", "task": "noop"}, headers={"x-flotilla-returned": 1000, "x-first-death-queue": prefix + ".rejected",
                                                                  "CC": [prefix + ".returned", prefix + ".rejected"]})
    guarded.fleet.wait("last", "succeeded")
    assert guarded.fleet.state("later") == "scheduled" and guarded.fleet.state("waits") == "waiting"
    assert guarded.fleet.state("unknown") is None
    assert guarded.fleet.queue_length(prefix + ".rejected") == 0 and guarded.fleet.queue_length(prefix + ".returned") == 0


def test_the_fleet_does_not_reply_into_its_own_queues(guarded):
    guarded.worker()
    prefix = guarded.fleet.prefix
    bob = guarded.channel("bob")
    for name in (".default.normal", ".other.low", ".unrouted", ".returned", ".rejected", ""):
        guarded.publish(bob, {"task": "noop", "args": {"task": "exec"}}, reply_to=prefix + name)
        assert "is a queue of the fleet's own" in rejected(guarded)[0]
