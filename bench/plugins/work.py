"""A runner in Python for the benchmark: the example's, with a handler that adds numbers up to args (none: a no-op)."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples"))

from runner import Runner  # noqa: E402

Runner().serve(lambda runner, job: sum(range(job["args"] or 0)) and None)
