"""tests/run itself: what it counts, that a failure of any sort is one, that nothing is left of what is interrupted. Its files of
tests are scripts that say what Criterion would."""
import os
import re
import signal
import subprocess
import sys

import pytest

from fleet import ROOT, until

RUNNER = os.path.join(ROOT, "tests", "support", "runner.py")
SAYS = "echo '[====] Synthesis: Tested: %d | Passing: %d | Failing: %d | Crashing: 0'\n"
GOOD = SAYS % (2, 2, 0)
# It leaves a process of a session of its own behind, as servers are, and waits.
HANGS = """
setsid sleep 300 &
echo $! >"$OUT/left"
mktemp >"$OUT/path"
echo $$ >"$OUT/waits"
exec sleep 300
"""


class Tree:
    """A directory that looks like the repository to the runner, with files of unit tests only."""

    def __init__(self, path):
        self.path = str(path)
        for directory in ("tests/unit", "build/tests/unit"):
            os.makedirs(os.path.join(self.path, directory))

    def add(self, name, script):
        open(os.path.join(self.path, "tests/unit/test_%s.c" % name), "w").close()
        binary = os.path.join(self.path, "build/tests/unit/test_" + name)
        with open(binary, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + script)
        os.chmod(binary, 0o755)

    def start(self, *kinds, **env):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TESTS") and not name.endswith("SAN_OPTIONS")}
        return subprocess.Popen([sys.executable, RUNNER, "build", *kinds], cwd=self.path, env={**environment, "OUT": self.path, **env},
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, *kinds, **env):
        process = self.start(*kinds, **env)
        said, _ = process.communicate(timeout=60)
        return process.returncode, said


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.mark.parametrize("at_once", ["1", "2", "5"])
def test_all_is_added_up(tree, at_once):
    for name in "abcd":
        tree.add(name, GOOD)
    code, said = tree.run("unit", TESTS_AT_ONCE=at_once)
    assert code == 0 and said.splitlines()[-1] == "8 passed, 0 failed", said
    assert sorted(re.findall(r"^  ok   unit/test_(\w)", said, re.MULTILINE)) == list("abcd"), said


@pytest.mark.parametrize("script, failed, words", [
    (SAYS % (3, 1, 2) + "exit 1\n", 2, "1 passed, 2 failed (exit 1)"),
    (GOOD + "exit 7\n", 1, "(exit 7)"),
    (GOOD + "kill -SEGV $$\n", 1, "(SIGSEGV)"),
    ("echo done\n", 1, "how many"),
    (GOOD + "log=${ASAN_OPTIONS##*log_path=}; echo 'a leak' >\"$log.1\"\n", 1, "sanitizer"),
    (GOOD + "log=${UBSAN_OPTIONS##*log_path=}; echo 'a leak' >\"$log.1\"\n", 1, "sanitizer"),
])
def test_a_failure_is_one(tree, script, failed, words):
    tree.add("a", GOOD)
    tree.add("b", "echo its own words\n" + script)
    tree.add("c", GOOD)
    code, said = tree.run("unit")
    assert code == 1 and re.search(r"^\d+ passed, %d failed$" % failed, said.splitlines()[-1]), said
    line = next(line for line in said.splitlines() if line.startswith("  FAIL unit/test_b"))
    assert words in line and "    | its own words\n" in said, said
    assert said.count("  ok   ") == 2, said


def test_some_of_them_or_none(tree):
    tree.add("a", GOOD)
    tree.add("b", "exit 1\n")
    code, said = tree.run("unit", TESTS="test_a")
    assert code == 0 and said.splitlines()[-1] == "2 passed, 0 failed", said
    code, said = tree.run("unit", TESTS="nothing")
    assert code == 1 and said.splitlines()[-1] == "0 passed, 0 failed", said
    for kinds in ([], ["unit", "other"]):
        code, said = tree.run(*kinds)
        assert code == 2 and said.startswith("usage: "), said


def there(pid):
    """Whether it is a process that has not ended."""
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def number(path):
    with open(path, encoding="ascii") as file:
        return int(file.read())


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_of_what_is_interrupted(tree, sig):
    tree.add("a", HANGS)
    tree.add("b", HANGS.replace("$OUT/", "$OUT/b-"))
    process = tree.start("unit")
    waits = [os.path.join(tree.path, name) for name in ("waits", "b-waits")]
    until(lambda: all(os.path.exists(path) and os.path.getsize(path) for path in waits), 20, "both run")
    pids = [number(os.path.join(tree.path, name)) for name in ("waits", "b-waits", "left", "b-left")]
    assert all(map(there, pids))
    with open(tree.path + "/path", encoding="utf-8") as file:
        path = file.read().strip()
    assert os.path.exists(path)
    process.send_signal(sig)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + sig and "stopped by " + sig.name in said, said
    assert not any(map(there, pids))
    assert not os.path.exists(path) and not os.path.exists(os.path.dirname(path))
