import time

import pytest

from fleet import until
from ground import Ground
from servers import Servers


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
