"""Leases and fencing: who was stopped, killed, or had its clock stepped harms nobody; and nothing of a killed worker lives on."""
import calendar
import os
import re
import signal
import struct
import subprocess
import time

import pytest

from fleet import BUILD, until
from jobs import alive, gone, logged, pid_of_first, twice

# A tree of processes, its numbers in a file: a child, a child in the background of a shell that has ended, one that has made
# a session of its own; and one that has cleared its environment as well.
TREE = """
sleep 600 & echo $! >> {file}
(sleep 600 & echo $! >> {file})
setsid sh -c 'echo $$ >> {file}; exec sleep 600' &
{more}
echo $$ >> {file}
wait
"""
CLEARED = "env -i /usr/bin/setsid /bin/sh -c 'echo $$ >> {file}; exec /bin/sleep 600' &"


def numbers(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [int(line) for line in file]


def tree(fleet, id, more="", **fields):
    """Publishes the job; the processes of its first attempt, once they are there."""
    path = os.path.join(fleet.dir, id + ".tree")
    script = TREE.format(file=path, more=more.format(file=path))
    fleet.publish({"task": "exec", "id": id, "argv": ["sh", "-c", "[ $FLOTILLA_ATTEMPT = 1 ] || exit 0\n" + script], **fields})
    count = 5 if more else 4
    return until(lambda: len(numbers(path)) == count and numbers(path), 20, "the tree of " + id)


def all_gone(pids, seconds=5):
    began = time.monotonic()
    for pid in pids:
        gone(pid, seconds)
    return time.monotonic() - began


def cgroup_of(worker):
    with open("/proc/%d/cgroup" % worker.process.pid, encoding="utf-8") as file:
        found = re.search(r"^0::(/.*flotillad-%d-.*)$" % worker.process.pid, file.read(), re.M)
    return found and found.group(1)


def test_all_that_a_killed_workers_jobs_left_running_is_killed(fleet):
    worker = fleet.worker("--allow-exec", "--slots", 2)
    cgroup = cgroup_of(worker)
    pids = tree(fleet, "t", CLEARED if cgroup else "")
    worker.process.kill()
    print("gone after %.2f s, %s" % (all_gone(pids), "by cgroup" if cgroup else "by environment"))


@pytest.fixture
def without_cgroups(tmp_path):
    """A command before which a worker can make no cgroup."""
    wrapper = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$0" "$@"']
    if not os.path.isdir("/sys/fs/cgroup"):
        return []
    if subprocess.run(wrapper + ["true"], check=False, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("a file system cannot be mounted here, to hide the cgroups")
    return wrapper


def test_the_same_where_there_are_no_cgroups(fleet, without_cgroups):
    worker = fleet.worker("--allow-exec", "--slots", 2, wrapper=without_cgroups)
    assert not cgroup_of(worker)
    pids = tree(fleet, "t")
    worker.process.kill()
    print("gone after %.2f s, by environment" % all_gone(pids))


def test_one_workers_death_is_no_others(fleet):
    """Two workers with the same directory of work: only what the dead one started is killed."""
    one = fleet.worker("--allow-exec", "--slots", 1)
    first = tree(fleet, "first")
    two = fleet.worker("--allow-exec", "--slots", 1)
    second = tree(fleet, "second")
    assert (fleet.job("first")["worker"], fleet.job("second")["worker"]) == (one.name, two.name)
    one.process.kill()
    all_gone(first)
    assert all(alive(pid) for pid in second)
    two.process.kill()
    all_gone(second)


def test_a_stopped_worker_leaves_nothing_behind(fleet):
    worker = fleet.worker("--allow-exec", "--slots", 1, "--grace", "200ms")
    cgroup = cgroup_of(worker)
    pids = tree(fleet, "t")
    assert worker.stop() == 0
    all_gone(pids)
    if cgroup:
        until(lambda: not [d for d, _, _ in os.walk("/sys/fs/cgroup") if d.endswith(cgroup)], 5, "its cgroup is gone")


def test_who_stood_still_past_its_lease_counts_no_success_and_its_processes_die(fleet):
    worker = fleet.worker("--slots", 3, "--allow-exec", "--lease", "1s")
    pids = tree(fleet, "tree")
    groups = {pid: os.getpgid(pid) for pid in pids}
    group = [pid for pid in pids if list(groups.values()).count(groups[pid]) > 1]
    assert len(group) == 3
    twice(fleet, "ends")
    fleet.publish({"task": "noop", "id": "child", "after": ["tree", "ends"]})
    first = pid_of_first(fleet, "ends")
    other = fleet.worker("--slots", 3, "--allow-exec", "--lease", "1s")
    worker.process.send_signal(signal.SIGSTOP)
    try:
        fleet.wait_all(["tree", "ends", "child"], 40)
        assert all(alive(pid) for pid in pids)
        # one job ends well behind its worker's back, the others go on
        open(fleet.dir + "/ends.go", "w", encoding="utf-8").close()
        gone(first)
    finally:
        worker.process.send_signal(signal.SIGCONT)
    print("its process group was gone %.2f s after it went on" % all_gone(group))
    until(lambda: "came too late" in worker.log() or "lost to another" in worker.log(), 10, worker.log)
    for id in ("tree", "ends"):
        job = fleet.job(id)
        assert (job["state"], job["attempt"], job["lost"], job["worker"]) == ("succeeded", "2", "1", other.name), job
    assert fleet.result("ends") == "second"
    fleet.settled()
    assert fleet.redis.hgetall(fleet.key("stats")) == {"succeeded": "3"}


def test_a_job_that_kills_its_worker_is_poison_and_its_last_output_is_kept(fleet):
    caretaker = fleet.worker("--slots", 1, "--lease", "1s", "--max-lost", 3)
    fleet.publish({"task": "exec", "id": "poison", "retries": 0,
                   "argv": ["sh", "-c", "echo attempt $FLOTILLA_ATTEMPT says this; "
                            "until [ -e %s/seen.$FLOTILLA_ATTEMPT ]; do sleep 0.02; done; kill -9 $PPID; sleep 60" % fleet.dir]})
    for attempt in (1, 2, 3):
        assert fleet.job("poison").get("lost", "0") == str(attempt - 1)
        victim = fleet.worker("--slots", 1, "--allow-exec", "--lease", "1s", "--max-lost", 3)
        until(lambda: fleet.redis.get(fleet.key("job", "poison", "output")) == "attempt %d says this\n" % attempt, 20,
              lambda: "the output of attempt %d: %s\n%s" % (attempt, fleet.job("poison"), fleet.logs()))
        open("%s/seen.%d" % (fleet.dir, attempt), "w", encoding="utf-8").close()
        victim.process.wait(20)
        until(lambda: fleet.job("poison").get("lost", "0") == str(attempt), 20, lambda: str(fleet.job("poison")))
    job = fleet.wait("poison", "failed")
    assert (job["reason"], job["attempt"], job["lost"]) == ("poison", "3", "3"), job
    assert fleet.redis.get(fleet.key("job", "poison", "output")) == "attempt 3 says this\n"
    assert "attempt 3 says this" in fleet.command("logs", "poison", check=0).stdout
    assert caretaker.process.poll() is None
    fleet.settled()


def test_five_lost_workers_are_poison_by_default(fleet):
    """Also where the caretaker itself is among the dead: each loss is counted once."""
    workers = [fleet.worker("--slots", 1, "--allow-exec", "--lease", "500ms") for _ in range(6)]
    fleet.publish({"task": "exec", "id": "p", "argv": ["sh", "-c", "kill -9 $PPID; sleep 60"]})
    job = fleet.wait("p", "failed", 60)
    assert (job["reason"], job["attempt"], job["lost"]) == ("poison", "5", "5"), job
    assert sum(w.process.poll() == -signal.SIGKILL for w in workers) == 5
    fleet.settled()


def time_of(worker, id):
    """When its log says that this job failed, in Unix seconds."""
    text = until(lambda: re.search(r"^(\S+)Z .*failed.*\b%s\b" % id, worker.log(), re.M), 10, worker.log).group(1)
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


def test_steps_of_the_clock_change_nothing(fleet, tmp_path):
    """An hour ahead, an hour back, while jobs run, wait for their time, and are retried."""
    steps = tmp_path / "steps"

    def step(seconds):
        with open(steps, "r+b") as file:
            file.write(struct.pack("q", seconds))
    steps.write_bytes(struct.pack("q", 0))
    env = {"LD_PRELOAD": os.path.join(BUILD, "tests", "plugins", "clock_steps.so"), "CLOCK_STEPS": str(steps),
           "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
    stepped = fleet.worker("--slots", 4, "--allow-exec", "--lease", "2s", env=env)
    true = fleet.worker("--slots", 4, "--lease", "2s")
    ids = []
    for number, offset in enumerate((3600, 0, -3600, 3600, 0)):
        ids += ["%s%d" % (name, number) for name in ("run", "later", "again", "soon")]
        fleet.publish(logged(fleet, "run%d" % number, "sleep 3"))
        fleet.publish(logged(fleet, "later%d" % number, delay_ms=1500))
        fleet.publish({"task": "exec", "id": "again%d" % number, "retries": 1, "backoff_ms": 400,
                       "argv": ["sh", "-c", "test $FLOTILLA_ATTEMPT = 2"]})
        fleet.publish({"task": "noop", "id": "soon%d" % number, "expires_at": int(time.time() * 1000) + 30000})
        fleet.wait("run%d" % number, "running")
        step(offset)
        fleet.publish({"task": "exec", "id": "told%d" % number, "argv": ["false"]})
        fleet.wait("told%d" % number, "failed")
        assert abs(time_of(stepped, "told%d" % number) - time.time() - offset) < 100, stepped.log()
        until(lambda: fleet.state("later%d" % number) == "succeeded", 20)
        job = fleet.job("later%d" % number)
        assert 1490 <= int(job["started_at"]) - int(job["created_at"]) < 15000, job
    fleet.wait_all(ids)
    for id in ids:
        job = fleet.job(id)
        assert job["state"] == "succeeded" and job.get("lost", "0") == "0", job
        assert job["attempt"] == ("2" if id.startswith("again") else "1"), job
    fleet.settled()
    for worker in (stepped, true):
        assert worker.process.poll() is None, worker.log()
