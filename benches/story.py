"""Runs on an embedded stack of their own, whose launchers are killed, put to sleep or left alone, and what is held against the
runs afterwards. benches/weather.py tells what happens."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.join(HERE, os.pardir, "tests")
FERROFLOW = os.environ.get("FERROFLOW_BIN") or shutil.which("ferroflow")

# For whatever is sure to come.
DEADLINE_S = 300

# What upstream's Client sees of the steps of a run: tasks, and how many of them have succeeded.
CLIENT = """
import json, sys
sys.path.insert(0, sys.argv[2])
import listings
listings.in_this_process()
from metaflow import Run, namespace
namespace(None)
run = Run(sys.argv[1])
steps = {step.id: [task.successful for task in step] for step in run}
print(json.dumps([run.successful, {name: [len(tasks), sum(tasks)] for name, tasks in steps.items()}]))
"""


class Story:
    """A stack in a folder, and the launchers of one run there after the other."""

    def __init__(self, folder, flow, rules=(), steps=None, variables=()):
        self.folder, self.flow = folder, flow
        self.stack = os.path.join(folder, "stack")
        self.shared = os.path.join(folder, "shared")
        self.env = dict(os.environ, HOME=folder, TEST_SHARED=self.shared, METAFLOW_USER="tester", FERROFLOW="require")
        # Metaflow starts 64 processes otherwise, for a handful of objects.
        self.env.update(METAFLOW_S3_WORKER_COUNT="1", FERROFLOW_PYTHON=sys.executable)
        self.env.update(variables)
        self._up = ["up", "--dir", self.stack]
        for name, content in (("faults", list(rules)), ("simulate", steps)):
            if content:
                self._up += ["--" + name, self._write(name + ".json", content)]
        self.launchers = 0

    def __enter__(self):
        os.mkdir(self.shared)
        shutil.copy(os.path.join(TESTS, "flows", self.flow), self.folder)
        self._dev(*self._up)
        exports = self._dev("env", "--dir", self.stack)
        env = subprocess.run(["sh", "-c", exports + "\nenv -0"], capture_output=True, env=self.env, check=True).stdout
        pairs = (pair.split(b"=", 1) for pair in env.split(b"\0") if pair)
        self.env = {os.fsdecode(name): os.fsdecode(value) for name, value in pairs}
        return self

    def __exit__(self, *_):
        self._dev("down", "--dir", self.stack)

    def _write(self, name, content):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            json.dump(content, file)
        return path

    def _dev(self, *words):
        done = subprocess.run([FERROFLOW, "dev", *words], capture_output=True, text=True, env=self.env)
        if done.returncode != 0:
            raise RuntimeError("ferroflow dev %s: %s%s" % (" ".join(words), done.stdout, done.stderr))
        return done.stdout

    def begin(self, *options):
        """A launcher with a new run."""
        for name in os.listdir(self.shared):
            os.unlink(os.path.join(self.shared, name))
        id_file = os.path.join(self.folder, "run-id")
        if os.path.exists(id_file):
            os.unlink(id_file)
        return self._launch([self.flow, "--no-pylint", "run", "--run-id-file", "run-id", *options])

    def attach(self, *options):
        """A launcher that goes on with the run; None as long as that has no id."""
        run = self.run()
        return run and self._launch(["attach", run, *options])

    def _launch(self, words):
        self.launchers += 1
        name = "launcher-%d" % self.launchers
        env = dict(self.env, AWS_SDK_UA_APP_ID=name)
        return Launcher([FERROFLOW, *words], self.folder, env, os.path.join(self.folder, name + ".log"), name)

    def run(self):
        """`Flow/run-id`, None before it has an id."""
        try:
            with open(os.path.join(self.folder, "run-id")) as file:
                run = file.read().strip()
        except OSError:
            return None
        flow = "".join(word.capitalize() for word in self.flow[: -len(".py")].split("_")) + "Flow"
        return run and "%s/%s" % (flow, run)

    def client(self):
        """Whether the run is successful for upstream, and of each step the tasks, and those that succeeded."""
        command = [sys.executable, "-c", CLIENT, self.run(), os.path.join(TESTS, "compare")]
        done = subprocess.run(command, capture_output=True, text=True, env=self.env, cwd=self.folder)
        if done.returncode != 0:
            raise RuntimeError("upstream cannot read the run: %s" % done.stderr[-3000:])
        return json.loads(done.stdout)

    def history(self, *kinds):
        """Kind and detail of each line of these kinds."""
        with open(os.path.join(self.stack, "history.jsonl")) as file:
            for line in file:
                if any('"kind":"%s' % kind in line for kind in kinds):
                    entry = json.loads(line)
                    yield entry["kind"], entry["detail"]

    def complaints(self, *options):
        """What the checker says, and tasks of this machine that began twice in one attempt."""
        checked = subprocess.run(
            [FERROFLOW, "dev", "check-history", "--dir", self.stack, *options], capture_output=True, text=True, env=self.env
        )
        if checked.returncode != 0:
            yield checked.stdout + checked.stderr
        for name in sorted(os.listdir(self.shared)):
            with open(os.path.join(self.shared, name)) as file:
                attempts = file.read().split()
            if len(attempts) != len(set(attempts)):
                yield "%s: attempts %s" % (name, attempts)

    def submissions(self):
        """SubmitJob: jobs that were made, those among them that were made again, and answers that told nothing."""
        made, unknown = Counter(), 0
        for kind, detail in self.history("job.submitted", "call"):
            if kind == "job.submitted":
                made[detail["jobName"]] += 1
            elif detail["operation"] == "SubmitJob":
                unknown += is_unknown(detail.get("fault"))
        return sum(made.values()), sum(made.values()) - len(made), unknown


def is_unknown(fault):
    if isinstance(fault, dict):
        return any(isinstance(how, dict) and how.get("status", 0) >= 500 for how in fault.values())
    return fault in ("lose_reply", "hang_up")


class Launcher:
    """A process of `ferroflow`, and those that it has started: a session of their own."""

    def __init__(self, command, folder, env, log, name):
        self.name, self._log = name, log
        self.words = command[1:]
        with open(log, "w") as file:
            self._process = subprocess.Popen(
                command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
            )
        self.host = self._process.pid
        self.asleep = ()

    def log(self):
        with open(self._log, errors="replace") as file:
            return file.read()

    def status(self):
        """The exit code, None while it runs."""
        return self._process.poll()

    def wait(self, seconds=DEADLINE_S):
        """Its exit code. One that does not end by itself is killed, and that is an error."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.signal(self.family(), signal.SIGKILL)
            self._process.wait()
            raise RuntimeError("%s does not end:\n%s" % (" ".join(self.words), self.log()[-3000:])) from None

    def engine(self):
        """Not the process that waits for it."""
        return next((pid for pid in self.family() if is_engine(pid) and is_engine(parent(pid))), None)

    def family(self):
        return [pid for pid in processes() if session(pid) == self.host]

    def parts(self, which):
        """`engine`, `host`, or `both`; all there is while there is no engine."""
        engine = self.engine()
        if which == "both" or engine is None:
            return self.family()
        return [engine if which == "engine" else self.host]

    def signal(self, pids, number):
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill(self, which):
        """What is not killed has to end by itself."""
        self.signal(self.parts(which), signal.SIGKILL)
        self.wait()
        end = time.monotonic() + 30
        while self.family():
            if time.monotonic() > end:
                left = self.family()
                self.signal(left, signal.SIGKILL)
                raise RuntimeError("the %s was killed, and %d processes lived on" % (which, len(left)))
            time.sleep(0.02)

    def stop(self, which):
        self.asleep = self.parts(which)
        self.signal(self.asleep, signal.SIGSTOP)

    def wake(self):
        self.signal(self.asleep, signal.SIGCONT)
        self.asleep = ()


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def session(pid):
    """That of a process which has not ended."""
    fields = stat(pid)
    return int(fields[3]) if fields and fields[0] not in "ZX" else None


def parent(pid):
    fields = stat(pid)
    return int(fields[1]) if fields else None


def stat(pid):
    """The fields after the name, which may contain anything."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            return re.sub(r"^.*\)", "", file.read(), flags=re.S).split()
    except OSError:
        return None


def is_engine(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return file.read().split(b"\0")[1:2] == [b"engine"]
    except (OSError, TypeError):
        return False
