"""Runs flows of tests/flows with the fake engine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from types import SimpleNamespace

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON_DIR = os.path.dirname(HERE)
FAKE_ENGINE = os.path.join(HERE, "fake_engine.py")
HANDED_BACK = "ferroflow: handing this run back to Metaflow: "


class FlowCase(unittest.TestCase):
    """Each test has a folder of its own, with a datastore of its own."""

    typed = None  # what a person types; there is no terminal then, so Python reads it from standard input

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="host-test-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.log = os.path.join(self.folder, "engine.log")
        os.mkdir(os.path.join(self.folder, "bin"))
        self.engine = os.path.join(self.folder, "bin", "ferroflow")
        with open(self.engine, "w") as f:
            f.write("#!%s\nimport runpy\nrunpy.run_path(%r, run_name='__main__')\n" % (sys.executable, FAKE_ENGINE))
        os.chmod(self.engine, 0o755)

    def environment(self, **changes):
        """A clean environment; a change to None removes a variable."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("METAFLOW", "FERROFLOW", "FAKE", "PYTHON"))}
        env.update(
            PYTHONPATH=PYTHON_DIR,
            USER="tester",
            METAFLOW_HOME=self.folder,
            METAFLOW_DEFAULT_METADATA="local",
            METAFLOW_DEFAULT_DATASTORE="local",
            FERROFLOW="require",
            FERROFLOW_BIN=self.engine,
            FAKE_ENGINE_LOG=self.log,
        )
        env.update(changes)
        return {k: v for k, v in env.items() if v is not None}

    def start(self, flow, *args, **changes):
        """Starts `python flow args`."""
        script = os.path.join(HERE, "flows", flow + ".py")
        return subprocess.Popen(
            [sys.executable, script, "--no-pylint"] + list(args),
            cwd=self.folder,
            env=self.environment(**changes),
            stdin=subprocess.DEVNULL if self.typed is None else subprocess.PIPE,
            start_new_session=self.typed is not None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            # Whoever runs the tests in the background, or by nohup, has made them ignore these.
            preexec_fn=lambda: [signal.signal(signo, signal.SIG_DFL) for signo in (signal.SIGINT, signal.SIGHUP)],
        )

    def run_flow(self, flow, *args, **changes):
        """Runs `python flow args` to its end."""
        return self.wait(self.start(flow, *(args or ("run",)), **changes))

    def wait(self, process):
        try:
            out, err = process.communicate(self.typed, timeout=600)  # against a test that hangs; a busy machine takes long
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return SimpleNamespace(status=process.returncode, out=out, err=err, all=out + err)

    def wait_for_message(self, kind):
        """Until the engine has sent or got one."""
        deadline = time.monotonic() + 300  # against a test that hangs
        while not self.messages(kind):
            self.assertLess(time.monotonic(), deadline, "no message %r" % kind)
            time.sleep(0.02)

    def messages(self, kind=None, sender=None):
        """What the engine sent and got."""
        if not os.path.exists(self.log):
            return []
        with open(self.log) as f:
            lines = [json.loads(line) for line in f if line.endswith("\n")]
        found = [line["message"] for line in lines if sender in (None, line["from"])]
        return [m for m in found if kind in (None, m["type"])]

    def assert_ok(self, result):
        self.assertEqual(result.status, 0, result.all)
        self.assertEqual(result.out.count("Done!"), 1, result.all)

    def assert_handed_back(self, result, reason):
        lines = [line for line in result.err.splitlines() if line.startswith("ferroflow:")]
        self.assertEqual(len(lines), 1, result.all)
        self.assertIn(HANDED_BACK, lines[0])
        self.assertIn(reason, lines[0])
