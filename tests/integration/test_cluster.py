"""With a hash tag as its prefix a fleet lives on a Redis in cluster mode: every script names the keys it touches, and all of
them lie in one slot."""
import socket
import subprocess

import redis

from fleet import Fleet, until


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_one_node_cluster(tmp_path):
    port = free_port()
    server = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--dir",
                               str(tmp_path), "--cluster-port", str(free_port()), "--save", "", "--appendonly", "yes",
                               "--appendfsync", "always"], stdout=subprocess.DEVNULL)
    fleet = None
    try:
        node = redis.Redis(port=port, decode_responses=True)

        def answers():
            try:
                return node.ping()
            except redis.ConnectionError:
                return False
        until(answers, 10)
        node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        until(lambda: node.execute_command("CLUSTER INFO")["cluster_state"] == "ok", 20)
        fleet = Fleet(prefix="{tcluster}", redis_url="redis://127.0.0.1:%d/0" % port)
        fleet.worker("--allow-exec", "--slots", 4)
        queue = fleet.reply_queue()
        fleet.publish({"task": "noop", "id": "last", "after": ["a", "b", "dup", {"id": "f", "when": "failed"}], "run": "r"},
                      reply_to=queue, correlation_id="x")
        fleet.publish({"task": "noop", "id": "b", "after": ["a"], "run": "r", "args": 2})
        fleet.publish({"task": "sleep", "id": "a", "args": {"ms": 300}, "run": "r", "dedup": "k"})
        fleet.wait("a", "running")
        fleet.publish({"task": "sleep", "id": "dup", "args": {"ms": 1}, "dedup": "k", "run": "s"})
        fleet.publish({"task": "fail", "id": "f", "args": {"message": "m"}, "retries": 1, "backoff_ms": 20})
        fleet.publish({"task": "noop", "id": "skipped", "after": ["f"]})
        fleet.publish({"task": "noop", "id": "late", "delay_ms": 300, "expires_at": 1})
        fleet.publish({"task": "exec", "id": "e", "argv": ["sleep", "60"]})
        fleet.wait_all(["last", "a", "b", "dup", "f", "skipped", "late"])
        assert fleet.state("last") == "succeeded" and fleet.state("skipped") == "skipped" and fleet.state("late") == "expired"
        fleet.get(queue)
        fleet.wait("e", "running")
        fleet.command("cancel", "e", check=0)
        assert fleet.wait("e")["state"] == "cancelled"
        fleet.command("retry", "f", check=0)
        until(lambda: fleet.job("f").get("epoch") == "1" and fleet.state("f") == "failed", 20)
        fleet.settled()
        assert "CROSSSLOT" not in fleet.logs() and "error" not in fleet.logs().replace("failed, error", "")
    finally:
        if fleet:
            fleet.close()
        server.terminate()
        server.wait()
