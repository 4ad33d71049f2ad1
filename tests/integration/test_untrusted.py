"""Jobs that nobody trusts: who they run as, what they may take and see, and what they cannot reach however they try. What
needs root, or namespaces, is skipped with a word where there is none."""
import json
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import urllib.parse

import pytest

from fleet import BUILD, ROOT, until
from jobs import alive

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run jobs as another user")


def can_unshare(*options):
    return shutil.which("unshare") and subprocess.run(["unshare", *options, "mount", "-t", "tmpfs", "none", "/tmp"], check=False,
                                                      capture_output=True).returncode == 0


ISOLATED = pytest.mark.skipif(not can_unshare("-mn") if os.geteuid() == 0 else not can_unshare("-Urmn"), reason="no namespaces here")
NOBODY, DAEMON = pwd.getpwnam("nobody"), pwd.getpwnam("daemon")
# Who jobs that are isolated run as: root's cannot be.
USER = "user: nobody, " if os.geteuid() == 0 else ""
PLAIN = ["setpriv", "--reuid", "nobody", "--regid", str(NOBODY.pw_gid), "--clear-groups"]


def let_through(dir):
    """Other users may pass through the tests' own directories, which are not theirs to list."""
    while dir not in ("/", "/tmp", "/var/tmp") and os.stat(dir).st_uid == os.geteuid():
        os.chmod(dir, os.stat(dir).st_mode | 0o711)
        dir = os.path.dirname(dir)


def handlers(fleet, text):
    with open(os.path.join(fleet.dir, "h.yaml"), "w", encoding="utf-8") as file:
        file.write("handlers:\n" + text)
    let_through(fleet.dir)
    os.chmod(fleet.dir, 0o755)
    return ["--handlers", "h.yaml"]


def refused(fleet, text, *words, options=(), wrapper=()):
    """The worker does not even start, and says why."""
    worker = fleet.worker(*handlers(fleet, text), *options, ready=False, wrapper=wrapper)
    assert worker.process.wait(20) == 2, worker.log()
    for word in words:
        assert word in worker.log(), worker.log()


def run(fleet, id, job, state="succeeded"):
    fleet.publish({"id": id, **job})
    job = fleet.wait(id)
    assert job["state"] == state, (job, fleet.redis.get(fleet.key("job", id, "output")))
    return job


def output(fleet, id):
    return fleet.redis.get(fleet.key("job", id, "output")) or ""


def read(fleet, id, name):
    with open(os.path.join(fleet.job(id)["dir"], name), encoding="utf-8", errors="replace") as file:
        return file.read()


# --- who they are

SHOW = """command: [sh, -c, "id -u; id -g; id -G; umask; pwd; env > env; cat /proc/self/status > status; tty; echo '[]' > result; ls /proc/self/fd"]"""


def told(text):
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


@ROOT_ONLY
def test_jobs_of_a_user(fleet):
    fleet.worker(*handlers(fleet, """
  nobody: { user: nobody, %s }
  number: { user: "%d", command: [id, -un] }
  read: { user: daemon, command: [cat, --, "{args}"] }
  write: { user: daemon, command: [cp, --, /dev/null, "{args}"] }
""" % (SHOW, DAEMON.pw_uid)), env={"SECRET_OF_HOST": "x", "LANG": "C", "XDG_RUNTIME_DIR": "/run/user/0"})
    dir = run(fleet, "n", {"task": "nobody"})["dir"]
    said = output(fleet, "n").splitlines()
    assert said[:5] == [str(NOBODY.pw_uid), str(NOBODY.pw_gid), str(NOBODY.pw_gid), "0022", dir], said
    assert "not a tty" in said[5] and said[6:] == ["0", "1", "2", "3"], said  # 3 is what ls reads
    env = dict(line.split("=", 1) for line in read(fleet, "n", "env").splitlines())
    assert (env["USER"], env["LOGNAME"], env["HOME"], env["LANG"], env["FLOTILLA_ID"]) == ("nobody", "nobody", NOBODY.pw_dir, "C", "n")
    assert "SECRET_OF_HOST" not in env and "XDG_RUNTIME_DIR" not in env
    status = told(read(fleet, "n", "status"))
    assert status["NoNewPrivs"] == "1" and status["Uid"].split() == [str(NOBODY.pw_uid)] * 4 and status["Gid"].split() == [str(NOBODY.pw_gid)] * 4
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {0}
    assert fleet.result("n") == []
    run(fleet, "d", {"task": "number"})
    assert output(fleet, "d") == "daemon\n"
    # nobody else reads what is in it, knows what is beside it, or writes there
    for name in ("", "job.json", "stdout", "stderr", "result", "env"):
        st = os.lstat(os.path.join(dir, name))
        assert st.st_uid == NOBODY.pw_uid, name
    assert stat.S_IMODE(os.stat(dir).st_mode) == 0o700
    for name in ("job.json", "stdout", "stderr"):
        assert stat.S_IMODE(os.stat(os.path.join(dir, name)).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(dir)).st_mode) == 0o711
    for number, (task, path) in enumerate((("read", dir + "/job.json"), ("read", dir + "/stdout"), ("read", "/etc/shadow"), ("write", dir + "/x"),
                                           ("write", os.path.dirname(dir) + "/x"))):
        run(fleet, "no%d" % number, {"task": task, "args": path}, "failed")
        assert "Permission denied" in output(fleet, "no%d" % number)


@ROOT_ONLY
def test_the_user_of_all_jobs(fleet):
    """job_user is for handlers that name none, exec among them."""
    shutil.copy(os.path.join(ROOT, "examples", "runner.py"), fleet.dir)
    with open(os.path.join(fleet.dir, "r.py"), "w", encoding="utf-8") as file:
        file.write("import os, runner\nrunner.Runner().serve(lambda self, job: os.getresuid() + (os.getgroups(), os.environ['HOME']))\n")
    fleet.worker(*handlers(fleet, """
  own: { user: daemon, command: [id, -un] }
  none: { command: [id, -un] }
  runner: { runner: [/usr/bin/python3, r.py] }
"""), "--allow-exec", "--job-user", "nobody")
    run(fleet, "own", {"task": "own"})
    run(fleet, "none", {"task": "none"})
    run(fleet, "exec", {"task": "exec", "argv": ["id", "-un"], "env": {"LD_PRELOAD": "/nowhere.so", "HOME": "/x"}})
    run(fleet, "runner", {"task": "runner"})
    assert (output(fleet, "own"), output(fleet, "none")) == ("daemon\n", "nobody\n") and read(fleet, "exec", "stdout") == "nobody\n"
    uid = NOBODY.pw_uid
    assert fleet.result("runner") == [uid, uid, uid, [NOBODY.pw_gid], NOBODY.pw_dir]


@ROOT_ONLY
def test_what_a_user_cannot_start(fleet):
    path = os.path.join(fleet.dir, "secret-tool")
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n")
    os.chmod(path, 0o700)
    fleet.worker(*handlers(fleet, "  tool: { user: nobody, command: [./secret-tool], retries: 0 }\n"))
    job = run(fleet, "t", {"task": "tool"}, "failed")
    assert job["reason"] == "error" and "cannot be started: Permission denied" in job["error"], job


@ROOT_ONLY
def test_setuid_programs_give_nothing(fleet):
    """Neither to another user, nor through exec."""
    path = os.path.join(fleet.dir, "who")
    shutil.copy("/usr/bin/id", path)
    os.chmod(path, 0o4755)
    lines = handlers(fleet, "  who: { user: nobody, command: [./who, -u] }\n")
    if subprocess.run(["setpriv", "--reuid", "nobody", path, "-u"], check=True, capture_output=True, text=True).stdout != "0\n":
        pytest.skip("no setuid programs in this file system")
    fleet.worker(*lines, "--allow-exec")
    run(fleet, "w", {"task": "who"})
    run(fleet, "x", {"task": "exec", "argv": ["setpriv", "--reuid", "nobody", path, "-u"]})
    assert output(fleet, "w") == output(fleet, "x") == "%d\n" % NOBODY.pw_uid


@ROOT_ONLY
def test_timeouts_cancelling_and_a_killed_worker_reach_other_users(fleet):
    worker = fleet.worker(*handlers(fleet, """
  long: { user: nobody, command: [sh, -c, "sleep 701 & echo $! > child; setsid sleep 702 & echo $! > session; echo $$ > self.new; mv self.new self; wait"] }
"""), "--lease", "1s")
    run(fleet, "t", {"task": "long", "timeout_ms": 1500}, "failed")
    assert fleet.job("t")["reason"] == "timeout"
    child = int(read(fleet, "t", "child"))
    until(lambda: not alive(child), 10, "the group is gone")
    fleet.publish({"id": "c", "task": "long"})
    until(lambda: "dir" in fleet.job("c") and os.path.exists(fleet.job("c")["dir"] + "/self"), 20, "it runs")
    fleet.command("cancel", "c", check=0)
    assert fleet.wait("c", "cancelled")["reason"] == "cancelled"
    fleet.publish({"id": "k", "task": "long"})
    until(lambda: "dir" in fleet.job("k") and os.path.exists(fleet.job("k")["dir"] + "/self"), 20, "it runs")
    pids = [int(read(fleet, "k", name)) for name in ("self", "child", "session")] + [int(read(fleet, id, "session")) for id in "tc"]
    assert all(alive(pid) for pid in pids)
    worker.process.send_signal(signal.SIGKILL)
    worker.process.wait()
    until(lambda: not any(alive(pid) for pid in pids), 20, "all that the worker's jobs started is gone")


# Each of these is what a job would like to do; those that succeed are told.
TRIES = r"""
import ctypes, os, resource, signal, sys
libc, worker, work = ctypes.CDLL(None, use_errno=True), os.getppid(), os.path.dirname(os.getcwd())

def call(name, *args):
    if getattr(libc, name)(*args) < 0:
        raise OSError(ctypes.get_errno(), name)

def read(path):
    with open(path, "rb") as file:
        file.read(10)

tries = {
    "asks whether it may signal": lambda: os.kill(worker, 0), "stops": lambda: os.kill(worker, signal.SIGSTOP),
    "ends its group": lambda: os.killpg(os.getpgid(worker), signal.SIGKILL),
    "reads its environment": lambda: read("/proc/%d/environ" % worker), "reads its memory": lambda: read("/proc/%d/mem" % worker),
    "reads its map": lambda: read("/proc/%d/maps" % worker), "sees its descriptors": lambda: os.listdir("/proc/%d/fd" % worker),
    "goes in by its root": lambda: os.listdir("/proc/%d/root/" % worker), "finds its directory": lambda: os.readlink("/proc/%d/cwd" % worker),
    "attaches": lambda: call("ptrace", 16, worker, 0, 0), "takes a descriptor": lambda: call("syscall", 438, os.pidfd_open(worker), 0, 0),
    "changes its limits": lambda: resource.prlimit(worker, resource.RLIMIT_NOFILE, (5, 5)),
    "enters its network": lambda: call("setns", os.open("/proc/%d/ns/net" % worker, os.O_RDONLY), 0),
    "becomes root": lambda: os.setresuid(0, 0, 0), "takes a group": lambda: os.setgroups([0]), "becomes another": lambda: os.setuid(1),
    "takes more": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)),
    "lists the work directory": lambda: os.listdir(work), "writes there": lambda: open(work + "/x", "w"), "makes a link there": lambda: os.symlink("/", work + "/y"),
    "moves its directory away": lambda: os.rename(os.getcwd(), work + "/z"),
    "makes a device": lambda: os.mknod("device", 0o600 | 0o20000, os.makedev(1, 1)), "changes the root": lambda: os.chroot("."),
    "leaves its cgroup": lambda: open("/sys/fs/cgroup/cgroup.procs", "w").write("0"),
    "mounts": lambda: call("mount", b"none", b"/mnt", b"tmpfs", 0, None),
    "reads another's job": lambda: read(sys.argv[1] + "/job.json"), "reads another's secret": lambda: read(sys.argv[1] + "/secret"),
}
for name, act in tries.items():
    try:
        act()
    except (OSError, ValueError):
        continue
    print("it", name)
print("tried", len(tries))
"""


@ROOT_ONLY
def test_what_a_job_tries_to_do_to_the_worker_and_to_others(fleet):
    with open(os.path.join(fleet.dir, "tries.py"), "w", encoding="utf-8") as file:
        file.write(TRIES)
    worker = fleet.worker(*handlers(fleet, """
  other: { user: daemon, command: [sh, -c, "umask 0; echo s > secret"] }
  tries: { user: nobody, limits: { files: 50 }, command: [/usr/bin/python3, tries.py, "{args}"] }
"""))
    other = run(fleet, "other", {"task": "other"})["dir"]
    run(fleet, "t", {"task": "tries", "args": other})
    said = output(fleet, "t").splitlines()
    assert said == ["tried %d" % TRIES.count("lambda:")], said
    assert worker.process.poll() is None and sorted(os.listdir(os.path.join(fleet.dir, "work"))) == sorted(map(os.path.basename, (other, fleet.job("t")["dir"])))


# --- how much they take

LIMITS = """
  cpu: { %(user)slimits: { cpu: 1s }, command: [sh, -c, "while :; do :; done"], timeout: 60s }
  memory: { %(user)slimits: { memory: 200MiB }, command: [/usr/bin/python3, -c, "bytearray(300 << 20)"] }
  files: { %(user)slimits: { files: 20 }, command: [/usr/bin/python3, -c, "[open('/dev/null') for _ in range(30)]; import time; time.sleep(9)"] }
  file_size: { %(user)slimits: { file_size: 1MiB }, command: [sh, -c, "exec head -c 2000000 /dev/zero > big"] }
  shown: { %(user)slimits: { cpu: 61s, memory: 2GiB, files: 256, processes: 4000, file_size: 1GiB, core: 0 }, command: [cat, /proc/self/limits] }
  none: { command: [cat, /proc/self/limits] }
  runner: { %(user)slimits: { files: 77 }, runner: [/usr/bin/python3, r.py] }
"""


def limits(text):
    return {line[:26].strip(): line[26:].split()[:2] for line in text.splitlines()[1:]}


def test_limits(fleet):
    shutil.copy(os.path.join(ROOT, "examples", "runner.py"), fleet.dir)
    with open(os.path.join(fleet.dir, "r.py"), "w", encoding="utf-8") as file:
        file.write("import resource, runner\nrunner.Runner().serve(lambda self, job: resource.getrlimit(resource.RLIMIT_NOFILE))\n")
    fleet.worker(*handlers(fleet, LIMITS % {"user": USER}), "--slots", 4)
    tasks = ["cpu", "memory", "files", "file_size", "shown", "none", "runner"]
    for task in tasks:
        fleet.publish({"id": task, "task": task})
    fleet.wait_all(tasks)
    job = fleet.job("cpu")
    assert job["reason"] == "signal" and "CPU time limit" in job["error"], job
    assert fleet.state("memory") == "failed" and "MemoryError" in output(fleet, "memory")
    assert fleet.state("files") == "failed" and "Too many open files" in output(fleet, "files")
    job = fleet.job("file_size")
    assert job["reason"] == "signal" and "File size limit" in job["error"], job
    assert os.path.getsize(job["dir"] + "/big") == 1 << 20
    got = limits(output(fleet, "shown"))
    assert got["Max cpu time"] == ["61", "62"] and got["Max address space"] == [str(2 << 30)] * 2 and got["Max open files"] == ["256"] * 2
    assert got["Max processes"] == ["4000"] * 2 and got["Max file size"] == [str(1 << 30)] * 2 and got["Max core file size"] == ["0"] * 2
    assert fleet.result("runner") == [77, 77]
    with open("/proc/self/limits", encoding="utf-8") as file:
        assert limits(output(fleet, "none"))["Max open files"] == limits(file.read())["Max open files"]


@ROOT_ONLY
def test_no_more_processes_than_allowed(fleet):
    fleet.worker(*handlers(fleet, """
  fork: { user: daemon, limits: { processes: 5 }, command: [sh, -c, "for i in 1 2 3 4 5 6 7 8; do sleep 50 & done"] }
"""))
    run(fleet, "f", {"task": "fork"}, "failed")
    assert "fork" in output(fleet, "f")


# --- what they see

LOOK = """command: [sh, -c, "ls -A /tmp /var/tmp; echo mine > /tmp/mine && cat /tmp/mine; echo '[1]' > result; pwd; cat /proc/net/dev"]"""


@ISOLATED
def test_isolation(fleet):
    """The job directory is below /tmp here, and stays where it was."""
    host = urllib.parse.urlparse(fleet.redis_url)
    dir = os.path.join(os.environ.get("TMPDIR", "/tmp"), "flotilla-seen-%d" % os.getpid())
    os.mkdir(dir)
    try:
        fleet.worker(*handlers(fleet, """
  both: { %(user)sisolate: { tmp: private, network: none }, %(look)s }
  small: { %(user)sisolate: { tmp: 1MiB }, command: [sh, -c, "exec head -c 2000000 /dev/zero > /tmp/big"] }
  call: { %(user)sisolate: { network: none }, command: [/usr/bin/python3, -c, "import socket; socket.create_connection(('%(host)s', %(port)d), 5)"] }
  self: { %(user)sisolate: { network: none }, command: [/usr/bin/python3, -c, "import socket; s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname(), 5)"] }
  tmp: { %(user)sisolate: { tmp: private }, command: [sh, -c, "unshare -m umount /tmp; umount /tmp; unshare -Urm sh -c 'umount -l /tmp; ls -d %(dir)s' || ls -d %(dir)s"] }
""" % {"user": USER, "look": LOOK, "host": host.hostname, "port": host.port or 6379, "dir": dir}))
        for number in range(2):
            id = "b%d" % number
            job = run(fleet, id, {"task": "both"})
            said = output(fleet, id).splitlines()
            assert os.path.basename(dir) not in said and "mine" in said and job["dir"] in said, said
            assert said.count("mine") == 1, "what another left is not there"
            assert [line.split(":")[0].strip() for line in said if ":" in line and "tmp:" not in line] == ["lo"], said
            assert fleet.result(id) == [1]
        assert not os.path.exists("/tmp/mine") or open("/tmp/mine", encoding="utf-8").read() != "mine\n"
        run(fleet, "small", {"task": "small"}, "failed")
        assert "No space left" in output(fleet, "small")
        run(fleet, "call", {"task": "call"}, "failed")
        assert "unreachable" in output(fleet, "call") or "refused" in output(fleet, "call"), output(fleet, "call")
        run(fleet, "self", {"task": "self"})
        run(fleet, "tmp", {"task": "tmp"}, "failed")
    finally:
        os.rmdir(dir)


@ISOLATED
def test_a_worker_that_is_killed_takes_the_isolated_with_it(fleet):
    worker = fleet.worker(*handlers(fleet, """
  long: { %sisolate: { tmp: private, network: none }, command: [sh, -c, "setsid sleep 703 & echo $! > session; echo $$ > self.new; mv self.new self; wait"] }
""" % USER))
    fleet.publish({"id": "k", "task": "long"})
    until(lambda: "dir" in fleet.job("k") and os.path.exists(fleet.job("k")["dir"] + "/self"), 20, "it runs")
    pids = [int(read(fleet, "k", name)) for name in ("self", "session")]
    assert all(alive(pid) for pid in pids)
    worker.process.send_signal(signal.SIGKILL)
    worker.process.wait()
    until(lambda: not any(alive(pid) for pid in pids), 20, "both are gone")


# --- what a worker cannot give

def test_what_a_worker_cannot_give_is_said_at_its_start(fleet):
    command = "command: [id]"
    refused(fleet, "  a: { user: no-such-user, %s }\n" % command, "h.yaml:2:", "there is no user \"no-such-user\"")
    refused(fleet, "  a: { limits: { memory: lots }, %s }\n" % command, "h.yaml:2:", "is no size")
    refused(fleet, "  a: { %sisolate: { tmp: private }, runner: [/tmp/x/run] }\n" % USER, "h.yaml:2:", "hides")
    refused(fleet, "  a: { command: [id] }\n", "job_user: user: there is no user", options=["--job-user", "no-such-user"])
    if os.geteuid() != 0:
        refused(fleet, "  a: { user: root, %s }\n" % command, "the handler a: user: only a worker that runs as root")


@ROOT_ONLY
def test_what_a_worker_without_rights_cannot_give(fleet):
    command = "command: [id]"
    refused(fleet, "  a: { isolate: { network: none }, %s }\n" % command, "the handler a: isolate: its jobs would run as root")

    def without(capability):
        return ["setpriv", "--bounding-set", "-" + capability]
    refused(fleet, "  a: { user: nobody, isolate: { network: none }, %s }\n" % command, "the handler a:", "cannot be isolated: Operation not permitted",
            "CAP_SYS_ADMIN", wrapper=without("sys_admin"))
    refused(fleet, "  a: { user: nobody, isolate: { tmp: private }, %s }\n" % command, "the handler a:", "CAP_SYS_ADMIN", wrapper=without("sys_admin"))
    refused(fleet, "  a: { user: nobody, %s }\n" % command, "the handler a:", "cannot become its user", "CAP_SETUID", wrapper=without("setuid"))
    refused(fleet, "  a: { user: nobody, %s }\n" % command, "the handler a:", "CAP_KILL", wrapper=without("kill"))
    os.chmod(fleet.dir, 0o777)
    os.mkdir(fleet.dir + "/open")
    os.chmod(fleet.dir + "/open", 0o777)
    refused(fleet, "  a: { user: nobody, %s }\n" % command, "can be written to by others", options=["--work-dir", fleet.dir + "/open"])
    os.mkdir(fleet.dir + "/shut", 0o700)
    refused(fleet, "  a: { user: nobody, %s }\n" % command, "cannot reach the work directory", "chmod o+x",
            options=["--work-dir", fleet.dir + "/shut/work"])


@ROOT_ONLY
def test_a_worker_that_is_not_root(fleet):
    """It can isolate by a namespace of users, limit, and be no one else."""
    os.mkdir(fleet.dir + "/own")
    os.chown(fleet.dir + "/own", NOBODY.pw_uid, NOBODY.pw_gid)
    refused(fleet, "  a: { user: daemon, command: [id] }\n", "the handler a: user: only a worker that runs as root", wrapper=PLAIN,
            options=["--work-dir", fleet.dir + "/own"])
    refused(fleet, "  a: { limits: { files: 10000000 }, command: [id] }\n", "limits: files: more than this worker may have", wrapper=PLAIN,
            options=["--work-dir", fleet.dir + "/own"])
    look = handlers(fleet, """
  own: { user: nobody, command: [id, -un] }
  limited: { limits: { files: 33 }, command: [sh, -c, "ulimit -n"] }
  both: { isolate: { tmp: private, network: none }, %s }
""" % LOOK)
    if not can_unshare("-mn") or subprocess.run([*PLAIN, "unshare", "-Urmn", "true"], check=False).returncode != 0:
        pytest.skip("no namespaces of users here")
    fleet.worker(*look, "--work-dir", fleet.dir + "/own", wrapper=PLAIN)
    run(fleet, "o", {"task": "own"})
    run(fleet, "l", {"task": "limited"})
    assert (output(fleet, "o"), output(fleet, "l")) == ("nobody\n", "33\n")
    run(fleet, "b", {"task": "both"})
    said = output(fleet, "b").splitlines()
    assert "mine" in said and not [line for line in said if "eth" in line or line.startswith("flotilla-") and not line.startswith("flotilla-test")], said
    assert fleet.result("b") == [1]


@ROOT_ONLY
def test_what_is_left_of_these_tests_for_a_plain_user():
    """Who is not root runs them too: they pass, or say what it takes."""
    if subprocess.run([*PLAIN, os.path.join(BUILD, "bin", "flotillad"), "--version"], check=False, capture_output=True).returncode != 0:
        pytest.skip("nobody but root can run this build")
    dir = tempfile.mkdtemp(prefix="flotilla-plain.")
    try:
        let_through(dir)
        os.chown(dir, NOBODY.pw_uid, NOBODY.pw_gid)
        reports = {name: re.sub("log_path=[^:]*", "log_path=%s/report" % dir, os.environ.get(name, "")) for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS")}
        done = subprocess.run([*PLAIN, "/usr/bin/python3", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--color=no", __file__], check=False,
                              cwd=ROOT, timeout=200, capture_output=True, text=True, env={**os.environ, **reports, "TMPDIR": dir, "HOME": dir})
        assert done.returncode == 0 and re.search(r"\b[4-9] passed", done.stdout) and not re.search(r"failed|error", done.stdout), done.stdout
        assert "only root can run jobs as another user" in done.stdout
        assert [name for name in os.listdir(dir) if name.startswith("report")] == []
    finally:
        shutil.rmtree(dir)


# --- what they leave behind

@ROOT_ONLY
def test_what_a_job_leaves_for_the_worker_to_fall_over(fleet):
    """A worker of root's reads, writes and sweeps in a directory that is the job's."""
    victim = os.path.join(fleet.dir, "victim")
    os.mkdir(victim)
    for name in ("file", "keep"):
        with open(os.path.join(victim, name), "w", encoding="utf-8") as file:
            file.write('"secret"')
        os.chmod(os.path.join(victim, name), 0o600)
    with open(os.path.join(victim, "own"), "w", encoding="utf-8") as file:
        file.write('"secret"')
    scripts = {
        "link": "ln -s %s/file result",
        "fifo": "mkfifo result",
        "socket": "/usr/bin/python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('result')\"",
        "loop": "ln -s result result",
        "profile": "ln -s %s/file profile.json; ln -s %s/new failed; exit 1",
        "directory": "mkdir -p profile.json/a/b failed; touch profile.json/x; touch -d 2099-01-01 profile.json .",
        "output": "rm stdout stderr job.json; ln -s %s/file stdout; ln -s %s/file stderr; ln -s %s/file job.json; echo said",
        "dirs": "ln -s %s dir; ln -s / root; mkdir -p a/b; chmod 0 a/b; chmod 0 a; chmod 0 .",
        "deep": "/usr/bin/python3 -c \"import os\nfor i in range(400): os.mkdir('d' * 50); os.chdir('d' * 50)\"",
        "many": "/usr/bin/python3 -c \"import os\nfor i in range(300): os.mkdir('.deep-%%d' %% i); os.chdir('.deep-%%d' %% i)\"",
        "hole": "truncate -s 8E result || truncate -s 1T result",
    }
    bad = {"link", "fifo", "socket", "loop", "hole"}
    worker = fleet.worker(*handlers(fleet, "  script: { user: nobody, command: [sh, -c, \"eval \\\"$1\\\"\", sh, \"{args}\"] }\n"))
    for name, script in scripts.items():
        fleet.publish({"id": name, "task": "script", "args": script.replace("%s", victim).replace("%%", "%")})
    fleet.wait_all(scripts)
    for name in scripts:
        job = fleet.job(name)
        assert (job["state"], job.get("reason")) == (("failed", "result") if name in bad else ("failed", "exit") if name == "profile" else ("succeeded", None)), job
        assert fleet.result(name) is None
    assert output(fleet, "output") == "said\n"
    for name in scripts:
        until(lambda: os.path.isfile(fleet.job(name)["dir"] + "/profile.json") and not os.path.islink(fleet.job(name)["dir"] + "/profile.json"), 10, name)
        assert "exit_code" in json.loads(read(fleet, name, "profile.json"))
    assert worker.stop() == 0
    # what ended is older than nothing
    fleet.worker("--keep-dirs", "0")
    work = os.path.join(fleet.dir, "work")
    until(lambda: not os.listdir(work), 30, lambda: "left over: %s" % subprocess.run("ls -la %s/*; find %s | head -300" % (work, work), shell=True, capture_output=True, text=True).stdout)
    assert sorted(os.listdir(victim)) == ["file", "keep", "own"]
    for name in os.listdir(victim):
        st = os.stat(os.path.join(victim, name))
        assert st.st_size == 8 and st.st_uid == 0, name


@ROOT_ONLY
def test_a_hard_link_is_no_result(fleet):
    """As a user makes it where fs.protected_hardlinks is 0; here the test does."""
    worker = fleet.worker(*handlers(fleet, "  wait: { user: nobody, command: [sh, -c, \"touch up; while [ ! -e result ]; do sleep 0.05; done\"] }\n"))
    fleet.publish({"id": "h", "task": "wait"})
    until(lambda: "dir" in fleet.job("h") and os.path.exists(fleet.job("h")["dir"] + "/up"), 20, "it runs")
    secret = os.path.join(fleet.dir, "secret")
    with open(secret, "w", encoding="utf-8") as text:
        text.write('"secret"')
    os.chmod(secret, 0o600)
    os.link(secret, fleet.job("h")["dir"] + "/result")
    job = fleet.wait("h", "failed")
    assert job["reason"] == "result" and "another user" in job["error"] and fleet.result("h") is None, job
    assert worker.process.poll() is None


# --- what nobody is told

SECRET = "Tr0ub4dor-and-3"


def with_password(url, user):
    return url.replace("://", "://%s:%s@" % (user, SECRET)) if "@" not in url else url.split("://")[0] + "://%s:%s@%s" % (user, SECRET, url.split("@")[1])


def test_passwords_are_neither_logged_nor_in_the_list_of_processes(fleet):
    user = "u-" + fleet.prefix
    fleet.redis.execute_command("ACL", "SETUSER", user, "on", ">" + SECRET, "~*", "&*", "+@all")
    redis_url, bad_amqp = with_password(fleet.redis_url, user), with_password(fleet.amqp_url, "guest")
    said = []

    def tell(*args, **keywords):
        done = fleet.command(*args, "--redis", redis_url, **keywords)
        said.append(done.stdout + done.stderr)
        return done.returncode
    try:
        for options in ((), ("--log-format", "json")):
            worker = fleet.worker("--redis", redis_url, "--verbose", "--allow-exec", *options)
            with open("/proc/%d/cmdline" % worker.process.pid, encoding="utf-8") as file:
                shown = file.read()
            assert SECRET not in shown and user in shown, shown
            assert tell("submit", "exec", "--wait", "--", "sh", "-c", "tr '\\0' '\\n' < /proc/$PPID/cmdline; env") == 0
            assert tell("workers") == 0 and tell("doctor", "--json") in (0, 1)
            said.append(json.dumps([fleet.redis.get(key) for key in fleet.redis.scan_iter(fleet.prefix + ":job:*:output")]))
            assert worker.stop() == 0
        # refused, not reached, not understood
        for options in (("--amqp", bad_amqp), ("--amqp", "amqp://u:1/%s@h" % SECRET), ("--redis", "redis://:%s@127.0.0.1:x" % SECRET),
                        ("--redis", "redis://:%s/1@127.0.0.1" % SECRET), ("--redis", "redis://%s:%s@%s" % (user, SECRET + "x", fleet.redis_url.split("://")[1].split("@")[-1]))):
            worker = fleet.worker(*options, "--verbose", ready=False)
            assert worker.process.wait(20) == 2, (options, worker.log())
            tell("publish", "-", *options, stdin="{}")
            tell("ls", *options)
        for options in (("--amqp", "amqp://guest:%s@127.0.0.1:9/" % SECRET), ("--redis", "redis://:%s@127.0.0.1:9" % SECRET)):
            worker = fleet.worker(*options, "--verbose", "--retry-services", "1s", ready=False)
            assert worker.process.wait(20) == 3, worker.log()
        for text in said + [worker.log() for worker in fleet.workers]:
            assert SECRET not in text, text
    finally:
        fleet.redis.execute_command("ACL", "DELUSER", user)
