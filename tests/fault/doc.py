"""docs/faults.md lists the fault points: `doc.py` writes the list anew from the table in shared/base/fault.h, `doc.py --check` only
says whether it is the same."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("FLOTILLA_BUILD", os.path.join(ROOT, "build", "plain"))
PATH = os.path.join(ROOT, "docs", "faults.md")
WHO = {"w": "worker", "c": "command", "d": "doctor", "r": "runner"}
ACTIONS = {"k": "kill", "s": "stall", "e": "error", "f": "error: the attempt fails"}


def listed():
    text = subprocess.run([os.path.join(BUILD, "tests", "programs", "faults")], check=True, capture_output=True, text=True).stdout
    rows = [line.split("\t") for line in text.splitlines()]
    out = ["| point | in | what can happen | where it is |", "|---|---|---|---|"]
    for name, who, actions, what in rows:
        out.append("| `%s` | %s | %s | %s |" % (name, ", ".join(WHO[c] for c in who), ", ".join(ACTIONS[c] for c in actions), what))
    return "\n".join(out) + "\n"


def main():
    with open(PATH, encoding="utf-8") as file:
        text = file.read()
    new = re.sub(r"(?s)(?<=<!-- points -->\n).*(?=<!-- end -->)", lambda _: listed(), text)
    if "--check" in sys.argv:
        if new != text:
            sys.exit("docs/faults.md is not what shared/base/fault.h says; run: /usr/bin/python3 tests/fault/doc.py")
        return
    with open(PATH, "w", encoding="utf-8") as file:
        file.write(new)


if __name__ == "__main__":
    main()
