"""What `pip install` leaves in an environment, seen as a user sees it.

    python tests/installed/test_installed.py

`case.py` tells what it needs. Its tests install and remove a second time, in environments of their own.
"""

import json
import os
import shutil
import unittest

from case import BARE_PATH, ENGINE, HERE, INSTALLED, FolderCase, bin_of, link_packages, packages_of, wheel_of

VIEW = """
import json
from metaflow import Flow, __version__, namespace
namespace(None)
run = Flow("InstalledFlow").latest_run
print(json.dumps({
    "successful": run.successful,
    "tags": sorted(run.system_tags),
    "version": __version__,
    "extensions": run["_parameters"].task["_graph_info"].data["extensions"]["installed"],
}))
"""


class Installed(FolderCase):
    def setUp(self):
        super().setUp()
        shutil.copy(os.path.join(HERE, "flow.py"), self.folder)

    def check_run(self, *command, **changes):
        done = self.run_flow(*command, **changes)
        view = json.loads(self.run_command(bin_of(INSTALLED, "python"), "-c", VIEW, FERROFLOW="off").stdout)
        self.assertTrue(view["successful"])
        # Neither banner nor tag tells of an extension.
        banner = "Metaflow %s executing InstalledFlow for user:tester" % view["version"]
        self.assertIn(banner, done.stderr.splitlines())
        self.assertIn("metaflow_version:" + view["version"], view["tags"])
        return view["extensions"]

    def test_plain_python_is_taken_over(self):
        extensions = self.check_run(bin_of(INSTALLED, "python"), "flow.py", "run")
        self.assertEqual(list(extensions), ["ferroflow"])

    def test_the_command_finds_everything_from_outside(self):
        """Nothing on PATH, no active environment."""
        extensions = self.check_run(bin_of(INSTALLED, "ferroflow"), "flow.py", "run", PATH=BARE_PATH)
        self.assertEqual(list(extensions), ["ferroflow"])

    def test_the_command_through_a_link(self):
        """As pipx makes them."""
        link = self.path("ferroflow")
        os.symlink(bin_of(INSTALLED, "ferroflow"), link)
        self.check_run(link, "flow.py", "run", PATH=BARE_PATH)

    def test_the_command_of_another_environment(self):
        """The extension is not installed there, so it comes by PYTHONPATH."""
        other = self.make_environment()
        link_packages(packages_of(other))
        python = bin_of(other, "python")
        extensions = self.check_run(
            bin_of(INSTALLED, "ferroflow"), "flow.py", "run", FERROFLOW_PYTHON=python
        )
        self.assertEqual(list(extensions), ["_pythonpath_0"])

    def test_the_command_of_another_environment_that_has_it_too(self):
        other = self.make_environment()
        link_packages(packages_of(other), but=())
        python = bin_of(other, "python")
        extensions = self.check_run(
            bin_of(INSTALLED, "ferroflow"), "flow.py", "run", FERROFLOW_PYTHON=python
        )
        self.assertEqual(list(extensions), ["ferroflow"])

    def test_off_means_off(self):
        done = self.run_command(
            bin_of(INSTALLED, "python"), "flow.py", "run", FERROFLOW="off", FERROFLOW_LOG="info"
        )
        self.assertNotIn(ENGINE, done.stderr)
        self.assertIn("Done!", done.stdout)

    def test_the_module_is_the_command(self):
        versions = [
            self.run_command(bin_of(INSTALLED, *command), *more, "--version").stdout
            for command, more in ((("ferroflow",), ()), (("python",), ("-m", "ferroflow")))
        ]
        self.assertEqual(versions[0], versions[1])
        self.assertTrue(versions[0].startswith("ferroflow "))


class Wheel(FolderCase):
    def test_uninstalling_leaves_nothing(self):
        place = self.path("env")
        self.run_command(bin_of(INSTALLED, "python"), "-m", "venv", place)
        before = files_below(place)
        self.run_command(bin_of(place, "pip"), "install", "--no-deps", "--no-index", wheel_of(os.uname().machine))
        self.assertIn("bin/ferroflow", files_below(place) - before)
        self.run_command(bin_of(place, "pip"), "uninstall", "--yes", "ferroflow")
        self.assertEqual(files_below(place) - before, set())


def files_below(folder):
    """Folders, too; not what pip compiles of itself as it runs."""
    found = set()
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        found.update(os.path.relpath(os.path.join(root, name), folder) for name in folders + files)
    return found


if __name__ == "__main__":
    unittest.main()
