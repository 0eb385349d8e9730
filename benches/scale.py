"""What the launcher costs while a wide foreach runs on AWS Batch, from a hundred tasks to ten thousand, and how full it keeps
its slots. The tasks are played by an embedded stack of the program's own (`ferroflow dev up --simulate`), without a process.

    python benches/scale.py [--widths 100,1000,10000] [--seconds 5] [--slots 16,64] [--json FILE]

Needs a Python with metaflow and boto3; and the binary: $FERROFLOW_BIN or `ferroflow` on PATH. Linux only.

`fan-out` is the number of SubmitJob calls for the foreach. `asked` is DescribeJobs and ListJobs together, and per second at
most, counted in windows of ten seconds. CPU and memory are as benches/launcher.py has them: `host` is the Python process that
the user has started, `engine` the Rust process below it; what the first, the last and no other step cost on this machine is
not counted. Upstream's launcher cannot follow simulated tasks: its figures for real ones are in docs/benchmarks.md.

Slots: a foreach of ten times as many tasks of 1 to 9 seconds. What counts as busy is the time from the claim of a task to its
outcome. `ideal` is what a launcher reaches that starts the next task in the instant in which one ends: no launcher can do
better in that order, upstream's neither.
"""

import argparse
import heapq
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter

from launcher import descendants, is_engine, resident_mb

FLOW = '''
from metaflow import FlowSpec, batch, step


class ScaleFlow(FlowSpec):
    @step
    def start(self):
        self.items = range({width})
        self.next(self.work, foreach="items")

    @batch
    @step
    def work(self):
        self.next(self.join)

    @batch
    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    ScaleFlow()
'''
COLUMNS = [
    ("tasks", "%8d"), ("wall_s", "%8.1f"), ("fan_out", "%8d"), ("asked", "%7d"), ("asked_per_s", "%12.1f"),
    ("host_cpu_s", "%11.2f"), ("engine_cpu_s", "%13.2f"), ("ms_per_task", "%12.2f"), ("engine_rss_mb", "%14.0f"),
    ("host_rss_mb", "%12.0f"),
]
SHORTEST, LONGEST, SEED = 1, 9, 7
WINDOW_S = 10


def main():
    options = arguments()
    facts = {"cores": os.cpu_count(), "seconds": options.seconds, "scale": [], "slots": []}
    if options.widths:
        print("".join("%*s" % (int(form[1:].split(".")[0].rstrip("df")), name) for name, form in COLUMNS))
    for width in options.widths:
        facts["scale"].append(row := scale(width, options))
        print("".join(form % row[name] for name, form in COLUMNS), flush=True)
    for slots in options.slots:
        facts["slots"].append(row := occupancy(slots, options))
        print("%(slots)d slots, %(tasks)d tasks: busy %(busy).1f %% of the time, ideal %(ideal).1f %%; %(wall_s).1f s" % row, flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(facts, file, indent=1)


def arguments():
    def numbers(text):
        return [int(number) for number in text.split(",") if number]

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--widths", type=numbers, default=[100, 1000, 10000], help="tasks of the foreach, all at once")
    parser.add_argument("--seconds", type=float, default=5, help="how long each of them takes")
    parser.add_argument("--slots", type=numbers, default=[16], help="how many run at a time, with uneven times")
    parser.add_argument("--json", help="a file for the figures")
    options = parser.parse_args()
    options.binary = os.environ.get("FERROFLOW_BIN") or shutil.which("ferroflow")
    if not options.binary:
        parser.error("no binary: set FERROFLOW_BIN")
    return options


def scale(width, options):
    run = Run(options, width, width, options.seconds)
    calls = list(run.calls())
    asked = sorted(at for at, name, _ in calls if name in ("DescribeJobs", "ListJobs"))
    windows = Counter(at // (1000 * WINDOW_S) for at in asked)
    cpu = run.host_cpu + run.engine_cpu
    return {
        "tasks": width,
        "wall_s": run.wall,
        "fan_out": sum(name == "SubmitJob" and "-work-" in subject for _, name, subject in calls),
        "asked": len(asked),
        "asked_per_s": max(windows.values(), default=0) / WINDOW_S,
        "host_cpu_s": run.host_cpu,
        "engine_cpu_s": run.engine_cpu,
        "ms_per_task": 1000 * cpu / width,
        "engine_rss_mb": run.engine_rss,
        "host_rss_mb": run.host_rss,
    }


def occupancy(slots, options):
    width = 10 * slots
    run = Run(options, width, slots, {"from": SHORTEST, "to": LONGEST, "seed": SEED})
    spans = run.spans()
    first, last = min(begin for begin, _ in spans), max(end for _, end in spans)
    seconds = [(end - begin) / 1000 for begin, end in sorted(spans)]
    busy = sum(seconds)
    return {
        "slots": slots,
        "tasks": width,
        "wall_s": run.wall,
        "busy": 100 * busy / (slots * (last - first) / 1000),
        "ideal": 100 * busy / (slots * makespan(seconds, slots)),
    }


def makespan(seconds, slots):
    """When the last ends of tasks that are started in this order, each in the instant in which a slot becomes free."""
    ends = [0.0] * slots
    for one in seconds:
        heapq.heapreplace(ends, ends[0] + one)
    return max(ends)


class Run:
    """A foreach on a stack of its own."""

    def __init__(self, options, width, workers, seconds):
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        folder = tempfile.mkdtemp(prefix="ferroflow-bench-", dir=memory)
        self._stack = os.path.join(folder, "stack")
        dev = [options.binary, "dev"]
        try:
            with open(os.path.join(folder, "steps.json"), "w") as file:
                steps = {"work": {"next": ["join"], "seconds": seconds}, "join": {"next": ["end"], "joins_foreach": True}}
                json.dump(steps, file)
            with open(os.path.join(folder, "scale_flow.py"), "w") as file:
                file.write(FLOW.format(width=width).lstrip())
            up = dev + ["up", "--dir", self._stack, "--simulate", file_in(folder, "steps.json")]
            subprocess.run(up, check=True, stdout=subprocess.DEVNULL)
            try:
                exports = subprocess.run(dev + ["env", "--dir", self._stack], check=True, stdout=subprocess.PIPE)
                self._measure(options, folder, exports.stdout.decode(), width, workers)
            finally:
                subprocess.run(dev + ["down", "--dir", self._stack], check=True, stdout=subprocess.DEVNULL)
            self._lines = list(history(self._stack))
        finally:
            shutil.rmtree(folder)

    def _measure(self, options, folder, exports, width, workers):
        # Metaflow starts 64 processes otherwise, for a handful of objects.
        env = dict(os.environ, FERROFLOW="require", FERROFLOW_PYTHON=sys.executable, METAFLOW_S3_WORKER_COUNT="1")
        arguments = ["--no-pylint", "--datastore", "s3", "run", "--max-workers", str(workers), "--max-num-splits", str(width)]
        # The shell becomes the launcher.
        script = exports + '\nexec "$@"'
        command = ["sh", "-c", script, "sh", options.binary, file_in(folder, "scale_flow.py")] + arguments
        with open(file_in(folder, "log"), "wb") as log:
            start = time.perf_counter()
            process = subprocess.Popen(
                command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
            self.host_cpu = self.engine_cpu = self.host_rss = self.engine_rss = 0.0
            while process.poll() is None:
                self._look(process.pid)
                time.sleep(0.1)
            self.wall = time.perf_counter() - start
        if process.returncode != 0:
            with open(file_in(folder, "log"), errors="replace") as log:
                sys.exit("the run failed:\n" + log.read()[-5000:])

    def _look(self, root):
        for pid, cpu in descendants(root).items():
            if pid == root:
                self.host_cpu, self.host_rss = max(self.host_cpu, cpu), max(self.host_rss, resident_mb(pid))
            elif is_engine(pid):
                self.engine_cpu, self.engine_rss = max(self.engine_cpu, cpu), max(self.engine_rss, resident_mb(pid))

    def calls(self):
        """Time in milliseconds, name and subject of each call of Batch."""
        for line in self._lines:
            if line["kind"] == "call":
                yield line["at"], line["detail"]["operation"], line["detail"].get("subject") or ""

    def spans(self):
        """From claim to outcome of each task of the foreach, in milliseconds."""
        begun, spans = {}, []
        for line in self._lines:
            detail = line["detail"]
            if line["kind"] == "job.started" and "-work-" in detail["jobName"]:
                begun[detail["jobId"]] = line["at"]
            elif line["kind"] == "job.ended" and detail["jobId"] in begun:
                spans.append((begun[detail["jobId"]], line["at"]))
        return spans


def file_in(folder, name):
    return os.path.join(folder, name)


def history(stack):
    with open(os.path.join(stack, "history.jsonl")) as file:
        for line in file:
            if '"kind":"s3.' not in line and '"kind":"object' not in line:
                yield json.loads(line)


if __name__ == "__main__":
    main()
