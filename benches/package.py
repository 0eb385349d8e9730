"""How long the code package takes: upstream's packaging backend and `ferroflow package`, on the same list of members.

    python benches/package.py [--files 2000] [--megabytes 200] [--noise 30] [--repeat 5] [--json]

Needs a Python that imports metaflow, and the binary: $FERROFLOW_BIN or `ferroflow` on PATH. A tree is made in a temporary
folder: the user's files, `noise` per cent of whose bytes are incompressible, and Metaflow's own. Both sides run in turn,
each time in a process of its own; memory is the highest resident set of that process, less what Python had before. Both
end with the SHA-1 of the archive, which is its address in the datastore. `cached` is the second time with nothing changed.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

WORDS = ["def", "return", "self", "import", "value", "for", "in", "range(10):", "if", "None", "\n    ", "flow", "step"]


def main():
    options = arguments()
    folder = tempfile.mkdtemp(prefix="ferroflow-bench-")
    try:
        members = make_tree(os.path.join(folder, "tree"), options) + metaflows_own()
        request = os.path.join(folder, "request.json")
        with open(request, "w") as file:
            json.dump({"members": members}, file)
        time.sleep(4)  # younger files are not taken from the cache
        results = measure(request, folder, options)
    finally:
        shutil.rmtree(folder)
    report(results, len(members), options)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--noise", type=int, default=30, help="per cent of the bytes that cannot be compressed")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--upstream", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.upstream:
        sys.exit(upstream(options.upstream))
    return options


def make_tree(root, options):
    """Files of equal size; the noisy ones are whole files, as data among sources is."""
    chance = random.Random(1)
    size = options.megabytes * 1000000 // options.files
    text = " ".join(chance.choice(WORDS) + str(chance.randrange(2000)) for _ in range(200000)).encode()
    members = []
    for i in range(options.files):
        name = "package_%02d/module_%04d.py" % (i % 40, i)
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            if i * options.noise // 100 != (i + 1) * options.noise // 100:
                file.write(chance.getrandbits(8 * size).to_bytes(size, "little"))
            else:
                start = chance.randrange(len(text))
                file.write((text[start:] + text * (size // len(text) + 1))[:size])
        members.append({"name": name, "path": path})
    return members


def metaflows_own():
    from metaflow.packaging_sys.v1 import MetaflowCodeContentV1

    files = MetaflowCodeContentV1(criteria=lambda _module: False).contents()
    return [{"name": name, "path": path} for path, name in files if isinstance(path, str)]


def upstream(request):
    """The child process: the loop of `MetaflowPackage._make`, and the hash of `save_data`."""
    from hashlib import sha1

    from metaflow.packaging_sys.tar_backend import TarPackagingBackend

    with open(request) as file:
        members = json.load(file)["members"]
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    backend = TarPackagingBackend()
    with backend.create() as archive:
        for member in members:
            archive.add_file(member["path"], arcname=member["name"])
    blob = backend.get_blob()
    sha1(blob).hexdigest()
    wall = time.perf_counter() - start
    print(json.dumps(figures(wall, before, resource.getrusage(resource.RUSAGE_SELF), before.ru_maxrss, len(blob))))


def figures(wall, before, after, idle_memory, size):
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    unit = 1 if sys.platform == "darwin" else 1024
    return {"wall_s": wall, "cpu_s": cpu, "memory_mb": (after.ru_maxrss - idle_memory) * unit / 1e6, "size_mb": size / 1e6}


def measure(request, folder, options):
    binary = os.environ.get("FERROFLOW_BIN") or shutil.which("ferroflow")
    if not binary:
        sys.exit("no binary: set FERROFLOW_BIN")
    results = {"upstream": [], "ferroflow": [], "cached": []}
    for i in range(options.repeat):
        results["upstream"].append(run_upstream(request))
        cache = os.path.join(folder, "cache-%d" % i)
        for kind in ("ferroflow", "cached"):
            results[kind].append(run_ours(binary, request, cache))
        shutil.rmtree(cache)
    return results


def run_upstream(request):
    env = dict(os.environ, FERROFLOW="off")
    out = subprocess.check_output([sys.executable, os.path.abspath(__file__), "--upstream", request], env=env)
    return json.loads(out.decode())


def run_ours(binary, request, cache):
    """The whole process, its start included."""
    env = dict(os.environ, XDG_CACHE_HOME=cache)
    with open(request) as file:
        start = time.perf_counter()
        process = subprocess.Popen([binary, "package"], stdin=file, stdout=subprocess.PIPE, env=env)
    watch = threading.Thread(target=watch_memory, args=(process,))
    watch.start()
    answer = process.stdout.read()
    _pid, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = status
    watch.join()
    if status != 0:
        sys.exit("ferroflow package failed")
    result = figures(wall, resource.struct_rusage([0] * 16), usage, 0, json.loads(answer.decode())["size"])
    result["memory_mb"] = getattr(process, "memory_mb", result["memory_mb"])
    return result


def watch_memory(process):
    """The highest resident set as Linux tells it while the process runs: `wait4` counts this Python's, from the fork."""
    with contextlib.suppress(OSError):
        while process.returncode is None:
            with open("/proc/%d/status" % process.pid) as file:
                for line in file:
                    if line.startswith("VmHWM:"):
                        process.memory_mb = int(line.split()[1]) / 1000
            time.sleep(0.002)


def report(results, members, options):
    kinds = list(results)
    table = {k: {what: statistics.median(r[what] for r in results[k]) for what in results[k][0]} for k in kinds}
    ratio = {k: table["upstream"]["wall_s"] / table[k]["wall_s"] for k in kinds}
    if options.json:
        print(json.dumps({"members": members, "median": table, "wall_ratio": ratio, "all": results}, indent=1))
        return
    print("%d members, %d MB of the user's; medians of %d" % (members, options.megabytes, options.repeat))
    print("%-10s %9s %9s %9s %9s %7s" % ("", "wall s", "CPU s", "memory MB", "size MB", "ratio"))
    for k in kinds:
        row = table[k]
        values = (k, row["wall_s"], row["cpu_s"], row["memory_mb"], row["size_mb"], ratio[k])
        print("%-10s %9.3f %9.3f %9.1f %9.2f %6.1fx" % values)


if __name__ == "__main__":
    main()
