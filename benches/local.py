"""What a run on this machine costs: by upstream, by Ferroflow with fresh interpreters, and with forks.

    python benches/local.py [--width 200] [--flows hello,trivial,pandas] [--repeat 3] [--json FILE]

Needs a Python with metaflow and, for one flow, pandas; and the binary: $FERROFLOW_BIN or `ferroflow` on PATH. CPU is what the
kernel bills for the launcher and all its descendants, tasks included. The launchers take turns; figures are medians.

The flow's folder is in memory (/dev/shm) where that is possible: on a disk where thousands of small files come and go, the
kernel charges whoever makes the next one for the search of a free inode.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HELLO = '''
from metaflow import FlowSpec, step


class Hello(FlowSpec):
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        print("hello")


if __name__ == "__main__":
    Hello()
'''
FOREACH = '''
{imports}
from metaflow import FlowSpec, step


class Foreach(FlowSpec):
    @step
    def start(self):
        self.items = list(range({width}))
        self.next(self.work, foreach="items")

    @step
    def work(self):
        self.square = self.input ** 2
        self.next(self.join)

    @step
    def join(self, inputs):
        self.total = sum(i.square for i in inputs)
        self.next(self.end)

    @step
    def end(self):
        assert self.total == sum(i ** 2 for i in range({width}))


if __name__ == "__main__":
    Foreach()
'''
FLOWS = {
    "hello": lambda width: HELLO,
    "trivial": lambda width: FOREACH.format(imports="", width=width),
    "pandas": lambda width: FOREACH.format(imports="import pandas", width=width),
}
# Name of the launcher, and what it is told.
LAUNCHERS = {
    "upstream": {"FERROFLOW": "off"},
    "fresh": {"FERROFLOW": "require", "FERROFLOW_FORK": "off"},
    "fork": {"FERROFLOW": "require"},
}


def main():
    options = arguments()
    results = {}
    for flow in options.flows.split(","):
        runs = {launcher: [] for launcher in LAUNCHERS}
        for _ in range(options.repeat if flow != "hello" else 5 * options.repeat):
            for launcher in LAUNCHERS:
                runs[launcher].append(measure(flow, launcher, options))
        results[flow] = {launcher: medians(seen) for launcher, seen in runs.items()}
        report(flow, results[flow])
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"width": options.width, "cores": os.cpu_count(), "results": results}, file, indent=1)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--width", type=int, default=200, help="tasks of the foreach")
    parser.add_argument("--flows", default=",".join(FLOWS))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", help="a file for the figures")
    options = parser.parse_args()
    unknown = set(options.flows.split(",")) - set(FLOWS)
    if unknown:
        parser.error("no such flow: %s" % ", ".join(sorted(unknown)))
    return options


def measure(flow, launcher, options):
    """CPU and wall seconds of one run in a folder of its own."""
    binary = os.environ.get("FERROFLOW_BIN") or shutil.which("ferroflow") or sys.exit("no binary: set FERROFLOW_BIN")
    folder = tempfile.mkdtemp(prefix="ferroflow-bench-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    try:
        script = os.path.join(folder, "flow.py")
        with open(script, "w") as file:
            file.write(FLOWS[flow](options.width))
        program = [sys.executable] if launcher == "upstream" else [binary]
        env = dict(os.environ, FERROFLOW_PYTHON=sys.executable, METAFLOW_HOME=folder, **LAUNCHERS[launcher])
        command = program + [script, "run", "--max-num-splits", str(options.width)]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    finally:
        shutil.rmtree(folder)
    if done.returncode:
        sys.exit("%s by %s failed:\n%s" % (flow, launcher, done.stdout.decode(errors="replace")[-5000:]))
    return {"cpu_s": sum(after[:2]) - sum(before[:2]), "wall_s": wall}


def medians(seen):
    return {what: statistics.median(run[what] for run in seen) for what in ("cpu_s", "wall_s")}


def report(flow, figures):
    for launcher, run in figures.items():
        ratios = [figures["upstream"][what] / run[what] for what in ("cpu_s", "wall_s")]
        print(
            "%-8s %-9s CPU %7.2f s  wall %7.2f s  upstream is %5.2f and %5.2f times that"
            % (flow, launcher, run["cpu_s"], run["wall_s"], *ratios),
            flush=True,
        )


if __name__ == "__main__":
    main()
