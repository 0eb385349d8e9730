#!/usr/bin/env python3
"""Compares two JSON documents, views of two runs say, and exits with 1 when they differ.

    compare.py UPSTREAM.json FERROFLOW.json [--allow FILE]

FILE lists the differences that are accepted, one a line: a pattern of the path as of fnmatch, white space, the reason.
"""

import argparse
import difflib
import fnmatch
import json
import sys

# For other tools, not part of the comparison.
IGNORED = {"ids"}
SHOWN_LINES = 30
SHOWN_DIFFERENCES = 40
ABSENT = "(absent)"


def differences(left, right, allowed=(), path=""):
    """Pairs of path and description, without those that are allowed. A list of texts is compared as a whole, so that
    a log is shown as a log, and what one side does not have at all is named once."""
    if any(fnmatch.fnmatchcase(path, pattern) for pattern in allowed):
        return []
    if is_nested(left) and is_nested(right):
        left, right = by_name(left), by_name(right)
        names = sorted((set(left) | set(right)) - IGNORED)
        pairs = [(left.get(name, ABSENT), right.get(name, ABSENT), "%s/%s" % (path, name)) for name in names]
        return [found for a, b, inner in pairs for found in differences(a, b, allowed, inner)]
    return [] if left == right else [(path, describe(left, right))]


def is_nested(value):
    return isinstance(value, dict) or (isinstance(value, list) and not all(isinstance(v, str) for v in value))


def by_name(value):
    return value if isinstance(value, dict) else {"%03d" % i: inner for i, inner in enumerate(value)}


def describe(a, b):
    if all(isinstance(value, list) and all(isinstance(v, str) for v in value) for value in (a, b)):
        lines = list(difflib.unified_diff(a, b, "upstream", "ferroflow", n=1, lineterm=""))
        cut = [line[:300] for line in lines[:SHOWN_LINES]]
        return "\n".join(cut + (["… %d more lines" % (len(lines) - SHOWN_LINES)] if len(lines) > SHOWN_LINES else []))
    return "- upstream:  %s\n+ ferroflow: %s" % (short(a), short(b))


def short(value):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 600 else text[:600] + "…"


def read_allowed(path):
    with open(path, encoding="utf-8") as f:
        lines = [line.strip() for line in f]
    return [line.split(None, 1)[0] for line in lines if line and not line.startswith("#")]


def report(found, out=sys.stdout):
    """One paragraph for each description, however many paths it applies to."""
    places = {}
    for path, description in found:
        places.setdefault((path.rsplit("/", 1)[-1], description), []).append(path)
    for (_, description), paths in list(places.items())[:SHOWN_DIFFERENCES]:
        more = " and %d more" % (len(paths) - 1) if len(paths) > 1 else ""
        print(paths[0] + more, file=out)
        print("    " + description.replace("\n", "\n    "), file=out)
    if len(places) > SHOWN_DIFFERENCES:
        print("… and %d more differences" % (len(places) - SHOWN_DIFFERENCES), file=out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("upstream")
    parser.add_argument("ferroflow")
    parser.add_argument("--allow", help="file of accepted differences")
    given = parser.parse_args()
    with open(given.upstream) as a, open(given.ferroflow) as b:
        found = differences(json.load(a), json.load(b), read_allowed(given.allow) if given.allow else ())
    report(found)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
