"""Jobs that write down what they do, so that a test can count from outside how often each ran."""
import collections
import os

from fleet import until

# Its first attempt writes its process down and waits for `go`, then says so; the second one ends at once.
TWICE = """
if [ "$FLOTILLA_ATTEMPT" = 1 ]; then
	echo $$ > {dir}/{id}.pid.new && mv {dir}/{id}.pid.new {dir}/{id}.pid
	while [ ! -e {dir}/{id}.go ]; do sleep 0.05; done
	echo '"first"' > result
else
	echo '"second"' > result
fi
"""


def twice(fleet, id, **more):
    fleet.publish({"task": "exec", "id": id, "argv": ["sh", "-c", TWICE.format(dir=fleet.dir, id=id)], **more})


def pid_of_first(fleet, id):
    path = os.path.join(fleet.dir, id + ".pid")
    until(lambda: os.path.exists(path), 20, "the first attempt of " + id)
    with open(path, encoding="utf-8") as file:
        return int(file.read())


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def gone(pid, seconds=10):
    until(lambda: not alive(pid), seconds, "process %d is gone" % pid)


def logged(fleet, id, work="true", **more):
    """A job that writes down when it starts and ends."""
    script = "echo start $FLOTILLA_ID >> {log}; {work}; echo end $FLOTILLA_ID >> {log}".format(log=fleet.dir + "/log", work=work)
    return {"task": "exec", "id": id, "argv": ["sh", "-c", script], **more}


def each_ran_once(fleet, ids):
    with open(fleet.dir + "/log", encoding="utf-8") as file:
        counts = collections.Counter(file.read().splitlines())
    wrong = {id: (counts["start " + id], counts["end " + id]) for id in ids if (counts["start " + id], counts["end " + id]) != (1, 1)}
    assert not wrong, "started and ended so often: %s\n%s" % (wrong, {id: fleet.job(id) for id in list(wrong)[:3]})
    assert len(counts) == 2 * len(ids)
