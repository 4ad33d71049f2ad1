"""The rows of the benchmark. To add one: a class with Row as its base in a file here; the order of `ORDER` is that of the table."""
import importlib
import os
import pkgutil

ORDER = ["rates", "bulk", "graphs", "processes", "replays", "halves", "latency", "memory", "scale", "mixed", "peers", "budget"]


class Row:
    """One or more figures that are measured together. `begin` makes the ground, `round` measures once, `end` clears it away.

    `why_not` gives the reason where something that it needs is not there. `rounds` is how often at most.
    """
    name = ""
    rounds = 1000

    def __init__(self, figures):
        self.figures = figures
        self.fleet = None

    def why_not(self):
        return None

    def begin(self):
        pass

    def round(self):
        raise NotImplementedError

    def end(self):
        if self.fleet:
            self.fleet.close()


def classes():
    """All rows in the order of the table."""
    found = []
    there = {module.name for module in pkgutil.iter_modules([os.path.dirname(os.path.abspath(__file__))])}
    for name in [n for n in ORDER if n in there] + sorted(there - set(ORDER)):
        module = importlib.import_module("rows." + name)
        found += [c for c in vars(module).values()
                  if isinstance(c, type) and issubclass(c, Row) and c.name and c.__module__ == module.__name__]
    return found
