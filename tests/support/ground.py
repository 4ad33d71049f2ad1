"""A stretch of ground for outages: servers of its own, two workers that live through all of it, one beside the servers and one behind
proxies, and the jobs that they have had. Times that are measured are printed; none fails a test."""
import contextlib
import time

from fleet import until
from jobs import each_ran_once, logged
from proxy import Proxy

OPTIONS = ("--slots", 3, "--allow-exec", "--retry-services", "120s")


class Ground:
    """Servers, proxies, workers, and the jobs that all of them have had."""

    def __init__(self, servers):
        self.servers = servers
        self.amqp, self.redis = Proxy(servers.port("rabbitmq")), Proxy(servers.port("redis"))
        self.fleet = servers.fleet()
        self.near = self.far = None
        self.ids = []
        self.count = 0
        self.others = 0  # jobs that succeeded and are not of `publish`

    def workers(self):
        if not self.near or self.near.process.poll() is not None:
            self.near = self.fleet.worker(*OPTIONS)
        if not self.far or self.far.process.poll() is not None:
            self.far = self.fleet.worker(*OPTIONS, "--redis", "redis://127.0.0.1:%d/0" % self.redis.port,
                                         "--amqp", "amqp://guest:guest@127.0.0.1:%d/" % self.amqp.port)
        return self.near, self.far

    def publish(self, count=24, work="sleep 0.3"):
        """Jobs with one dependent to each three of them; and two that last until `let_go`."""
        self.fleet.connect()  # the last one may have been idle for too long
        self.count += 1
        ids = ["r%d-%d" % (self.count, i) for i in range(count)]
        after = ["r%d-after%d" % (self.count, i) for i in range(count // 3)]
        for i, id in enumerate(after):
            self.fleet.publish(logged(self.fleet, id, after=ids[3 * i:3 * i + 3]))
        long = ["r%d-long%d" % (self.count, i) for i in range(2)]
        for id in long:
            self.fleet.publish(logged(self.fleet, id, "until [ -e %s ]; do sleep 0.05; done" % self.gate()))
        for id in long:
            self.fleet.wait(id, "running")
        for id in ids:
            self.fleet.publish(logged(self.fleet, id, work))
        self.ids += ids + after + long
        return long

    def gate(self):
        return "%s/gate%d" % (self.fleet.dir, self.count)

    def let_go(self):
        open(self.gate(), "w", encoding="utf-8").close()

    def started(self):
        with contextlib.suppress(FileNotFoundError), open(self.fleet.dir + "/log", encoding="utf-8") as file:
            return file.read().count("start ")
        return 0

    def consuming(self, worker, since):
        """Seconds from `since` until the worker says that it consumes, by its record."""
        clock = self.fleet.redis.time()
        now = clock[0] * 1000 + clock[1] // 1000
        until(lambda: (self.fleet.redis.zscore(self.fleet.key("workers"), worker.name) or 0) > now, 40,
              lambda: "%s consumes again\n%s" % (worker.name, self.fleet.logs()))
        return time.monotonic() - since

    def recovered(self, what, since):
        """After the servers' health: all consume again, everything ends, each job ran once, nothing is owed."""
        times = [self.consuming(worker, since) for worker in self.workers()]
        print("%s: consuming again %.1f and %.1f s after it was over" % (what, *times))
        self.let_go()
        self.all_ended()

    def all_ended(self):
        fleet = self.fleet
        fleet.wait_all(self.ids, 60)
        each_ran_once(fleet, self.ids)
        for id in self.ids:
            job = fleet.job(id)
            assert (job["state"], job["attempt"], job.get("lost", "0")) == ("succeeded", "1", "0"), job
        fleet.settled()
        assert int(fleet.redis.hget(fleet.key("stats"), "succeeded")) == len(self.ids) + self.others
        assert fleet.queue_length(fleet.prefix + ".rejected") == 0
        for worker in (self.near, self.far):
            assert worker.process.poll() is None, worker.log()

    def close(self):
        self.fleet.close()
        self.amqp.close()
        self.redis.close()
