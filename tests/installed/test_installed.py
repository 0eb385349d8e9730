"""What `pip install .` leaves in an environment, seen as a user sees it.

    python -m unittest discover -s tests/installed

$FERROFLOW_TEST_INSTALLED is an environment (a folder with bin/) in which ferroflow and metaflow are installed. Its tests
install and remove a second time, in an environment of their own, from $FERROFLOW_TEST_WHEEL.
"""

import glob
import json
import os
import shutil
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
INSTALLED = os.environ["FERROFLOW_TEST_INSTALLED"]
WHEEL = os.environ["FERROFLOW_TEST_WHEEL"]

# What the engine tells of itself by FERROFLOW_LOG begins so.
ENGINE = "ferroflow::engine"

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


class FolderCase(unittest.TestCase):
    def setUp(self):
        # A blank, because people have them.
        self.folder = os.path.join(os.path.realpath(tempfile.mkdtemp(prefix="ferroflow-installed-")), "my flows")
        os.mkdir(self.folder)
        self.addCleanup(shutil.rmtree, os.path.dirname(self.folder))

    def environment(self, **changes):
        unwanted = ("METAFLOW", "FERROFLOW", "PYTHON", "VIRTUAL_ENV", "CONDA_PREFIX", "AWS_")
        env = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
        env.update(
            FERROFLOW="require",
            METAFLOW_USER="tester",
            HOME=self.folder,
            PYTHONDONTWRITEBYTECODE="1",  # what Python itself leaves in an environment is not ours to remove
        )
        env.update(changes)
        return env

    def run_command(self, *command, **changes):
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(**changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done


class Installed(FolderCase):
    def setUp(self):
        super().setUp()
        shutil.copy(os.path.join(HERE, "flow.py"), self.folder)

    def check_run(self, *command, **changes):
        done = self.run_command(*command, FERROFLOW_LOG="info", **changes)
        self.assertEqual(done.stdout.count("Done!"), 1, done.stdout)
        self.assertIn("the end", done.stdout)
        self.assertIn(ENGINE, done.stderr)
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
        extensions = self.check_run(bin_of(INSTALLED, "ferroflow"), "flow.py", "run", PATH="/usr/bin:/bin")
        self.assertEqual(list(extensions), ["ferroflow"])

    def test_the_command_through_a_link(self):
        """As pipx makes them."""
        link = os.path.join(self.folder, "ferroflow")
        os.symlink(bin_of(INSTALLED, "ferroflow"), link)
        self.check_run(link, "flow.py", "run", PATH="/usr/bin:/bin")

    def test_the_command_of_another_environment(self):
        """The extension is not installed there, so it comes by PYTHONPATH."""
        other = self.make_environment()
        self.link_packages(other, but=("ferroflow", "metaflow_extensions"))
        python = bin_of(other, "python")
        extensions = self.check_run(
            bin_of(INSTALLED, "ferroflow"), "flow.py", "run", FERROFLOW_PYTHON=python
        )
        self.assertEqual(list(extensions), ["_pythonpath_0"])

    def test_the_command_of_another_environment_that_has_it_too(self):
        other = self.make_environment()
        self.link_packages(other, but=())
        python = bin_of(other, "python")
        extensions = self.check_run(
            bin_of(INSTALLED, "ferroflow"), "flow.py", "run", FERROFLOW_PYTHON=python
        )
        self.assertEqual(list(extensions), ["ferroflow"])

    def make_environment(self):
        other = os.path.join(self.folder, "other env")
        self.run_command(bin_of(INSTALLED, "python"), "-m", "venv", "--without-pip", other)
        return other

    def link_packages(self, other, but):
        """The installed packages, without installing them again."""
        for path in glob.glob(os.path.join(packages_of(INSTALLED), "*")):
            if not os.path.basename(path).startswith(but or ("\0",)):
                os.symlink(path, os.path.join(packages_of(other), os.path.basename(path)))

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

    def test_the_bootstrap_of_this_machine_is_there_and_needs_no_library(self):
        bootstrap = os.path.join(
            packages_of(INSTALLED), "ferroflow", "_bootstrap", "linux-" + os.uname().machine, "ferroflow-bootstrap"
        )
        self.assertTrue(os.access(bootstrap, os.X_OK), bootstrap)
        with open(bootstrap, "rb") as file:
            # An interpreter in the program header means that it is linked dynamically.
            self.assertNotIn(b"ld-linux", file.read())


class Wheel(FolderCase):
    def test_uninstalling_leaves_nothing(self):
        place = os.path.join(self.folder, "env")
        self.run_command(bin_of(INSTALLED, "python"), "-m", "venv", place)
        before = files_below(place)
        self.run_command(bin_of(place, "pip"), "install", "--no-deps", "--no-index", WHEEL)
        self.assertIn("bin/ferroflow", files_below(place) - before)
        self.run_command(bin_of(place, "pip"), "uninstall", "--yes", "ferroflow")
        self.assertEqual(files_below(place) - before, set())


def bin_of(environment, name):
    return os.path.join(environment, "bin", name)


def packages_of(environment):
    (folder,) = glob.glob(os.path.join(environment, "lib", "python*", "site-packages"))
    return folder


def files_below(folder):
    """Folders, too; not what pip compiles of itself as it runs."""
    found = set()
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        found.update(os.path.relpath(os.path.join(root, name), folder) for name in folders + files)
    return found


if __name__ == "__main__":
    unittest.main()
