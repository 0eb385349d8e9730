"""What the extension changes for those who do not look: nothing, and it costs little."""

import json
import os
import re
import shutil
import subprocess
import sys
import unittest

import metaflow
from support import PYTHON_DIR, FlowCase


class Extension(FlowCase):
    def system_tags(self):
        for root, _folders, files in os.walk(os.path.join(self.folder, ".metaflow", "LinearFlow")):
            if "_self.json" in files and re.search(r"/\d+/_meta$", root):
                with open(os.path.join(root, "_self.json")) as f:
                    return json.load(f)["system_tags"]

    def test_version_is_unchanged(self):
        result = self.run_flow("linear")
        self.assert_ok(result)
        banner = "Metaflow %s executing LinearFlow for user:tester" % metaflow.__version__
        self.assertIn(banner, result.err.splitlines())
        self.assertIn("metaflow_version:" + metaflow.__version__, self.system_tags())

    def test_installed(self):
        """As pip leaves it: in a folder of sys.path, with metadata."""
        site = os.path.join(self.folder, "site")
        shutil.copytree(PYTHON_DIR, site, ignore=shutil.ignore_patterns("tests", "__pycache__"))
        info = os.path.join(site, "ferroflow-0.1.0.dist-info")
        os.mkdir(info)
        files = [
            os.path.relpath(os.path.join(root, name), site)
            for root, _folders, names in os.walk(site)
            for name in names
        ]
        for name, text in {
            "METADATA": "Metadata-Version: 2.1\nName: ferroflow\nVersion: 0.1.0\n",
            "top_level.txt": "ferroflow\nmetaflow_extensions\n",
            "RECORD": "".join("%s,,\n" % name for name in files),
        }.items():
            with open(os.path.join(info, name), "w") as f:
                f.write(text)
        self.check_version(PYTHONPATH=site)

    def check_version(self, **changes):
        self.assert_ok(self.run_flow("linear", **changes))
        self.assertTrue(self.messages("hello"))
        self.assertIn("metaflow_version:" + metaflow.__version__, self.system_tags())

    def test_step_loads_only_the_hook(self):
        self.assert_ok(self.run_flow("linear"))
        argv = self.messages("prepared")[0]["argv"]
        step = subprocess.run(
            [argv[0], "-v"] + argv[1:],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )
        self.assertEqual(step.returncode, 0, step.stderr)
        ours = set(re.findall(r"^import '([\w.]*ferroflow[\w.]*)'", step.stderr, re.M))
        self.assertIn("metaflow_extensions.ferroflow.toplevel.hook", ours)
        self.assertEqual([name for name in ours if not name.startswith("metaflow_extensions.")], [])

    def test_hook_loads_fast(self):
        code = (
            "import time; start = time.perf_counter()\n"
            "import metaflow_extensions.ferroflow.toplevel.mfextinit_ferroflow\n"
            "import metaflow_extensions.ferroflow.toplevel.hook\n"
            "print(time.perf_counter() - start)"
        )
        command = [sys.executable, "-c", code]
        seconds = [float(subprocess.check_output(command, env=self.environment())) for _ in range(5)]
        self.assertLess(min(seconds), 0.005)

    def test_syntax_is_that_of_python_3_8(self):
        import ast

        for root, _folders, names in os.walk(PYTHON_DIR):
            for name in names:
                if name.endswith(".py"):
                    with open(os.path.join(root, name)) as f:
                        ast.parse(f.read(), name, feature_version=(3, 8))

    def test_module_runs_the_binary(self):
        env = self.environment(FERROFLOW_BIN="/bin/echo")
        out = subprocess.check_output([sys.executable, "-m", "ferroflow", "hello"], env=env, cwd=self.folder)
        self.assertEqual(out, b"hello\n")


if __name__ == "__main__":
    unittest.main()
