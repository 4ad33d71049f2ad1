"""Figures of the benchmark: what was measured in each round beside its baseline, and how they are shown: a table, TSV, Markdown."""
import json
import os
import platform
import statistics
import subprocess
import time

DECIMALS = 3


class Figure:
    """One line of the table. `target` is None or (">=" or "<=", bound): of the ratio where there is a baseline, else of the value."""

    def __init__(self, name, unit, base_name, target):
        self.name, self.unit, self.base_name, self.target = name, unit, base_name, target
        self.values, self.bases = [], []

    def ratios(self):
        return [v / b for v, b in zip(self.values, self.bases) if b]

    def value(self):
        return statistics.median(self.values)

    def base(self):
        return statistics.median(self.bases) if self.bases else None

    def ratio(self):
        return statistics.median(self.ratios()) if self.ratios() else None

    def spread(self):
        of = self.ratios() or self.values
        return min(of), max(of)

    def reached(self):
        """'yes', 'no', or '' where there is nothing to reach."""
        if self.target is None:
            return ""
        sign, bound = self.target
        got = self.value() if self.ratio() is None else self.ratio()
        return "yes" if (got >= bound if sign == ">=" else got <= bound) else "no"

    def goal(self):
        return "%s %g" % self.target if self.target else ""


class Figures:
    def __init__(self):
        self.all = {}
        self.skipped = []

    def add(self, name, unit, value, base=None, base_name="", target=None):
        """One round's measurement."""
        figure = self.all.setdefault(name, Figure(name, unit, base_name, target))
        figure.values.append(value)
        if base is not None:
            figure.bases.append(base)

    def skip(self, what, why):
        if (what, why) not in self.skipped:
            self.skipped.append((what, why))


def number(value):
    """Four digits that count, whole numbers as such."""
    if value is None:
        return ""
    if abs(value) >= 1000:
        return "{:,.0f}".format(value)
    return "%.4g" % value


def cells(figure):
    low, high = figure.spread()
    ratio = figure.ratio()
    return [figure.name, number(figure.value()), figure.unit, number(figure.base()), "" if ratio is None else "%.3f" % ratio,
            "%s to %s" % (number(low), number(high)), figure.goal(), figure.reached(), figure.base_name]


HEAD = ["what", "measured", "unit", "baseline", "ratio", "least to most", "to reach", "reached", "the baseline is"]
RIGHT = {1, 3, 4}


def show(figures):
    """The table for people: one line as soon as its row is done."""
    lines = [HEAD] + [cells(f) for f in figures]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    return "\n".join("  ".join(cell.rjust(w) if i in RIGHT else cell.ljust(w) for i, (cell, w) in enumerate(zip(line, widths))).rstrip()
                     for line in lines)


def markdown(figures):
    def line(of):
        return "| " + " | ".join(of) + " |"
    return "\n".join([line(HEAD), line(["---:" if i in RIGHT else "---" for i in range(len(HEAD))])] + [line(cells(f)) for f in figures])


def output(*command):
    """The first line of what a command says; empty where there is no such command."""
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
    return text.strip().split("\n")[0]


def machine(redis):
    """What the figures are of: pairs for the head of the file."""
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "")
    return [
        ("date", time.strftime("%Y-%m-%d %H:%M:%S %z")),
        ("commit", output("git", "describe", "--always", "--dirty", "--abbrev=10")),
        ("cores", str(os.cpu_count())),
        ("processor", model),
        ("kernel", platform.platform()),
        ("load before", "%.2f %.2f %.2f" % os.getloadavg()),
        ("RabbitMQ", output("dpkg-query", "-W", "-f", "${Version}", "rabbitmq-server")),
        ("Redis", redis.info("server")["redis_version"]),
        ("appendfsync", redis.config_get("appendfsync").get("appendfsync", "")),
        ("librabbitmq", output("pkg-config", "--modversion", "librabbitmq")),
        ("hiredis", output("pkg-config", "--modversion", "hiredis")),
    ]


def write(path, about, figures, skipped):
    with open(path, "w", encoding="utf-8") as file:
        for key, value in about:
            file.write("# %s\t%s\n" % (key, value))
        for what, why in skipped:
            file.write("# skipped\t%s\t%s\n" % (what, why))
        file.write("what\tunit\tmeasured\tbaseline\tratio\tleast\tmost\tto_reach\treached\tbaseline_name\trounds\tbaseline_rounds\n")
        for f in figures:
            low, high = f.spread()
            file.write("\t".join([f.name, f.unit, "%.6g" % f.value(), "" if f.base() is None else "%.6g" % f.base(),
                                  "" if f.ratio() is None else "%.4f" % f.ratio(), "%.6g" % low, "%.6g" % high, f.goal(), f.reached(),
                                  f.base_name, json.dumps([round(v, DECIMALS) for v in f.values]),
                                  json.dumps([round(v, DECIMALS) for v in f.bases])]) + "\n")
