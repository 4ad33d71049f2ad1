"""flotilla publish: jobs from a file, as messages."""
import json
import os
import subprocess

from fleet import BUILD, until

NOBODY = "redis://127.0.0.1:1/0"


def write(fleet, *jobs):
    path = os.path.join(fleet.dir, "jobs.jsonl")
    with open(path, "w") as file:
        file.write("".join((job if isinstance(job, str) else json.dumps(job)) + "\n" for job in jobs))
    return path


def lengths(fleet):
    return [fleet.queue_length("%s.default.%s" % (fleet.prefix, priority)) for priority in ("high", "normal")]


def test_jobs_are_published_in_order_and_run(fleet):
    ids = ["p-%d" % i for i in range(500)]
    jobs = [{"id": id, "task": "noop", "args": {"n": n}, "priority": "high" if n % 2 else None} for n, id in enumerate(ids)]
    path = write(fleet, *jobs, "", '{"task": "noop", "id": "last", "after": ["p-0", "p-499"]}')
    done = fleet.command("publish", path, "--redis", NOBODY, check=0)
    assert done.stdout.split() == ids + ["last"]
    until(lambda: lengths(fleet) == [250, 251], what="all of it in the queues")
    fleet.worker("--slots", 4)
    fleet.wait_all(ids + ["last"])
    assert fleet.result("p-7") == {"n": 7}
    assert fleet.redis.hget(fleet.key("stats"), "succeeded") == "501"


def test_standard_input_made_ids_and_defaults(fleet):
    fleet.worker("--pool", "other", "--slots", 2)
    lines = "".join(json.dumps(job) + "\n" for job in [{"task": "noop"}, {"task": "noop", "priority": "high"}])
    ids = fleet.command("publish", "-", "--pool", "other", "--priority", "low", check=0, stdin=lines).stdout.split()
    assert len(set(ids)) == 2 and all(len(id) == 26 for id in ids)
    fleet.wait_all(ids)
    assert [fleet.job(id)["priority"] for id in ids] == ["low", "high"]
    assert fleet.job(ids[0])["pool"] == "other"


def test_nothing_of_a_file_with_a_bad_line(fleet):
    path = write(fleet, {"task": "noop", "id": "good"}, "", {"task": "noop", "retires": 3})
    done = fleet.command("publish", path, check=2)
    assert done.stdout == "" and path + ":3: " in done.stderr and "retires" in done.stderr
    done = fleet.command("publish", "-", stdin='{"task": "noop"}\n{"task": "noop"', check=2)
    assert done.stdout == "" and "-:2: " in done.stderr
    done = fleet.command("publish", os.path.join(fleet.dir, "none"), check=2)
    assert "cannot be opened" in done.stderr
    fleet.command("publish", path, "--pool", "No", check=2)
    # that none of it has come: what is published now is all there is
    fleet.command("publish", write(fleet, {"task": "noop", "id": "only"}), check=0)
    until(lambda: lengths(fleet) == [-1, 1], what="one job in a queue")


def test_rabbitmq_away(fleet):
    path = write(fleet, {"task": "noop", "id": "x"})
    done = subprocess.run([os.path.join(BUILD, "bin", "flotilla"), "publish", path, "--amqp", "amqp://guest:guest@127.0.0.1:1/"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 3 and done.stdout == "" and done.stderr.startswith("flotilla publish: 0 jobs are published")
    assert len(done.stderr.splitlines()) == 1


def test_an_empty_file(fleet):
    assert fleet.command("publish", write(fleet), check=0).stdout == ""
