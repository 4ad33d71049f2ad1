"""Prometheus' text format, read strictly: what is not to be understood fails the test."""
import re

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def labels_of(text):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match, text
        assert match.group(1) not in labels, text
        labels[match.group(1)] = re.sub(r'\\(.)', lambda m: {"n": "\n"}.get(m.group(1), m.group(1)), match.group(2))
        at = match.end()
    return labels


class Page:
    def __init__(self):
        self.types, self.help, self.samples = {}, {}, []

    def family(self, name):
        """The metric that a sample is of."""
        for suffix in ("_bucket", "_sum", "_count", ""):
            base = name[:len(name) - len(suffix)] if suffix else name
            if name.endswith(suffix) and base in self.types and (not suffix or self.types[base] == "histogram"):
                return base
        raise AssertionError("no head for %s" % name)

    def values(self, name, **labels):
        return [value for (n, l, value) in self.samples if n == name and all(l.get(k) == v for k, v in labels.items())]

    def value(self, name, **labels):
        """Of the one sample with these labels; None where there is none."""
        found = self.values(name, **labels)
        assert len(found) <= 1, (name, labels, found)
        return found[0] if found else None

    def labels(self, family):
        """The names of labels that its samples have, but for a histogram's own."""
        return {k for (n, l, _) in self.samples if self.family(n) == family for k in l} - {"le"}


def parse(text):
    page = Page()
    assert text.endswith("\n")
    seen = set()
    for line in text.splitlines():
        if line.startswith("# "):
            _, what, name, rest = line.split(" ", 3)
            into = {"HELP": page.help, "TYPE": page.types}[what]
            assert name not in into, line
            into[name] = rest
            continue
        match = SAMPLE.match(line)
        assert match, line
        labels = labels_of(match.group(2) or "")
        key = (match.group(1), tuple(sorted(labels.items())))
        assert key not in seen, line
        seen.add(key)
        page.samples.append((match.group(1), labels, float(match.group(3))))
        page.family(match.group(1))
    assert set(page.help) == set(page.types)
    return page
