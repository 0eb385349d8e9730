"""The ways to start a flow, and the places where people do: modules, shebangs, links, odd paths, a home that is read-only."""

import os
import shlex
import shutil
import subprocess
import unittest

from case import BARE_PATH, INSTALLED, FolderCase, bin_of, skip

FERROFLOW = bin_of(INSTALLED, "ferroflow")
PYTHON = bin_of(INSTALLED, "python")
ACTIVE = {"VIRTUAL_ENV": INSTALLED, "PATH": os.path.join(INSTALLED, "bin") + os.pathsep + BARE_PATH}


class Starts(FolderCase):
    def make_package(self):
        os.makedirs(self.path("flows", "small"))
        for folder in ("flows", os.path.join("flows", "small")):
            open(self.path(folder, "__init__.py"), "w").close()
        shutil.copy(self.path("tiny.py"), self.path("flows", "small", "first.py"))

    def test_tasks_are_forked(self):
        """With all that an installation adds to the engine's environment."""
        self.run_flow(PYTHON, "tiny.py", "run")
        told = self.run_command(FERROFLOW, "status", "-v").stdout
        self.assertRegex(told, r"attempts: +2: 2 forked\n")

    def test_as_a_module_of_python(self):
        self.make_package()
        self.run_flow(PYTHON, "-m", "flows.small.first", "run")

    def test_as_a_module_of_the_command(self):
        self.make_package()
        self.run_flow(FERROFLOW, "-m", "flows.small.first", "run")

    def test_a_module_that_is_not_there(self):
        done = self.fails(FERROFLOW, "-m", "flows.none", "run")
        self.assertIn("No module named", done.stderr)
        done = self.fails(FERROFLOW, "-m")
        self.assertIn("-m", done.stderr)
        self.assertIn("hint:", done.stderr)

    def fails(self, *command, **changes):
        done = self.outcome_of(*command, **changes)
        self.assertNotEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def test_by_its_first_line(self):
        self.run_flow("./tiny.py", "run", **ACTIVE)

    def test_a_file_without_an_ending(self):
        os.rename(self.path("tiny.py"), self.path("tiny"))
        self.run_flow(FERROFLOW, "./tiny", "run")

    def test_through_a_link_from_elsewhere(self):
        os.mkdir(self.path("elsewhere"))
        os.symlink(self.path("tiny.py"), self.path("elsewhere", "linked.py"))
        self.run_flow(FERROFLOW, os.path.join("elsewhere", "linked.py"), "run")
        self.run_flow(PYTHON, os.path.join("elsewhere", "linked.py"), "run")

    def test_a_flow_with_an_odd_name(self):
        for name in ("with blank.py", "naïve 流れ.py", "it's \"quoted\" $HOME.py"):
            with self.subTest(name):
                shutil.copy(self.path("tiny.py"), self.path(name))
                self.run_flow(FERROFLOW, name, "run")

    def test_the_c_locale(self):
        self.run_flow(FERROFLOW, self.path("tiny.py"), "run", LC_ALL="C", LANG=None)

    def test_an_interpreter_by_its_relative_path(self):
        os.symlink(INSTALLED, self.path("an env"))
        self.run_flow(FERROFLOW, "tiny.py", "run", FERROFLOW_PYTHON=os.path.join("an env", "bin", "python"))

    def test_an_interpreter_by_its_name(self):
        self.run_flow(FERROFLOW, "tiny.py", "run", FERROFLOW_PYTHON="python3", **ACTIVE)

    def test_an_interpreter_without_metaflow_is_passed_over(self):
        empty = self.make_environment("empty env")
        done = self.run_flow(FERROFLOW, "tiny.py", "run", VIRTUAL_ENV=empty)
        self.assertIn("python=" + PYTHON, done.stderr)

    def test_no_interpreter_with_metaflow(self):
        """What was looked at is named."""
        alone = shutil.copy(FERROFLOW, self.path("ferroflow"))
        empty = self.make_environment("empty env")
        done = self.fails(alone, "tiny.py", "run", VIRTUAL_ENV=empty, PATH=os.path.join(empty, "bin"))
        self.assertIn("tried: " + bin_of(empty, "python"), done.stderr)
        self.assertIn("hint: ", done.stderr)


class Home(FolderCase):
    def test_none(self):
        self.run_flow(FERROFLOW, "tiny.py", "run", HOME=None, USER=None)

    def test_one_that_is_not_there(self):
        self.run_flow(FERROFLOW, "tiny.py", "run", HOME="/nonexistent")

    def test_one_that_is_read_only(self):
        home = self.path("home")
        os.mkdir(home)
        command = " ".join(map(shlex.quote, (FERROFLOW, "tiny.py", "run")))
        if os.getuid() == 0:  # whom modes do not stop
            seal = "mount --bind home home && mount -o remount,bind,ro home"
            if subprocess.call(["unshare", "--mount", "true"], stderr=subprocess.DEVNULL) != 0:
                skip("a read-only home, because root may not mount here")
            start = ("unshare", "--mount", "sh", "-c", "%s && ! touch home/x && exec %s" % (seal, command))
        else:
            start = ("sh", "-c", "chmod a-w home && ! touch home/x && exec " + command)
        self.run_flow(*start, HOME=home)
        self.assertEqual(os.listdir(home), [])


if __name__ == "__main__":
    unittest.main()
