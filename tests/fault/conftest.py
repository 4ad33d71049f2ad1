import os
import sys
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))

from fleet import Fleet, until  # noqa: E402
from ground import Ground  # noqa: E402
from servers import Servers  # noqa: E402


@pytest.fixture
def fleet():
    fleet = Fleet()
    yield fleet
    fleet.close()


@pytest.fixture(scope="module")
def kept_ground():
    with Servers() as servers:
        ground = Ground(servers)
        yield ground
        ground.close()


@pytest.fixture
def ground(kept_ground):
    born = time.monotonic()
    old = kept_ground.workers() if kept_ground.near else None
    if old != kept_ground.workers():
        # RabbitMQ 3.10 can come back with a queue broken that was declared within seconds of a kill
        until(lambda: time.monotonic() - born > 6)
    return kept_ground
