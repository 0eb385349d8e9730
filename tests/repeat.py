#!/usr/bin/env python3
"""Runs the whole suite several times and tells which tests do not always pass, and where the time goes.

    repeat.py [--times N] [--only BINARY,...] [--threads N] [--keep FOLDER]

What `cargo test --workspace` runs but for examples in documentation, in the order in which it is built, and all of it even when
something fails. Needs what the tests need
(`FERROFLOW=require`, METAFLOW_USER for root). Exit code 1 when any test failed in any round.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FAILED = re.compile(r"^test (\S+) .*\.\.\. FAILED", re.M)
RAN = re.compile(r"^test result: .* (\d+) passed; (\d+) failed; (\d+) ignored", re.M)
TOOK = re.compile(r"^test (\S+) .*\.\.\. ok <([0-9.]+)s>", re.M)


def main():
    given = arguments()
    binaries = [b for b in built() if not given.only or b[0] in given.only]
    failures = {}
    for number in range(1, given.times + 1):
        start, before = time.monotonic(), busy()
        count = 0
        for name, path, folder in binaries:
            passed, failed, text = run(name, path, folder, given.threads)
            count += passed + len(failed)
            for test in failed:
                failures.setdefault("%s: %s" % (name, test), []).append(number)
            if given.keep:
                with open(os.path.join(given.keep, "%d-%s.txt" % (number, name)), "w") as f:
                    f.write(text)
        wall = time.monotonic() - start
        print("round %d: %d tests in %.0f s, %.0f %% busy; failed so far: %s"
              % (number, count, wall, 100 * (busy() - before) / wall / os.cpu_count(), failures or "none"), flush=True)
    sys.exit(1 if failures else 0)


def run(name, path, folder, threads):
    argv = [path, "-Z", "unstable-options", "--report-time"] + (["--test-threads=%d" % threads] if threads else [])
    # The test harness tells the time of a test only to those who ask like this.
    env = dict(os.environ, RUSTC_BOOTSTRAP="1", CARGO_MANIFEST_DIR=folder)
    start, before = time.monotonic(), busy()
    done = subprocess.run(argv, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    wall, used = time.monotonic() - start, busy() - before
    result = RAN.search(done.stdout)
    failed = FAILED.findall(done.stdout)
    if done.returncode and not failed:
        failed = ["(exit code %d)" % done.returncode]
    slowest = sorted(((float(s), t) for t, s in TOOK.findall(done.stdout)), reverse=True)[:3]
    if wall > 2 or failed:
        print("  %-24s %6.1f s %6.1f CPU-s  %s" % (name, wall, used, " ".join("%s=%.0f" % (t, s) for s, t in slowest)), flush=True)
    for test in failed:
        print("  FAILED %s: %s" % (name, test), flush=True)
    return int(result[1]) if result else 0, failed, done.stdout + done.stderr


def built():
    """Name, path and folder of each test binary."""
    argv = ["cargo", "test", "--workspace", "--locked", "--no-run", "--message-format=json"]
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["profile"]["test"]:
            target, kind = message["target"]["name"], message["target"]["kind"][0]
            name = target if kind == "test" else "%s(%s)" % (target, kind)
            yield name, message["executable"], os.path.dirname(message["manifest_path"])


def busy():
    """Seconds for which the processors of this machine have worked, in all."""
    with open("/proc/stat") as f:
        fields = [int(x) for x in f.readline().split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def arguments():
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--only", type=lambda text: text.split(","), help="names of test binaries, as they are printed")
    parser.add_argument("--threads", type=int, help="tests at one time; else as many as there are processors")
    parser.add_argument("--keep", help="folder for the output of each binary")
    given = parser.parse_args()
    if given.keep:
        os.makedirs(given.keep, exist_ok=True)
    return given


if __name__ == "__main__":
    main()
