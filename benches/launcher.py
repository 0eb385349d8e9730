"""What the launcher costs while a foreach runs on AWS Batch: upstream's and Ferroflow's, one after the other.

    eval "$(ferroflow dev env)"          # or the settings of any other Batch and S3
    python benches/launcher.py [--width 64] [--seconds 10] [--flows trivial,heavy] [--json FILE]

Needs a Python with metaflow and, for the heavy flow, pandas; and the binary: $FERROFLOW_BIN or `ferroflow` on PATH. The
jobs are not counted: only the process that is started here and its descendants are. CPU is what the kernel bills for
all of them; memory is the highest sum of their resident sets, looked at ten times a second, pages that they share counted
for each, as `ps` does. `host` is the Python process that the user has started, `engine` the Rust process below it;
upstream has one Python process for each task instead.

The flow's folder is in memory (/dev/shm) where that is possible: on the disk on which the jobs make and remove their
folders, the kernel charges the launcher for the search of a free inode.

`trivial` imports nothing. `heavy` imports pandas and has 50 MB beside it, which the code package takes along.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time

FLOW = '''
import time
{imports}
from metaflow import FlowSpec, resources, step


class {name}(FlowSpec):
    @resources(cpu=1, memory=4000)
    @step
    def start(self):
        self.items = list(range({width}))
        self.next(self.work, foreach="items")

    @resources(cpu=1, memory=2000)
    @step
    def work(self):
        time.sleep({seconds})
        self.square = self.input ** 2
        self.next(self.join)

    @resources(cpu=1, memory=4000)
    @step
    def join(self, inputs):
        self.total = sum(i.square for i in inputs)
        self.next(self.end)

    @resources(cpu=1, memory=4000)
    @step
    def end(self):
        assert self.total == sum(i ** 2 for i in range({width}))


if __name__ == "__main__":
    {name}()
'''
IMPORTS = {"trivial": "", "heavy": "import pandas"}
TREE_FILES, TREE_BYTES = 500, 100000
LAUNCHERS = ("upstream", "ferroflow")
COLUMNS = [
    ("wall_s", "wall s", "%9.1f"),
    ("cpu_s", "CPU s", "%9.2f"),
    ("host_cpu_s", "host", "%9.2f"),
    ("engine_cpu_s", "engine", "%9.2f"),
    ("rss_mb", "RSS MB", "%9.1f"),
    ("host_rss_mb", "host", "%9.1f"),
    ("engine_rss_mb", "engine", "%9.1f"),
    ("processes", "processes", "%9d"),
]
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def main():
    options = arguments()
    binary = os.environ.get("FERROFLOW_BIN") or shutil.which("ferroflow")
    if not binary:
        sys.exit("no binary: set FERROFLOW_BIN")
    results = {}
    for flow in options.flows.split(","):
        results[flow] = {}
        for launcher in LAUNCHERS:
            results[flow][launcher] = measure(flow, launcher, binary, options)
            report_line(flow, launcher, results[flow][launcher])
        results[flow]["ratio"] = ratio = {
            what: results[flow]["upstream"][what] / results[flow]["ferroflow"][what] for what in ("cpu_s", "rss_mb", "wall_s")
        }
        print("%-8s upstream / ferroflow: CPU %.1f, RSS %.1f, wall %.1f" % (flow, ratio["cpu_s"], ratio["rss_mb"], ratio["wall_s"]))
    facts = {"width": options.width, "seconds": options.seconds, "cores": os.cpu_count(), "results": results}
    text = json.dumps(facts, indent=1)
    if options.json:
        with open(options.json, "w") as file:
            file.write(text + "\n")
    else:
        print(text)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--width", type=int, default=64, help="tasks of the foreach; all of them may run at once")
    parser.add_argument("--seconds", type=float, default=10, help="how long each of them sleeps")
    parser.add_argument("--flows", default="trivial,heavy")
    parser.add_argument("--with", dest="decorator", default="batch", help="what `--with` of the run says")
    parser.add_argument("--json", help="a file for the figures, which else go to standard output")
    options = parser.parse_args()
    if sys.platform != "linux":
        parser.error("needs /proc")
    unknown = set(options.flows.split(",")) - set(IMPORTS)
    if unknown:
        parser.error("no such flow: %s" % ", ".join(sorted(unknown)))
    return options


def measure(flow, launcher, binary, options):
    """One run in a folder of its own, so that neither finds what the other left."""
    folder = tempfile.mkdtemp(prefix="ferroflow-bench-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    try:
        script = write_flow(folder, flow, options)
        program = [binary] if launcher == "ferroflow" else [sys.executable]
        more = ["run", "--max-workers", str(options.width), "--with", options.decorator]
        env = dict(os.environ, FERROFLOW="require" if launcher == "ferroflow" else "off", FERROFLOW_PYTHON=sys.executable)
        log = os.path.join(folder, "log")
        with open(log, "wb") as output:
            start = time.perf_counter()
            process = subprocess.Popen(
                program + [script, "--no-pylint"] + more,
                cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )
            watched, status, usage = watch(process.pid)
            wall = time.perf_counter() - start
        process.returncode = status
        if status != 0:
            with open(log, errors="replace") as output:
                sys.exit("%s by %s failed:\n%s" % (flow, launcher, output.read()[-5000:]))
    finally:
        shutil.rmtree(folder)
    cpu = usage.ru_utime + usage.ru_stime
    figures = {"wall_s": wall, "cpu_s": cpu, "engine_cpu_s": watched.engine_cpu, "host_cpu_s": cpu - watched.engine_cpu}
    return dict(figures, **watched.peak)


def write_flow(folder, flow, options):
    name = flow.capitalize() + "LauncherFlow"
    script = os.path.join(folder, flow + ".py")
    with open(script, "w") as file:
        file.write(
            FLOW.format(name=name, imports=IMPORTS[flow], width=options.width, seconds=options.seconds).lstrip()
        )
    if flow == "heavy":
        write_tree(os.path.join(folder, "modules"))
    return script


def write_tree(root):
    """Python's own sources and, a third of the files, noise, as data among sources is."""
    chance = random.Random(1)
    os.mkdir(root)
    sources = python_sources(2 * TREE_FILES * TREE_BYTES // 3)
    for i in range(TREE_FILES):
        if i % 3:
            content = sources[(i - i // 3 - 1) * TREE_BYTES :][:TREE_BYTES]
        else:
            content = chance.getrandbits(8 * TREE_BYTES).to_bytes(TREE_BYTES, "little")
        with open(os.path.join(root, "module_%03d.py" % i), "wb") as file:
            file.write(content)


def python_sources(size):
    """At least `size` bytes of the standard library, from its beginning again where it is smaller."""
    found, total = [], 0
    for path in sorted(pathlib.Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        if "site-packages" not in path.parts:
            found.append(path.read_bytes())
            total += len(found[-1])
    return b"".join(found) * (size // total + 2)


class Watched:
    """What was seen of the process `root` and its descendants."""

    def __init__(self, root):
        self.root = root
        self.engine_cpu = 0.0
        self.peak = {"rss_mb": 0.0, "host_rss_mb": 0.0, "engine_rss_mb": 0.0, "processes": 0}

    def look(self):
        family = descendants(self.root)
        sizes = {pid: resident_mb(pid) for pid in family}
        engines = [pid for pid in family if is_engine(pid)]
        # Its own threads only: it has no children on Batch.
        self.engine_cpu = max([self.engine_cpu] + [family[pid] for pid in engines])
        total = sum(sizes.values())
        if total > self.peak["rss_mb"]:
            engine = sum(sizes[pid] for pid in engines)
            self.peak.update(rss_mb=total, host_rss_mb=total - engine, engine_rss_mb=engine)
        self.peak["processes"] = max(self.peak["processes"], len(family))


def watch(root):
    watched = Watched(root)
    while True:
        watched.look()
        pid, status, usage = os.wait4(root, os.WNOHANG)
        if pid:
            return watched, os.waitstatus_to_exitcode(status), usage
        time.sleep(0.1)


def descendants(root):
    """CPU seconds by process id, of `root` and what descends from it."""
    parents, cpu = {}, {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = read("/proc/%s/stat" % name).rpartition(")")[2].split()
            if fields:
                parents[int(name)] = int(fields[1])
                cpu[int(name)] = (int(fields[11]) + int(fields[12])) / TICKS
    family = {root} & set(parents)
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        family |= more
        grown = bool(more)
    return {pid: cpu[pid] for pid in family}


def resident_mb(pid):
    fields = read("/proc/%d/statm" % pid).split()
    return int(fields[1]) * PAGE / 1e6 if fields else 0.0


def is_engine(pid):
    return "engine" in read("/proc/%d/cmdline" % pid).split("\0")[1:2]


def read(path):
    """Nothing for a process that has just ended."""
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def report_line(flow, launcher, figures):
    if launcher == LAUNCHERS[0]:
        print("%-8s %-10s" % (flow, "") + "".join("%10s" % title for _, title, _ in COLUMNS))
    row = "".join(" " + form % figures[key] for key, _, form in COLUMNS)
    print("%-8s %-10s%s" % (flow, launcher, row), flush=True)


if __name__ == "__main__":
    main()
