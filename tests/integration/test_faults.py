"""The fault points of shared/base/fault.h are in no program but those that are built to break."""
import os
import subprocess

import pytest

from fleet import BUILD

PROGRAMS = ("flotillad", "flotilla", "flotilla-runner")


@pytest.mark.skipif("faults" in os.path.basename(BUILD), reason="this build has them")
@pytest.mark.parametrize("program", PROGRAMS)
def test_no_trace_of_them(program):
    with open(os.path.join(BUILD, "bin", program), "rb") as file:
        content = file.read()
    table = subprocess.run([os.path.join(BUILD, "tests", "programs", "faults")], check=True, capture_output=True).stdout
    names = [line.split(b"\t")[0] for line in table.splitlines()]
    assert len(names) > 50
    assert not [word for word in names + [b"FAULT_AT", b"FAULT_LOG", b"fault_take", b"broker_fault"] if word in content]
