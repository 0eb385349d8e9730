"""Runs the commands of a case by one launcher, in a folder of its own, and collects what can be observed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import console
from normalise import Normaliser
from streams import pipe_pair, pty_pair

HERE = os.path.dirname(os.path.abspath(__file__))
FLOWS = os.path.join(os.path.dirname(HERE), "flows")
# Settings that must not leak from the caller into a local run.
OURS = ("METAFLOW_", "FERROFLOW", "AWS_", "TEST_SHARED", "PYTHON")


class Side:
    """`name` is `upstream` or `ferroflow`."""

    def __init__(self, name, case, folder, batch=False):
        self.name, self.case, self.batch = name, case, batch
        self.folder = os.path.realpath(folder)
        self.origin = self.origin_view = None

    def run(self):
        self._prepare()
        return [self._command(i, command) for i, command in enumerate(self._commands())]

    def _commands(self):
        if not self.batch:
            return self.case.commands
        first = self.case.commands[0]
        return (type(first)(self.case.batch, first.exit, first.by, first.env, first.has_run),)

    def _prepare(self):
        for name in (self.case.flow,) + tuple(self.case.extra):
            source, target = os.path.join(FLOWS, name), os.path.join(self.folder, os.path.basename(name))
            (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, target)
        for name in ("home", "shared", self.case.folder):
            os.makedirs(os.path.join(self.folder, name), exist_ok=True)
        if self.case.folder != ".":
            os.mkdir(os.path.join(self.folder, ".metaflow"))

    def _command(self, number, command):
        run_id_file = os.path.join(self.folder, "run-id.%d" % number)
        argv = self._launcher(command) + list(command.args)
        if command.has_run:
            argv += ["--run-id-file", run_id_file]
        code, out, err, leftovers = run_watched(
            argv, self._cwd(), self._environment(command), self.case.deadline, self.case.terminal
        )
        run_id = read(run_id_file)
        run_view = self._view(run_id, number) if run_id else None
        normalise = Normaliser(run_id or "(no run)", self.folder, self.origin, self.origin_view)
        normalise.name_tasks(run_view["ids"] if run_view else {})
        self.origin, self.origin_view = run_id, run_view
        seen = {"exit": code, "leftovers": leftovers, "run": run_view}
        if run_id and not self.batch and not self._is_upstream(command):
            seen["record"] = self._record(run_id)
        if command.by == "side":
            in_order = "--max-workers 1 " in " ".join(command.args) + " "
            seen["stdout"] = console.view(out, run_view, normalise, in_order)
            seen["stderr"] = console.view(err, run_view, normalise, in_order)
        return seen

    def _launcher(self, command):
        flow = os.path.relpath(self._flow(), self._cwd())
        if self._is_upstream(command):
            return [sys.executable, flow]
        return [os.environ["FERROFLOW_BIN"], flow]

    def _is_upstream(self, command):
        return self.name == "upstream" or command.by == "upstream"

    def _flow(self):
        return os.path.join(self.folder, os.path.basename(self.case.flow))

    def _cwd(self):
        return os.path.normpath(os.path.join(self.folder, self.case.folder))

    def _environment(self, command):
        kept = () if self.batch else OURS
        env = {k: v for k, v in os.environ.items() if not k.startswith(kept or "FERROFLOW_BIN")}
        env.update(self._common())
        env.update(self.case.env)
        env.update(self.case.batch_env if self.batch else {})
        env.update(command.env)
        if self._is_upstream(command):
            env["FERROFLOW"] = "off"
        else:
            env.update(FERROFLOW=self.case.wish, FERROFLOW_PYTHON=sys.executable)
        return env

    def _common(self):
        home = os.path.join(self.folder, "home")
        common = {"HOME": home, "METAFLOW_USER": "tester", "TEST_SHARED": os.path.join(self.folder, "shared")}
        common["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
        common["METAFLOW_CLIENT_CACHE_PATH"] = os.path.join(home, "cache")
        if not self.batch:
            common["METAFLOW_HOME"] = os.path.join(home, "metaflowconfig")
        else:
            del common["TEST_SHARED"]
        return common

    def _record(self, run_id):
        """What Ferroflow keeps about the run; for runs that it handed back, nothing."""
        path = ".metaflow/.ferroflow/%s/%s/run.json" % (flow_name(self._flow()), run_id)
        text = read(os.path.join(self.folder, path))
        return json.loads(text) if text else None

    def _view(self, run_id, number):
        name = flow_name(self._flow())
        argv = [sys.executable, os.path.join(HERE, "view.py"), "%s/%s" % (name, run_id), "--folder", self.folder]
        if self.origin:
            argv += ["--origin", self.origin, "--origin-view", os.path.join(self.folder, "view.%d" % (number - 1))]
        env = self._environment(type(self.case.commands[0])(("run",), by="upstream"))
        done = subprocess.run(argv, cwd=self._cwd(), env=env, capture_output=True)
        if done.returncode:
            raise RuntimeError("the Client cannot read the run:\n" + done.stderr.decode())
        with open(os.path.join(self.folder, "view.%d" % number), "wb") as f:
            f.write(done.stdout)
        return json.loads(done.stdout)


def run_watched(argv, cwd, env, deadline, terminal=False):
    """Exit code, streams and the names of processes that outlive the command by five seconds."""
    out, err = (pty_pair if terminal else pipe_pair)()
    process = subprocess.Popen(
        argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out.write_end, stderr=err.write_end,
        start_new_session=True,
    )
    out.drain(), err.drain()
    try:
        process.wait(deadline)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        tail = (out.text() + err.text())[-3000:]
        raise RuntimeError("still running after %d s: %s\n%s" % (deadline, " ".join(argv), tail))
    leftovers = of_session(process.pid)
    limit = time.monotonic() + 5
    while leftovers and time.monotonic() < limit:
        time.sleep(0.02)
        leftovers = of_session(process.pid)
    for pid in leftovers:
        os.kill(pid, signal.SIGKILL)
    return process.returncode, out.text(), err.text(), sorted(leftovers.values())


def of_session(session):
    """Processes of a session, by id, where the system has /proc."""
    found = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name) as f:
                command, _, rest = f.read().rpartition(")")
        except OSError:  # It has just ended.
            continue
        fields = rest.split()
        if int(fields[3]) == session and fields[0] != "Z":
            found[int(name)] = command.partition("(")[2]
    return found


def flow_name(path):
    with open(path, encoding="utf-8") as f:
        return next(line.split("(")[0].split()[1] for line in f if line.startswith("class ") and "(FlowSpec)" in line)


def read(path):
    try:
        with open(path) as f:
            return f.read().strip()
    except FileNotFoundError:
        return None
