"""Celery as it comes nearest to what Flotilla keeps: durable queues and persistent messages (classic ones: Celery 5.2 knows no
quorum queues), publishes confirmed, acknowledged when the task has ended and its result is in Redis, requeued when a worker dies.

    celery_app.py noop N     publishes N tasks that do nothing, and waits for all; prints seconds
    celery_app.py chain N T  T chains of N, one after another; prints seconds for all steps
"""
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from celery import Celery, chain

# Each waits for its confirm; one alone would be what bounds it.
PUBLISHERS = 4

app = Celery("celery_app", broker=os.environ["FLOTILLA_AMQP_URL"], backend=os.environ["FLOTILLA_REDIS_URL"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_default_queue="bench-celery",
    task_default_delivery_mode="persistent",
    broker_transport_options={"confirm_publish": True},
    worker_prefetch_multiplier=100,
    worker_send_task_events=False,
    task_ignore_result=False,
    result_expires=3600,
    worker_hijack_root_logger=False,
)


@app.task
def noop(*_):
    return None


def noops(count):
    """From the first publish to the last result, published and run at the same time. Results are counted where they are kept: in Redis."""
    client = app.backend.client
    begin = time.monotonic()
    with ThreadPoolExecutor(PUBLISHERS) as pool:
        left = list(pool.map(lambda _: noop.delay().id, range(count)))
    while left:
        some = left[:1000]
        there = client.exists(*[app.backend.get_key_for_task(id) for id in some])
        if there == len(some):
            left = left[1000:]
        else:
            time.sleep(0.005)
    print("%.6f" % (time.monotonic() - begin))


def chains(length, times):
    took = 0.0
    for _ in range(times):
        steps = chain(*[noop.si() for _ in range(length)])
        begin = time.monotonic()
        result = steps.apply_async()
        key = app.backend.get_key_for_task(result.id)
        while not app.backend.client.exists(key):
            time.sleep(0.001)
        took += time.monotonic() - begin
    print("%.6f" % took)


if __name__ == "__main__":
    if sys.argv[1] == "noop":
        noops(int(sys.argv[2]))
    else:
        chains(int(sys.argv[2]), int(sys.argv[3]))
