"""What the tests of an installation share: a folder with a flow in it, environments, and a look at whose run it was.

$FERROFLOW_TEST_INSTALLED is an environment (a folder with bin/) with ferroflow, of the wheel for this machine, and metaflow.
$FERROFLOW_TEST_WHEELS is the folder of the wheels, $FERROFLOW_TEST_SOURCE_WHEEL the one that pip has made of the source
distribution, $FERROFLOW_TEST_TOOLS an environment with pipx and uv.
"""

import glob
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
INSTALLED = os.environ["FERROFLOW_TEST_INSTALLED"]
WHEELS = os.environ["FERROFLOW_TEST_WHEELS"]
SOURCE_WHEEL = os.environ["FERROFLOW_TEST_SOURCE_WHEEL"]
TOOLS = os.environ["FERROFLOW_TEST_TOOLS"]

# What the engine tells of itself by FERROFLOW_LOG begins so.
ENGINE = "ferroflow::engine"

# Nothing that is installed for this machine's users, but what a program takes for granted.
BARE_PATH = "/usr/bin:/bin"

_OF_THE_CALLER = ("METAFLOW", "FERROFLOW", "PYTHON", "VIRTUAL_ENV", "CONDA", "AWS_", "XDG_", "PIP", "UV_")

# By any of them Ferroflow knows a machine of continuous integration, where it starts no embedded stack unasked.
_OF_CI = ("CI", "BUILD_ID", "CODEBUILD_BUILD_ID", "GITHUB_ACTIONS", "TEAMCITY_VERSION", "TF_BUILD")


class FolderCase(unittest.TestCase):
    def setUp(self):
        # A blank and a letter that is not ASCII, because people have them.
        self.folder = os.path.join(os.path.realpath(tempfile.mkdtemp(prefix="ferroflow-installed-")), "my flöws")
        os.mkdir(self.folder)
        self.addCleanup(shutil.rmtree, os.path.dirname(self.folder))
        shutil.copy(os.path.join(HERE, "tiny.py"), self.folder)

    def environment(self, **changes):
        """The caller's without what tells of its own Python or of CI; None takes a variable away."""
        of_a_user = (name for name in os.environ if not name.startswith(_OF_THE_CALLER) and name not in _OF_CI)
        env = {name: os.environ[name] for name in of_a_user}
        env.update(
            FERROFLOW="require",
            METAFLOW_USER="tester",
            HOME=self.folder,
        )
        env.update(changes)
        return {name: value for name, value in env.items() if value is not None}

    def run_command(self, *command, **changes):
        done = self.outcome_of(*command, **changes)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def outcome_of(self, *command, **changes):
        """Runs a command, whatever comes of it."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(**changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )

    def run_flow(self, *command, **changes):
        """A command line that runs a flow; the run must have been Ferroflow's, and must have come to its end."""
        done = self.run_command(*command, FERROFLOW_LOG="info", **changes)
        self.assertEqual(done.stdout.count("Done!"), 1, done.stdout)
        self.assertIn("the end", done.stdout)
        self.assertIn(ENGINE, done.stderr)
        return done

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def make_environment(self, name="other env"):
        """A virtual environment with nothing in it."""
        other = self.path(name)
        self.run_command(bin_of(INSTALLED, "python"), "-m", "venv", "--without-pip", other)
        return other

    def install_wheel(self, python, wheel=None):
        """By pip, without what the wheel depends on; this machine's, if none is named."""
        pip = (bin_of(INSTALLED, "pip"), "--python", python, "install", "--quiet", "--no-deps", "--no-index")
        self.run_command(*pip, wheel or wheel_of(os.uname().machine))


def skip(reason):
    print("SKIPPED:", reason, file=sys.stderr)
    raise unittest.SkipTest(reason)


def link_packages(packages, but=("ferroflow", "metaflow_extensions")):
    """The installed packages, without installing them again, in another folder of packages."""
    for path in glob.glob(os.path.join(packages_of(INSTALLED), "*")):
        place = os.path.join(packages, os.path.basename(path))
        if not os.path.basename(path).startswith(but or ("\0",)) and not os.path.lexists(place):
            os.symlink(path, place)


def bin_of(environment, name):
    return os.path.join(environment, "bin", name)


def packages_of(environment):
    (folder,) = glob.glob(os.path.join(glob.escape(environment), "lib", "python*", "site-packages"))
    return folder


def wheel_of(arch):
    (wheel,) = glob.glob(os.path.join(glob.escape(WHEELS), "ferroflow-*_%s.whl" % arch))
    return wheel
