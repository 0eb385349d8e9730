"""A flow runs with Ferroflow as each installer leaves it: pip, pipx, uv, and pip in an environment of conda's layout."""

import glob
import os
import shutil
import sysconfig
import unittest

from case import BARE_PATH, INSTALLED, TOOLS, FolderCase, bin_of, link_packages, packages_of, wheel_of

WHEEL = wheel_of(os.uname().machine)
# The interpreter from which the environment was made.
BASE = os.path.realpath(bin_of(INSTALLED, "python"))


class Pip(FolderCase):
    def test_a_virtual_environment_with_a_path_that_people_have(self):
        env = self.make_environment("Meine Umgebung für Flüsse 流")
        self.install_wheel(bin_of(env, "python"))
        link_packages(packages_of(env))
        self.run_flow(bin_of(env, "ferroflow"), "tiny.py", "run", PATH=BARE_PATH)
        self.run_flow(bin_of(env, "python"), "tiny.py", "run", PATH=BARE_PATH)

    def test_the_active_environment_wins_over_the_one_with_the_command(self):
        env = self.make_environment()
        link_packages(packages_of(env))
        done = self.run_flow(bin_of(INSTALLED, "ferroflow"), "tiny.py", "run", VIRTUAL_ENV=env)
        self.assertIn("python=" + bin_of(env, "python"), done.stderr)

    def test_for_the_user(self):
        """`pip install --user`: the command is not beside the interpreter."""
        home = self.path("user base")
        self.install_for_user(home)
        self.run_flow(bin_of(home, "ferroflow"), "tiny.py", "run", PYTHONUSERBASE=home, PATH=with_base(BARE_PATH))
        self.run_flow(BASE, "tiny.py", "run", PYTHONUSERBASE=home, PATH=BARE_PATH)

    def install_for_user(self, home):
        pip = (bin_of(INSTALLED, "pip"), "--python", BASE, "install", "--quiet", "--no-deps", "--no-index")
        # Distributions forbid it for their own interpreter; here it goes into a folder of the test.
        self.run_command(*pip, "--user", WHEEL, PYTHONUSERBASE=home, PIP_BREAK_SYSTEM_PACKAGES="1")
        link_packages(packages_of(home))

    def test_into_a_folder(self):
        """`pip install --target`, for one who puts folders on PYTHONPATH."""
        folder = self.path("packages")
        pip = (bin_of(INSTALLED, "pip"), "install", "--quiet", "--no-deps", "--no-index")
        self.run_command(*pip, "--target", folder, WHEEL)
        link_packages(folder)
        path = {"PYTHONPATH": folder, "PATH": with_base(BARE_PATH)}
        self.run_flow(os.path.join(folder, "bin", "ferroflow"), "tiny.py", "run", **path)
        self.run_flow(BASE, "tiny.py", "run", **path)


class Conda(FolderCase):
    """The layout only: an interpreter of its own and no `pyvenv.cfg`. Channels of conda cannot be reached everywhere."""

    def setUp(self):
        super().setUp()
        self.prefix = self.path("conda", "envs", "flows")
        name = "python" + sysconfig.get_python_version()
        os.makedirs(os.path.join(self.prefix, "bin"))
        os.makedirs(os.path.join(self.prefix, "conda-meta"))
        shutil.copy2(BASE, bin_of(self.prefix, name))
        os.symlink(name, bin_of(self.prefix, "python"))
        library = os.path.join(self.prefix, "lib", name)
        os.makedirs(library)
        for path in glob.glob(os.path.join(sysconfig.get_path("stdlib"), "*")):
            if os.path.basename(path) not in ("site-packages", "dist-packages"):
                os.symlink(path, os.path.join(library, os.path.basename(path)))
        os.mkdir(os.path.join(library, "site-packages"))
        link_packages(packages_of(self.prefix))
        self.assertEqual(self.prefix_of_python(), self.prefix)

    def prefix_of_python(self):
        return self.run_command(bin_of(self.prefix, "python"), "-c", "print(__import__('sys').prefix)").stdout.strip()

    def test_installed_in_the_environment(self):
        self.install_wheel(bin_of(self.prefix, "python"))
        activated = {"CONDA_PREFIX": self.prefix, "PATH": os.path.join(self.prefix, "bin") + ":" + BARE_PATH}
        self.run_flow("ferroflow", "tiny.py", "run", **activated)
        self.run_flow("python", "tiny.py", "run", **activated)

    def test_installed_elsewhere(self):
        done = self.run_flow(bin_of(INSTALLED, "ferroflow"), "tiny.py", "run", CONDA_PREFIX=self.prefix)
        self.assertIn("python=" + bin_of(self.prefix, "python"), done.stderr)


class Pipx(FolderCase):
    def pipx(self, *args):
        self.places = {"PIPX_HOME": self.path("pi px"), "PIPX_BIN_DIR": self.path("bin")}
        python = {"PIPX_DEFAULT_PYTHON": BASE, "UV_PYTHON_DOWNLOADS": "never"}
        self.run_command(bin_of(TOOLS, "pipx"), *args, **self.places, **python)

    def test_with_metaflow_beside_it(self):
        self.pipx("install", "--pip-args=--no-deps --no-index", WHEEL)
        link_packages(packages_of(self.path("pi px", "venvs", "ferroflow")))
        self.run_flow(self.path("bin", "ferroflow"), "tiny.py", "run", PATH=BARE_PATH)

    def test_with_metaflow_in_the_active_environment(self):
        self.pipx("install", "--pip-args=--no-deps --no-index", WHEEL)
        env = self.make_environment()
        link_packages(packages_of(env))
        self.run_flow(self.path("bin", "ferroflow"), "tiny.py", "run", PATH=BARE_PATH, VIRTUAL_ENV=env)


class Uv(FolderCase):
    """uv takes packages from its cache, or fetches them."""

    def uv(self, *args, **changes):
        return self.run_command(bin_of(TOOLS, "uv"), *args, **self.settings(), **changes)

    def uv_flow(self, *args, **changes):
        return self.run_flow(bin_of(TOOLS, "uv"), *args, **self.settings(), **changes)

    def settings(self):
        cache = os.environ.get("UV_CACHE_DIR", os.path.join(TOOLS, "uv-cache"))
        return {"UV_CACHE_DIR": cache, "UV_PYTHON": BASE, "UV_PYTHON_DOWNLOADS": "never"}

    def project(self, *dependencies):
        with open(self.path("pyproject.toml"), "w") as file:
            file.write(
                "[project]\nname = 'flows'\nversion = '1'\nrequires-python = '>=3.8'\ndependencies = %r\n" % list(dependencies)
                + "[tool.uv.sources]\nferroflow = { path = %r }\n" % WHEEL
            )

    def test_in_a_project(self):
        self.project("ferroflow[metaflow]")
        for command in (("ferroflow", "tiny.py"), ("python", "tiny.py"), ("tiny.py",)):
            with self.subTest(command):
                self.uv_flow("run", *command, "run")

    def test_beside_a_project(self):
        """`uv run --with` lays an environment over that of the project."""
        self.project("metaflow")
        for command in ("ferroflow", "python"):
            with self.subTest(command):
                self.uv_flow("run", "--with", WHEEL, command, "tiny.py", "run")

    def test_as_a_tool(self):
        places = {"UV_TOOL_DIR": self.path("uv tools"), "UV_TOOL_BIN_DIR": self.path("bin")}
        self.uv("tool", "install", "--quiet", WHEEL, "--with", "metaflow", **places)
        self.run_flow(self.path("bin", "ferroflow"), "tiny.py", "run", PATH=BARE_PATH)

    def test_with_links_into_its_cache(self):
        """Then the command is a link, too, and nothing lies beside what it leads to."""
        env = self.make_environment()
        python = bin_of(env, "python")
        self.uv("pip", "install", "--quiet", "--link-mode", "symlink", "--python", python, WHEEL + "[metaflow]")
        self.run_flow(bin_of(env, "ferroflow"), "tiny.py", "run", PATH=BARE_PATH, VIRTUAL_ENV=env)


def with_base(path):
    return os.path.dirname(BASE) + os.pathsep + path


if __name__ == "__main__":
    unittest.main()
