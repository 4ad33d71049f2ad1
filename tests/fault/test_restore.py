"""Redis and RabbitMQ are lost with all that they had, and Redis comes back from a backup, by the commands of docs/operations.md."""
import os
import re
import shutil
import subprocess

import pytest

from fleet import BUILD, ROOT, until
from jobs import logged
from servers import Servers


def typed(name, env):
    """Runs the commands that stand in docs/operations.md behind <!-- name -->."""
    with open(os.path.join(ROOT, "docs", "operations.md"), encoding="utf-8") as file:
        block = re.search(r"<!-- %s -->\n```sh\n(.*?)```" % name, file.read(), re.DOTALL).group(1)
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", block], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (block, done.stdout, done.stderr)
    return done.stdout


def counts(fleet):
    with open(fleet.dir + "/log", encoding="utf-8") as file:
        lines = file.read().splitlines()
    return lambda id: lines.count("end " + id)


@pytest.mark.parametrize("broker", ["RabbitMQ is lost as well", "RabbitMQ has what it had"])
def test_all_that_a_backup_knows_goes_on(broker, tmp_path):
    with Servers() as servers:
        fleet = servers.fleet()
        env = {**os.environ, **servers.env, "FLOTILLA_PREFIX": fleet.prefix, "BACKUP": str(tmp_path), "REDIS_DIR": servers.dir + "/redis",
               "REDIS_CONF": os.path.join(ROOT, "broker-config", "redis.conf"), "PATH": BUILD + "/bin:" + os.environ["PATH"]}
        workers = [fleet.worker("--allow-exec", "--slots", 2, "--lease", "2s") for _ in range(2)]
        jobs = [logged(fleet, "a%d" % n, "sleep 0.2", after=["b%d" % m for m in range(max(0, n - 2), n)]) for n in range(20)]
        jobs += [logged(fleet, "b%d" % n, "sleep 0.3") for n in range(20)]
        ids = [job["id"] for job in jobs]
        for job in jobs:
            fleet.publish(job)
        until(lambda: int(fleet.redis.hget(fleet.key("stats"), "succeeded") or 0) >= 12, 60, fleet.logs)
        typed("backup", env)
        at_backup = counts(fleet)
        ended = [id for id in ids if at_backup(id)]
        until(lambda: int(fleet.redis.hget(fleet.key("stats"), "succeeded")) >= 20, 60, fleet.logs)
        assert [worker.stop() for worker in workers] == [0, 0]

        lose(servers, broker)
        typed("restore", env)
        servers.start("redis")
        known = [id for id in ids if fleet.state(id) == "succeeded"]
        assert len(known) >= 12 and set(known) <= set(ended)
        for id, at in fleet.redis.zrange(fleet.key("outbox"), 0, -1, withscores=True):
            fleet.redis.zadd(fleet.key("outbox"), {id: at - 300000})  # as if the backup were five minutes old
        servers.start("rabbitmq")
        typed("after", env)
        fleet.connect()
        fleet.worker("--allow-exec", "--slots", 4, "--lease", "2s")
        fleet.wait_all(ids)
        assert {fleet.state(id) for id in ids} == {"succeeded"}
        fleet.settled()
        after = counts(fleet)
        assert {after(id) for id in known} == {1}, "what the backup knew as ended has not run again"
        assert {after(id) for id in ids} <= {1, 2}
        assert max(int(fleet.job(id).get("lost", 0)) for id in ids) <= 1
        fleet.close()


def lose(servers, broker):
    servers.kill("redis")
    shutil.rmtree(servers.dir + "/redis/appendonlydir")
    if broker.endswith("lost as well"):
        servers.kill("rabbitmq")
        shutil.rmtree(servers.dir + "/rabbitmq")
        os.mkdir(servers.dir + "/rabbitmq")
