"""How long a job stands still when its worker is killed -9: with the lease that workers have by default it runs elsewhere within the
lease and two seconds. Fleets side by side, each struck at another moment between two renewals."""
import os
import threading
import time

from chaos import told
from check import read_log
from fleet import until
from supervise import FaultFleet

LEASE_S, MORE_S, FLEETS, RENEWED_S = 10, 2, 5, 10 / 3


def one(number, times, problems):
    fleet = FaultFleet()
    try:
        log, gate = os.path.join(fleet.dir, "log"), os.path.join(fleet.dir, "gate")
        workers = [fleet.start("--slots", "2"), fleet.start("--slots", "2")]
        for worker in workers:
            worker.ready()
        fleet.publish({"id": "long", "task": "job", "args": {"log": log, "failures": 0, "seconds": 0, "flag": "", "gate": gate}})
        start = until(lambda: read_log(log), 20, "the job runs")[0]
        time.sleep(1.5 + RENEWED_S * number / FLEETS)  # acknowledged by then, and renewed or not
        victim = next(worker for worker in workers if worker.process.pid == start.worker)
        struck = time.monotonic()
        victim.process.kill()
        again = until(lambda: [line for line in read_log(log) if line.attempt == 2], LEASE_S * 3, "the job runs elsewhere")[0]
        times.append(again.at - struck)
        open(gate, "w", encoding="utf-8").close()
        fleet.wait("long", "succeeded")
        fleet.settled()
        if fleet.job("long")["lost"] != "1" or again.at - struck > LEASE_S + MORE_S:
            problems.append("killed, and running elsewhere after %.2f s: %s" % (again.at - struck, fleet.job("long")))
    except AssertionError as problem:
        problems.append(str(problem))
    finally:
        fleet.close()


def run_lease():
    times, problems = [], []
    threads = [threading.Thread(target=one, args=(n, times, problems)) for n in range(FLEETS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told("from kill -9 of a worker to its job running elsewhere, default lease of %d s" % LEASE_S, times)
    for problem in problems:
        print("  FAIL " + problem)
    return FLEETS - len(problems), len(problems)
