"""Beside Celery and BullMQ, where they are installed (make bench-peers). What they keep is not the same: bench/README.md."""
import importlib.util
import os
import subprocess
import time

from ground import CORES, HERE, ROOT, Ground, size, within
from rows import Row
from rows.graphs import CHAIN, chain_ms

CHAINS = size("PEER_CHAINS", 3)
JOBS = size("PEER_JOBS", 3000)
PEERS = os.path.join(HERE, "peers")
BULLMQ = os.path.join(ROOT, "build", "bullmq")


class Peer(Row):
    """One that has a worker of its own, and `NOOP N` and `CHAIN N TIMES` to be measured by."""
    rounds = 3
    title = ""

    def begin(self):
        self.fleet = Ground()
        self.fleet.worker()
        self.log = os.path.join(self.fleet.dir, "peer.log")
        with open(self.log, "wb") as log:
            self.worker = subprocess.Popen(self.worker_command(), cwd=PEERS, env=self.environment(), stdout=log, stderr=subprocess.STDOUT,
                                           start_new_session=True)
        within(lambda: self.worker.poll() is not None or self.is_ready(), 60, "the worker of " + self.title, 0.05)
        if self.worker.poll() is not None:
            with open(self.log, encoding="utf-8") as log:
                raise RuntimeError("the worker of %s does not start:\n%s" % (self.title, log.read()))
        self.ask("noop", 200)
        self.jobs = self.fleet.fitting(JOBS * 5)

    def environment(self):
        return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "BULLMQ_DIR": BULLMQ}

    def is_ready(self):
        with open(self.log, encoding="utf-8") as log:
            return "ready" in log.read()

    def ask(self, *words):
        return float(subprocess.run([*self.client, *map(str, words)], cwd=PEERS, env=self.environment(), check=True, stdout=subprocess.PIPE,
                                    text=True).stdout)

    def round(self):
        theirs = JOBS / self.ask("noop", JOBS)
        ours = self.fleet.jobs_rate(self.jobs)
        self.figures.add("no-op jobs, beside " + self.title, "/s", ours, theirs, self.title)
        theirs = self.ask("chain", CHAIN, CHAINS) / (CHAINS * self.steps) * 1000
        self.figures.add("chain of %d, a step, beside %s" % (CHAIN, self.title), "ms", chain_ms(self.fleet, CHAIN, CHAINS), theirs, self.title, ("<=", 1))

    def end(self):
        if hasattr(self, "worker") and self.worker.poll() is None:
            self.worker.terminate()
            try:
                self.worker.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.worker.pid, 9)
                self.worker.wait()
        if self.fleet:
            self.fleet.channel.queue_delete("bench-celery")
        super().end()


class Celery(Peer):
    name = "celery"
    title = "Celery"
    client = ["/usr/bin/python3", "celery_app.py"]
    steps = CHAIN  # the client's clock: from the call to the last result

    def why_not(self):
        return None if importlib.util.find_spec("celery") else "Celery is not installed (make bench-peers)"

    def worker_command(self):
        return ["/usr/bin/python3", "-m", "celery", "-A", "celery_app", "worker", "--concurrency", str(CORES), "--without-gossip",
                "--without-mingle", "--without-heartbeat", "-l", "info", "-n", "bench@%h"]


class BullMQ(Peer):
    name = "bullmq"
    title = "BullMQ"
    client = ["node", "bullmq.mjs"]
    steps = CHAIN - 1  # from the first end to the last

    def why_not(self):
        return None if os.path.isdir(os.path.join(BULLMQ, "node_modules", "bullmq")) else "BullMQ is not in build/bullmq (make bench-peers)"

    def worker_command(self):
        return ["node", "bullmq.mjs", "worker"]
