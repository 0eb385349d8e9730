#!/usr/bin/env python3
"""Runs a flow by upstream and by Ferroflow, each in a fresh folder, and compares all that can be observed: exit codes,
what the launchers printed, and what upstream's Client sees of the runs.

    run_pair.py [--batch] [--self-check] CASE...        cases of cases.py
    run_pair.py [--batch] [--self-check] --all
    run_pair.py [--batch] [--self-check] --flow FLOW.py -- run --alpha 0.1

FERROFLOW_BIN names the launcher under test. With `--self-check` upstream stands on both sides, which must be the same.
With `--batch` the Batch variant of a case runs in the AWS and METAFLOW_* environment of the caller; with `--against local`
only by Ferroflow, and is compared with upstream's run of the same command line on this machine (`anywhere.py`).

Upstream is slow, so what it produced is kept in $XDG_CACHE_HOME/ferroflow/upstream-runs under a name made of the
versions of Metaflow and Python, the case, its files and this tool; `--fresh` runs it again.
"""

import argparse
import concurrent.futures
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
import time

from anywhere import anywhere
from cases import BY_NAME, CASES, Case, Command, without_batch
from compare import differences, read_allowed, report
from side import FLOWS, HERE, Side


def main():
    given = arguments()
    if given.list:
        print("\n".join(case.name for case in CASES if case.batch or not given.batch))
        return
    failed = []
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        results = pool.map(lambda case: (case, outcome(case, given)), chosen(given))
        for case, (found, seconds) in results:
            print("%-9s %-25s %5.1f s" % ("DIFFERENT" if found else "same", case.name, seconds), flush=True)
            report(found)
            failed += [case.name] if found else []
    if failed:
        print("different: " + " ".join(failed))
    sys.exit(1 if failed else 0)


def outcome(case, given):
    """The differences, and how long it took to find them."""
    start = time.monotonic()
    try:
        found = pair(case, given)
    except Exception as e:  # One broken case must not hide the results of the others.
        found = [("/" + case.name, "%s: %s" % (type(e).__name__, e))]
    return found, time.monotonic() - start


def pair(case, given):
    if given.batch and (given.against or case.batch_against) == "local":
        return [] if given.self_check else against_local(case, given)
    upstream = by_upstream(case, given, given.batch)
    ferroflow = observe("upstream" if given.self_check else "ferroflow", case, given)
    found = wrong_exits(case, "upstream", upstream) + wrong_exits(case, "ferroflow", ferroflow)
    found += wrong_starts(case, ferroflow)
    keep(case, given, upstream, ferroflow)
    return found or differences(upstream, ferroflow, allowed())


def wrong_starts(case, observed):
    """Attempts on this machine that should have been forked, or not."""
    found = []
    for i, seen in enumerate(observed):
        record = seen.pop("record", None)
        if not record:
            continue
        counts, reasons = record["attempts"], record["fresh_because"]
        if bool(case.fresh) != bool(counts["fresh"]) or any(case.fresh not in reason for reason in reasons):
            found.append(("/%d/starts" % i, "expected %s, got %s" % (case.fresh or "forks", (counts, reasons))))
    return found


def allowed():
    return read_allowed(os.path.join(HERE, "allowed.txt"))


def keep(case, given, upstream, ferroflow):
    if not given.keep:
        return
    for name, seen in (("upstream", upstream), ("ferroflow", ferroflow)):
        with open(os.path.join(given.keep, "%s.%s.json" % (case.name, name)), "w") as f:
            json.dump(seen, f, indent=1, sort_keys=True)


def against_local(case, given):
    """A Batch run by Ferroflow, and upstream's of the same command line on this machine."""
    ferroflow = observe("ferroflow", case, given)
    found = wrong_exits(case, "ferroflow", ferroflow)
    if found:
        return found
    upstream = by_upstream(on_this_machine(case), given, batch=False)
    keep(case, given, upstream, ferroflow)
    return differences(anywhere(upstream, case), anywhere(ferroflow, case), allowed())


def on_this_machine(case):
    """The case itself where that is the same command, because then its upstream run may have been kept."""
    first = dataclasses.replace(case.commands[0], args=without_batch(case.batch))
    if case.commands == (first,) and not case.batch_env:
        return BY_NAME.get(case.name, case)
    return dataclasses.replace(case, commands=(first,), env={**case.env, **case.batch_env})


def wrong_exits(case, name, observed):
    expected = [command.exit for command in case.commands]
    return [
        ("/%d/exit" % i, "%s: expected %s, got %s\n%s" % (name, code, seen["exit"], "\n".join(last_words(seen))))
        for i, (code, seen) in enumerate(zip(expected, observed))
        if code != seen["exit"]
    ]


def last_words(seen):
    if "stdout" not in seen:
        return []
    of_tasks = ["%s: %s" % (key, line) for key, task in seen["stdout"]["tasks"].items() for line in task["user"]]
    return of_tasks[-20:] + (seen["stdout"]["run"] + seen["stderr"]["run"])[-12:]


def observe(name, case, given, batch=None):
    batch = given.batch if batch is None else batch
    folder = tempfile.mkdtemp(prefix="ferroflow-test-")
    try:
        return Side(name, case, folder, batch).run()
    finally:
        if given.keep:
            shutil.move(folder, os.path.join(given.keep, "%s.%s" % (case.name, name)))
        else:
            shutil.rmtree(folder, ignore_errors=True)


def by_upstream(case, given, batch):
    path = os.path.join(cache_folder(), cache_key(case, batch) + ".json")
    if not (given.fresh or given.self_check or given.keep) and os.path.exists(path):
        with open(path) as f:
            return json.load(f)
    observed = observe("upstream", case, given, batch)
    # As JSON and back, so that a fresh observation and a kept one are alike.
    text = json.dumps(observed)
    with tempfile.NamedTemporaryFile("w", dir=cache_folder(), delete=False) as f:
        f.write(text)
    os.replace(f.name, path)
    return json.loads(text)


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(base, "ferroflow", "upstream-runs")
    os.makedirs(folder, exist_ok=True)
    return folder


def cache_key(case, batch):
    digest = hashlib.sha256()
    digest.update(repr((importlib.metadata.version("metaflow"), sys.version, platform.platform(), case)).encode())
    if batch:
        digest.update(repr(("batch", place())).encode())
    for folder, names in ((HERE, sorted(os.listdir(HERE))), (FLOWS, (case.flow,) + tuple(case.extra))):
        for path in files_of(folder, names):
            # The list of cases changes often, and this case is part of the name already.
            if os.path.basename(path) in ("cases.py", "allowed.txt"):
                continue
            with open(path, "rb") as f:
                # Of any checkout.
                digest.update(os.path.relpath(path, os.path.dirname(HERE)).encode() + f.read())
    return "%s-%s" % (case.name, digest.hexdigest()[:24])


def place():
    """What serves as AWS: ports and the like differ from run to run, so whoever starts it gives it a name."""
    settings = sorted(item for item in os.environ.items() if item[0].startswith("METAFLOW_"))
    return os.environ.get("FERROFLOW_TEST_PLACE") or settings


def files_of(folder, names):
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isdir(path) and name != "__pycache__":
            yield from files_of(path, sorted(os.listdir(path)))
        elif os.path.isfile(path):
            yield path


def chosen(given):
    if given.flow:
        name = os.path.basename(given.flow)
        command = Command(tuple(given.names), exit=given.exit)
        return [Case(name[:-3], os.path.abspath(given.flow), (command,), batch=tuple(given.names))]
    cases = CASES if given.all else [BY_NAME[name] for name in given.names]
    if not given.batch:
        return cases
    return [dataclasses.replace(case, deadline=case.deadline * 4) for case in cases if case.batch]


def arguments():
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("names", nargs="*", help="cases, or with --flow the command line of the flow")
    parser.add_argument("--all", action="store_true", help="all cases")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument("--flow", help="a flow file instead of a case")
    parser.add_argument("--exit", type=int, default=0, help="exit code that the flow must have")
    parser.add_argument("--batch", action="store_true", help="the Batch variants")
    parser.add_argument("--against", choices=["local", "upstream"], help="where upstream runs that Batch runs are compared with")
    parser.add_argument("--self-check", action="store_true", help="upstream on both sides")
    parser.add_argument("--fresh", action="store_true", help="run upstream again")
    parser.add_argument("--keep", help="folder to which folders and views of both sides go")
    parser.add_argument("--jobs", type=int, default=1, help="cases at one time")
    given = parser.parse_args()
    if given.keep:
        os.makedirs(given.keep, exist_ok=True)
    if not (given.names or given.all or given.list):
        parser.error("name a case, or give --all")
    return given


if __name__ == "__main__":
    main()
