"""Kills launchers at random instants, lets others take their runs over, and looks whether every promise was kept.

    python benches/kills.py [--runs 20] [--kills 3] [--seed 1]

Each run is tests/flows/halfway.py on an embedded stack of its own. Its launcher, host and engine, is killed by SIGKILL after a random
time; so is each that takes over, until the last one, which brings the run to its end. A run that has no job yet is not taken over but
begun anew. Ends with 1 if a run does not come to its end, a task ran twice in one attempt, or `ferroflow dev check-history` finds
something. Needs a Python with metaflow, and the binary: $FERROFLOW_BIN or `ferroflow` on PATH.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

FLOW = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "flows", "halfway.py")
FERROFLOW = os.environ.get("FERROFLOW_BIN") or "ferroflow"
# A run takes some fifteen seconds on two processors.
LATEST_KILL_S = 12
DEADLINE_S = 300


class Story:
    """One run, from its beginning to its end."""

    def __init__(self, folder, chance, kills):
        self.folder, self.chance, self.kills = folder, chance, kills
        self.shared = os.path.join(folder, "shared")
        self.env = dict(os.environ, TEST_SHARED=self.shared, HOME=folder, METAFLOW_USER="tester", FERROFLOW="require")
        self.killed = 0

    def tell(self):
        os.mkdir(self.shared)
        shutil.copy(FLOW, self.folder)
        stack = os.path.join(self.folder, "stack")
        serving = subprocess.Popen([FERROFLOW, "dev", "up", "--dir", stack], stdout=subprocess.DEVNULL, env=self.env)
        try:
            self._use(stack)
            self._run()
            return list(self._complaints(stack))
        finally:
            subprocess.run([FERROFLOW, "dev", "down", "--dir", stack], stdout=subprocess.DEVNULL, env=self.env)
            serving.wait()

    def _use(self, stack):
        end = time.monotonic() + 30
        while True:
            told = subprocess.run([FERROFLOW, "dev", "env", "--dir", stack], capture_output=True, text=True, env=self.env)
            if told.returncode == 0:
                break
            if time.monotonic() > end:
                raise RuntimeError("the stack does not start: %s" % told.stderr)
            time.sleep(0.2)
        script = "%s\nenv -0" % told.stdout
        env = subprocess.run(["sh", "-c", script], capture_output=True, env=self.env, check=True).stdout
        pairs = (pair.split(b"=", 1) for pair in env.split(b"\0") if pair)
        self.env = {os.fsdecode(name): os.fsdecode(value) for name, value in pairs}

    def _run(self):
        command = [FERROFLOW, "halfway.py", "run", "--word", "hello", "--run-id-file", "run-id"]
        for _ in range(self.kills):
            ended = self._launch(command, self.chance.uniform(0.5, LATEST_KILL_S))
            if ended:
                return
            command = self._attach() or command
        if not self._launch(command, DEADLINE_S):
            raise RuntimeError("the run does not end: %s" % " ".join(command))

    def _attach(self):
        """None while the run has nothing that could be taken over."""
        try:
            with open(os.path.join(self.folder, "run-id")) as file:
                run = "HalfwayFlow/" + file.read().strip()
        except OSError:
            return None
        return [FERROFLOW, "attach", run]

    def _launch(self, command, patience):
        """Whether the run has come to its end before the launcher was killed."""
        with open(os.path.join(self.folder, "log"), "a") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.env, stdout=log, stderr=log, start_new_session=True
            )
            try:
                status = process.wait(patience)
            except subprocess.TimeoutExpired:
                self._kill(process.pid)
                process.wait()
                self.killed += 1
                return False
        if status != 0 and "has no job on AWS Batch" in self._log():
            raise Restart()
        if status != 0 and "has ended (done)" in self._log():
            return True  # the one before was killed after its last word
        if status != 0:
            raise RuntimeError("%s ended with %d:\n%s" % (" ".join(command), status, self._log()[-3000:]))
        return True

    def _kill(self, host):
        """The engine has left the host's process group."""
        for pid in [host] + [pid for pid in _engines() if _session(pid) == host]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def _log(self):
        with open(os.path.join(self.folder, "log")) as file:
            return file.read()

    def _complaints(self, stack):
        for name in sorted(os.listdir(self.shared)):
            with open(os.path.join(self.shared, name)) as file:
                attempts = file.read().split()
            if len(attempts) != len(set(attempts)):
                yield "%s: attempts %s" % (name, attempts)
        time.sleep(2)  # the last job may end a little later than the run
        history = os.path.join(stack, "history.jsonl")
        checked = subprocess.run([FERROFLOW, "dev", "check-history", history], capture_output=True, text=True, env=self.env)
        if checked.returncode != 0:
            yield checked.stdout + checked.stderr


class Restart(Exception):
    """The launcher was killed before the run had any job."""


def _engines():
    for name in os.listdir("/proc"):
        try:
            with open("/proc/%s/cmdline" % name, "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if name.isdigit() and len(words) > 1 and words[1] == b"engine":
            yield int(name)


def _session(pid):
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--kills", type=int, default=3, help="launchers of a run that are killed, at most")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    kills = complaints = restarts = 0
    begun = time.monotonic()
    ended = 0
    while ended < options.runs:
        with tempfile.TemporaryDirectory() as folder:
            story = Story(folder, chance, options.kills)
            try:
                found = list(story.tell())
            except Restart:
                restarts += 1
                continue
        ended += 1
        kills += story.killed
        complaints += len(found)
        for text in found:
            print("run %d: %s" % (ended, text), flush=True)
    seconds = time.monotonic() - begun
    print(
        "%d runs, %d launchers killed, %d runs begun anew before their first job, %d complaints, %.0f s"
        % (ended, kills, restarts, complaints, seconds)
    )
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
