"""README's first command, with the wheel where a reader has the sources."""

import os
import re
import subprocess
import unittest

from case import BARE_PATH, HERE, FolderCase, wheel_of

ROOT = os.path.dirname(os.path.dirname(HERE))


class Readme(FolderCase):
    def test_first_command(self):
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            command = re.search(r"```sh\n(python3 -m venv .*)\n```", file.read()).group(1)
        self.assertIn("pip install '.[metaflow]'", command)
        command = command.replace("'.[metaflow]'", "'%s[metaflow]'" % wheel_of(os.uname().machine))
        os.symlink(os.path.join(ROOT, "examples"), self.path("examples"))
        # As on a bare machine: no name, no environment, nothing of ours on PATH.
        changes = {"METAFLOW_USER": None, "PATH": "%s:%s" % (os.path.dirname(_python3()), BARE_PATH)}
        self.addCleanup(self.run_command, "sh", "-c", "ferroflow/bin/ferroflow dev down", **changes)
        done = self.run_command("bash", "-e", "-c", command, **changes)
        self.assertIn("Done!", done.stdout)
        self.assertRegex(done.stdout, r"DigitsFlow/\d+, finished at")
        self.assertEqual(done.stdout.count("ran as job"), 8, done.stdout)
        self.assertIn("<- best", done.stdout)


def _python3():
    """The machine's, which makes environments."""
    return subprocess.run(["sh", "-c", "command -v python3"], stdout=subprocess.PIPE, check=True).stdout.decode().strip()


if __name__ == "__main__":
    unittest.main()
