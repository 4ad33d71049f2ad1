"""What keeps the programs of a fault test going: workers that are started again as an operator's supervisor would, commands that
are called again as a person would, and an ear for events."""
import os
import signal
import subprocess
import threading
import time

from fleet import BUILD, ENDED, Fleet, Worker

JOB = r"""
# job.sh LOG FAILURES SECONDS FLAG GATE: notes its start and its end; waits for GATE; fails as often as told, or while there is
# no FLAG
log=$1
note() {
	read -r up _ </proc/uptime
	echo "$1 $FLOTILLA_ID $FLOTILLA_ATTEMPT $PPID $up" >>"$log"
}
note start
echo "attempt $FLOTILLA_ATTEMPT"
[ "$3" = 0 ] || sleep "$3"
while [ -n "$5" ] && ! [ -e "$5" ]; do sleep 0.1; done
if [ "$FLOTILLA_ATTEMPT" -le "$2" ] || { [ -n "$4" ] && ! [ -e "$4" ]; }; then
	note fail
	exit 1
fi
echo '{"n": 1}' >result
note ok
"""
HANDLERS = """
handlers:
  job: {{ command: ["sh", "job.sh", "{{args.log}}", "{{args.failures}}", "{{args.seconds}}", "{{args.flag}}", "{{args.gate}}"] }}
  note: {{ plugin: {build}/tests/plugins/note.so, processes: 2 }}
"""


class Events:
    """Every event of a fleet: (when it was heard, id, state, attempt)."""

    def __init__(self, fleet):
        self.heard, self.ended = [], False
        self.pubsub = fleet.redis.pubsub()
        self.pubsub.subscribe(fleet.key("events"))
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        while not self.ended:
            message = self.pubsub.get_message(timeout=0.5)
            if message and message["type"] == "message":
                id, state, attempt, _ = message["data"].split(" ")
                self.heard.append((time.monotonic(), id, state, int(attempt)))

    def take(self):
        heard, self.heard = self.heard, []
        return heard

    def close(self):
        self.ended = True
        self.thread.join()
        self.pubsub.close()


class Command:
    """A call of `flotilla`, once `when` is true; called again where a fault has killed it."""

    def __init__(self, fleet, args, when=lambda: True, env=None, fine=(0,)):
        self.fleet, self.args, self.when, self.env, self.fine = fleet, [str(a) for a in args], when, env, fine
        self.process, self.done, self.calls = None, False, 0

    def look(self):
        """A complaint, or None."""
        if self.done or (self.calls == 0 and not self.when()):
            return None
        if not self.process:
            self.calls += 1
            self.process = subprocess.Popen(
                [os.path.join(BUILD, "bin", "flotilla"), self.args[0], "--prefix", self.fleet.prefix, "--redis", self.fleet.redis_url] +
                self.args[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                cwd=self.fleet.dir, env={**os.environ, **(self.env or {})})
        if self.process.poll() is None:
            return None
        words, code = self.process.stderr.read(), self.process.returncode
        self.process.stderr.close()
        self.process, self.env = None, None
        if code in (-signal.SIGKILL, 3):  # killed, or a service did not answer in time: calling again is safe, and is said to be
            return None
        self.done = True
        return None if code in self.fine else "flotilla %s: exit %d: %s" % (" ".join(self.args), code, words)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class FaultFleet(Fleet):
    """A fleet whose workers have handlers that write to a log. It starts none by itself."""

    def __init__(self):
        super().__init__()
        with open(os.path.join(self.dir, "job.sh"), "w", encoding="utf-8") as file:
            file.write(JOB)
        self.handlers = os.path.join(self.dir, "handlers.yaml")
        with open(self.handlers, "w", encoding="utf-8") as file:
            file.write(HANDLERS.format(build=BUILD))

    def start(self, *options, env=None):
        """A worker that may be dead before it is ready."""
        worker = Worker(self, ("--handlers", self.handlers) + options, env)
        worker.began = time.monotonic()
        self.workers.append(worker)
        return worker

    def live(self):
        return [worker for worker in self.workers if worker.process.poll() is None]

    def states(self, ids):
        pipe = self.redis.pipeline(transaction=False)
        ids = list(ids)
        for id in ids:
            pipe.hget(self.key("job", id), "state")
        return dict(zip(ids, pipe.execute()))

    def all_ended(self, ids):
        return all(state in ENDED for state in self.states(ids).values())

    def story(self):
        """Of a fleet that is stuck: its workers' records, and what each queue has unacknowledged when they are gone."""
        records = [self.redis.hgetall(self.key("worker", w.name)) for w in self.live()]
        return "workers %s, caretaker %s" % (records, self.redis.get(self.key("caretaker")))

    def ends_of_workers(self):
        """Complaints about workers that ended by themselves."""
        return ["worker %s: exit %d\n%s" % (worker.name, worker.process.returncode, worker.log()[-2000:]) for worker in self.workers
                if worker.process.poll() not in (None, 0, -signal.SIGKILL, -signal.SIGTERM)]  # told to leave before it listens

    def clear(self):
        """Leaves nothing of what has been done. No worker may run."""
        for worker in self.workers:
            worker.log_file.close()
        self.workers = []
        keys = list(self.redis.scan_iter(self.prefix + ":*", count=1000))
        for first in range(0, len(keys), 500):
            self.redis.delete(*keys[first:first + 500])
        for priority in ("high", "normal", "low"):
            self.channel.queue_delete("%s.other.%s" % (self.prefix, priority))
        for name in ("default.high", "default.normal", "default.low", "unrouted", "returned", "rejected"):
            if self.queue_length("%s.%s" % (self.prefix, name)) > 0:
                self.channel.queue_purge("%s.%s" % (self.prefix, name))
