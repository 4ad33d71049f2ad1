"""With a hash tag as its prefix a fleet lives on a Redis in cluster mode: every script names the keys it touches, and all of
them lie in one slot."""
from fleet import Fleet, until
from own_redis import OwnRedis, free_port


def test_one_node_cluster():
    with OwnRedis("--cluster-enabled", "yes", "--cluster-port", free_port(), "--appendonly", "yes", "--appendfsync", "always") as server:
        server.client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        until(lambda: server.client.execute_command("CLUSTER INFO")["cluster_state"] == "ok", 20)
        fleet = Fleet(prefix="{tcluster}", redis_url=server.url)
        try:
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
            fleet.close()
