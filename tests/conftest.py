import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))

from fleet import Fleet  # noqa: E402


@pytest.fixture
def fleet():
    fleet = Fleet()
    yield fleet
    fleet.close()
