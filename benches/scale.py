"""What the launcher costs while a wide foreach runs on AWS Batch, from a hundred tasks to a hundred thousand, and how full it
keeps its slots: upstream's and Ferroflow's, one after the other. The tasks are played by an embedded stack of the program's
own (`ferroflow dev up --simulate`), without a process.

    python benches/scale.py [--both 64] [--widths 100,1000,10000] [--workers N] [--slots 16] [--flows plain,heavy] [--json FILE]

Needs a Python with metaflow and boto3, for the heavy flow pandas, too; and the binary: $FERROFLOW_BIN or `ferroflow` on PATH.
Linux only. There are three parts, each left out by an empty value:

--both    a foreach of so many tasks of --both-seconds (10), all at once, by both launchers, with ratios
--widths  the same of --seconds (5) by Ferroflow alone, where told with no more than --workers at a time: upstream has a process
          of 85 MB for each task
--slots   ten times as many tasks of --between (1,9) seconds as there are slots, by both. What counts as busy is the time from
          the start of a task's job to its end. `ideal` is what a launcher reaches that starts the next task in the instant in
          which one ends: none can do better in that order

`plain` imports nothing, and has local metadata. `heavy` imports pandas, has 50 MB of files beside it, which the code package
takes along, and a metadata service each of whose answers takes --latency-ms (30), `benches/metadata_service.py`; of its
requests only the launcher's are there, since tasks that are played make none.

`submits` is the number of SubmitJob calls, `asked` that of DescribeJobs and ListJobs together, `asked/s` the same per second at
most, counted in windows of ten seconds, `metadata` that of requests to the metadata service. CPU is what the kernel bills for
the process that is started here and all its descendants, memory the highest sum of their resident sets, as in
benches/launcher.py. `host` is the Python process that the user has started and what it starts, `engine` the Rust process below it.
"""

import argparse
import heapq
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter

import launcher
from launcher import LAUNCHERS

FLOW = '''
{imports}
from metaflow import FlowSpec, step


class ScaleFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.work, foreach="items")

    @step
    def work(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    ScaleFlow()
'''
IMPORTS = {"plain": "", "heavy": "import pandas"}
COLUMNS = [
    ("tasks", "tasks", "%8d"), ("wall_s", "wall s", "%8.1f"), ("submits", "submits", "%8d"), ("asked", "asked", "%8d"),
    ("asked_per_s", "asked/s", "%8.1f"), ("metadata", "metadata", "%9d"), ("cpu_s", "CPU s", "%8.2f"),
    ("host_cpu_s", "host", "%8.2f"), ("engine_cpu_s", "engine", "%8.2f"), ("ms_per_task", "ms/task", "%8.1f"),
    ("rss_mb", "RSS MB", "%8.0f"), ("host_rss_mb", "host", "%8.0f"), ("engine_rss_mb", "engine", "%8.0f"),
    ("processes", "processes", "%10d"),
]
RATIOS = ["wall_s", "submits", "asked", "metadata", "cpu_s", "rss_mb"]
SEED = 7
WINDOW_S = 10
# prctl(2)
PR_SET_CHILD_SUBREAPER = 36


def main():
    options = arguments()
    adopt_orphans()
    facts = {"cores": os.cpu_count(), "options": vars(options), "both": {}, "widths": {}, "slots": {}}
    for flow in options.flows:
        if options.both:
            facts["both"][flow] = both(flow, options)
        if options.widths:
            print("%s, Ferroflow, tasks of %g s\n%s" % (flow, options.seconds, titles()))
        for width in options.widths:
            row = scale("ferroflow", flow, width, options.seconds, options, options.workers)
            facts["widths"].setdefault(flow, []).append(row)
            print(line(row), flush=True)
        if options.slots:
            facts["slots"][flow] = [occupancies(flow, slots, options) for slots in options.slots]
    if options.json:
        with open(options.json, "w") as file:
            json.dump(facts, file, indent=1)


def arguments():
    def listed(of):
        return lambda text: [of(one) for one in text.split(",") if one]

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--both", type=lambda text: int(text or 0), default=64, help="tasks of the foreach by both launchers")
    parser.add_argument("--both-seconds", type=float, default=10, help="how long each of them takes")
    parser.add_argument("--widths", type=listed(int), default=[100, 1000, 10000], help="tasks of the foreaches by Ferroflow")
    parser.add_argument("--seconds", type=float, default=5, help="how long each of them takes")
    parser.add_argument("--workers", type=int, help="how many of them run at a time; all, unless told")
    parser.add_argument("--slots", type=listed(int), default=[16], help="how many run at a time, with uneven times")
    parser.add_argument("--between", type=listed(float), default=[1, 9], help="shortest and longest of these times")
    parser.add_argument("--flows", type=listed(str), default=["plain"], help="plain, heavy")
    parser.add_argument("--launchers", type=listed(str), default=list(LAUNCHERS), help="who runs what both run")
    parser.add_argument("--dir", help="where stack and flow are; in memory, where that is possible. A task takes 100 KB, 60 files")
    parser.add_argument("--latency-ms", type=float, default=30, help="of the metadata service of the heavy flow")
    parser.add_argument("--json", help="a file for the figures")
    options = parser.parse_args()
    if set(options.flows) - set(IMPORTS) or set(options.launchers) - set(LAUNCHERS) or len(options.between) != 2:
        parser.error("no such flow or launcher, or not two times")
    options.binary = os.environ.get("FERROFLOW_BIN") or shutil.which("ferroflow")
    if not options.binary:
        parser.error("no binary: set FERROFLOW_BIN")
    return options


def both(flow, options):
    """The same foreach by upstream and by us."""
    print("%s, tasks of %g s\n%-10s%s" % (flow, options.both_seconds, "", titles()))
    rows = {}
    for who in options.launchers:
        rows[who] = scale(who, flow, options.both, options.both_seconds, options)
        print("%-10s%s" % (who, line(rows[who])), flush=True)
    if len(rows) < len(LAUNCHERS):
        return rows
    pairs = [(name, rows["upstream"][name], rows["ferroflow"][name]) for name in RATIOS]
    rows["ratio"] = {name: upstreams / ours for name, upstreams, ours in pairs if ours}
    print("ratio: " + ", ".join("%s %.1f" % ratio for ratio in rows["ratio"].items()), flush=True)
    return rows


def titles():
    return "".join("%*s" % (len(form % 0), title) for _, title, form in COLUMNS)


def line(row):
    return "".join(form % row[name] for name, _, form in COLUMNS)


def scale(who, flow, width, seconds, options, workers=None):
    run = Run(options, who, flow, width, workers or width, seconds)
    calls = Counter(name for _, name in run.calls())
    asked = [at for at, name in run.calls() if name in ("DescribeJobs", "ListJobs")]
    windows = Counter(at // (1000 * WINDOW_S) for at in asked)
    return {
        "tasks": width,
        "submits": calls["SubmitJob"],
        "asked": len(asked),
        "asked_per_s": max(windows.values(), default=0) / WINDOW_S,
        "ms_per_task": 1000 * run.figures["cpu_s"] / width,
        **run.figures,
    }


def occupancies(flow, slots, options):
    rows = {who: occupancy(who, flow, slots, options) for who in options.launchers}
    for who, row in rows.items():
        text = "%(slots)d slots, %(tasks)d tasks: busy %(busy).1f %%, ideal %(ideal).1f %%; wall %(wall_s).1f s, CPU %(cpu_s).1f s"
        print("%s, %s: %s" % (flow, who, text % row), flush=True)
    return rows


def occupancy(who, flow, slots, options):
    width = 10 * slots
    run = Run(options, who, flow, width, slots, {"from": options.between[0], "to": options.between[1], "seed": SEED})
    spans = sorted(run.spans())
    first, last = spans[0][0], max(end for _, end in spans)
    seconds = [(end - begin) / 1000 for begin, end in spans]
    busy = sum(seconds)
    return {
        "slots": slots,
        "tasks": width,
        "busy": 100 * busy / (slots * (last - first) / 1000),
        "ideal": 100 * busy / (slots * makespan(seconds, slots)),
        **run.figures,
    }


def makespan(seconds, slots):
    """When the last ends of tasks that are started in this order, each in the instant in which a slot becomes free."""
    ends = [0.0] * slots
    for one in seconds:
        heapq.heapreplace(ends, ends[0] + one)
    return max(ends)


class Run:
    """A foreach on a stack of its own, in a folder of its own, by one of the launchers."""

    def __init__(self, options, who, flow, width, workers, seconds):
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self._options, self._who = options, who
        self._folder = tempfile.mkdtemp(prefix="ferroflow-bench-", dir=options.dir or memory)
        self._stack = self._file("stack")
        dev = [options.binary, "dev"]
        try:
            self._write(flow, width, seconds)
            up = dev + ["up", "--dir", self._stack, "--simulate", self._file("steps.json")]
            subprocess.run(up, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, FERROFLOW_PYTHON=sys.executable))
            try:
                exports = subprocess.run(dev + ["env", "--dir", self._stack], check=True, stdout=subprocess.PIPE)
                script = exports.stdout.decode()
                service = MetadataService(options if flow == "heavy" else None)
                try:
                    self._measure(script + service.exports, width, workers)
                finally:
                    service.end()
                self.figures["metadata"] = service.requests(width)
            finally:
                subprocess.run(dev + ["down", "--dir", self._stack], check=True, stdout=subprocess.DEVNULL)
            self._lines = list(history(self._stack))
        finally:
            shutil.rmtree(self._folder)

    def _write(self, flow, width, seconds):
        steps = {
            "start": {"next": ["work"], "foreach": {"variable": "items", "splits": width}},
            "work": {"next": ["join"], "seconds": seconds},
            "join": {"next": ["end"], "joins_foreach": True},
            "end": {},
        }
        with open(self._file("steps.json"), "w") as file:
            json.dump(steps, file)
        os.mkdir(self._file("flow"))
        with open(self._file("flow/scale_flow.py"), "w") as file:
            file.write(FLOW.format(imports=IMPORTS[flow]).lstrip())
        if flow == "heavy":
            launcher.write_tree(self._file("flow/modules"))

    def _measure(self, exports, width, workers):
        ours = self._who == "ferroflow"
        # Metaflow starts 64 processes otherwise, for a handful of objects.
        env = dict(os.environ, FERROFLOW_PYTHON=sys.executable, METAFLOW_S3_WORKER_COUNT="1")
        env["FERROFLOW"] = "require" if ours else "off"
        program = [self._options.binary if ours else sys.executable, "scale_flow.py", "--no-pylint", "--datastore", "s3"]
        command = program + ["run", "--with", "batch", "--max-workers", str(workers), "--max-num-splits", str(width)]
        # The shell becomes the launcher.
        shell = ["sh", "-c", exports + '\nexec "$@"', "sh"]
        with open(self._file("log"), "wb") as log:
            others, before, start = children(), cpu_of_children(), time.perf_counter()
            process = subprocess.Popen(
                shell + command, cwd=self._file("flow"), env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
            watched, process.returncode, _ = launcher.watch(process.pid)
            wall = time.perf_counter() - start
        for orphan in children() - others:
            os.waitpid(orphan, 0)
        if process.returncode != 0:
            with open(self._file("log"), errors="replace") as log:
                sys.exit("the run by %s failed:\n%s" % (self._who, log.read()[-5000:]))
        cpu = cpu_of_children() - before
        split = {"engine_cpu_s": watched.engine_cpu, "host_cpu_s": cpu - watched.engine_cpu}
        self.figures = {"wall_s": wall, "cpu_s": cpu, **split, **watched.peak}

    def _file(self, name):
        return os.path.join(self._folder, name)

    def calls(self):
        """Time in milliseconds, and name, of each call of Batch."""
        for line in self._lines:
            if line["kind"] == "call":
                yield line["at"], line["detail"]["operation"]

    def spans(self):
        """From start to end of the job of each task of the foreach, in milliseconds."""
        begun = {}
        for line in self._lines:
            detail = line["detail"]
            key = detail.get("jobId"), detail.get("index")
            if line["kind"] == "job.started" and "-work-" in detail["jobName"]:
                begun[key] = line["at"]
            elif line["kind"] == "job.ended" and key in begun:
                yield begun[key], line["at"]


class MetadataService:
    """A process of its own; without options there is none."""

    def __init__(self, options):
        self._process, self.exports = None, ""
        if options is not None:
            program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "metadata_service.py")
            command = [sys.executable, program, "--latency-ms", str(options.latency_ms)]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            url = self._process.stdout.readline().strip()
            self.exports = "\nexport METAFLOW_DEFAULT_METADATA=service METAFLOW_SERVICE_URL=%s" % url

    def end(self):
        if self._process is not None:
            self._report = json.loads(self._process.communicate()[0])

    def requests(self, width):
        """How many there were, if all tasks are there."""
        if self._process is None:
            return 0
        if self._report["tasks"].get("work") != width:
            sys.exit("the metadata service knows these tasks: %s" % self._report["tasks"])
        return sum(self._report["requests"].values())


def adopt_orphans():
    """What a launcher leaves behind, upstream's heartbeat, becomes a child of this process, which counts its CPU."""
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit("prctl: %s" % os.strerror(ctypes.get_errno()))


def children():
    with open("/proc/self/task/%d/children" % os.getpid()) as file:
        return {int(pid) for pid in file.read().split()}


def cpu_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def history(stack):
    with open(os.path.join(stack, "history.jsonl")) as file:
        for line in file:
            if '"kind":"s3.' not in line and '"kind":"object' not in line:
                yield json.loads(line)


if __name__ == "__main__":
    main()
