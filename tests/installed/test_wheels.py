"""The wheels that are given to others: what is in them and which systems they are for; and that both run.

What is for the other architecture runs under QEMU's user emulation, with Debian's C library for it (`qemu-user-static` and
`libc6-arm64-cross` or `libc6-amd64-cross`). Python stays this machine's.
"""

import glob
import json
import os
import re
import shutil
import struct
import unittest
import zipfile

from case import INSTALLED, SOURCE_WHEEL, FolderCase, bin_of, link_packages, packages_of, skip, wheel_of

HERE = os.uname().machine
(OTHER,) = {"x86_64", "aarch64"} - {HERE}
# e_machine of the ELF header
MACHINES = {"x86_64": 62, "aarch64": 183}
GLIBC = (2, 17)
EMULATOR = shutil.which("qemu-%s-static" % OTHER) or shutil.which("qemu-" + OTHER)
LIBRARIES = "/usr/%s-linux-gnu" % OTHER

START = """
#include <fcntl.h>
#include <unistd.h>
int main(int count, char **args) {
    close(open(%s, O_WRONLY | O_CREAT, 0600));
    char *command[count + 4];
    command[0] = %s; command[1] = "-L"; command[2] = %s; command[3] = %s;
    for (int i = 1; i <= count; i++) command[i + 3] = args[i];
    execv(command[0], command);
    return 127;
}
"""


class Content(unittest.TestCase):
    def setUp(self):
        self.wheels = {arch: zipfile.ZipFile(wheel_of(arch)) for arch in MACHINES}
        for wheel in self.wheels.values():
            self.addCleanup(wheel.close)

    def files(self, ending):
        """By architecture of the wheel: the file, and what the archive says of it."""
        for arch, wheel in self.wheels.items():
            (info,) = (info for info in wheel.infolist() if info.filename.endswith(ending))
            yield arch, wheel.read(info), info

    def check_program(self, arch, content, info):
        self.assertEqual(content[:4], b"\x7fELF", info.filename)
        self.assertEqual(struct.unpack_from("<H", content, 18), (MACHINES[arch],), info.filename)
        self.assertTrue(info.external_attr >> 16 & 0o111, info.filename)

    def test_the_tags(self):
        for arch, text, _ in self.files(".dist-info/WHEEL"):
            tags = re.findall(r"^Tag: (.*)$", text.decode(), re.MULTILINE)
            expected = ["py3-none-manylinux2014_" + arch, "py3-none-manylinux_%d_%d_%s" % (GLIBC + (arch,))]
            self.assertEqual(sorted(tags), expected)

    def test_the_program(self):
        for arch, content, info in self.files(".data/scripts/ferroflow"):
            self.check_program(arch, content, info)
            versions = re.findall(rb"GLIBC_(\d+)\.(\d+)", content)
            newest = max((int(major), int(minor)) for major, minor in versions)
            self.assertLessEqual(newest, GLIBC, arch)

    def test_each_has_both_bootstraps_which_need_no_library(self):
        for bootstrap in MACHINES:
            ending = "/_bootstrap/linux-%s/ferroflow-bootstrap" % bootstrap
            for _, content, info in self.files(ending):
                self.check_program(bootstrap, content, info)
                # An interpreter in the program header means that it is linked dynamically.
                self.assertNotIn(b"ld-linux", content)

    def test_metaflow_sees_the_extension(self):
        for _, text, _ in self.files(".dist-info/top_level.txt"):
            self.assertIn("metaflow_extensions", text.decode().split())


class FromSource(FolderCase):
    """What `pip install .` makes: for this machine, with its bootstrap at least."""

    def test_it_has_the_bootstrap_of_this_machine(self):
        with zipfile.ZipFile(SOURCE_WHEEL) as wheel:
            self.assertIn("ferroflow/_bootstrap/linux-%s/ferroflow-bootstrap" % HERE, wheel.namelist())

    def test_it_runs_a_flow(self):
        env = self.make_environment()
        self.install_wheel(bin_of(env, "python"), SOURCE_WHEEL)
        link_packages(packages_of(env))
        self.run_flow(bin_of(env, "ferroflow"), "tiny.py", "run")


class OnBatch(FolderCase):
    """The embedded stack gives the bootstrap to its jobs as Batch does: by the stub, from the datastore."""

    def run_on_batch(self, **changes):
        self.addCleanup(self.run_command, bin_of(INSTALLED, "ferroflow"), "dev", "down")
        command = (bin_of(INSTALLED, "ferroflow"), "tiny.py", "run", "--with", "batch")
        return self.run_flow(*command, FERROFLOW_DEV="always", **changes)

    def test_the_installed_bootstrap(self):
        self.run_on_batch()


class OtherArchitecture(OnBatch):
    def setUp(self):
        if not EMULATOR:
            skip("there is no QEMU for %s (Debian: qemu-user-static)" % OTHER)
        super().setUp()
        with zipfile.ZipFile(wheel_of(OTHER)) as wheel:
            wheel.extractall(self.path("wheel"))

    def emulated(self, at, *path):
        """A program at `at` that is one of the wheel, under emulation: no script, which could not be run from memory."""
        (program,) = glob.glob(os.path.join(glob.escape(self.path("wheel")), *path))
        os.chmod(program, 0o755)
        os.makedirs(os.path.dirname(at), exist_ok=True)
        with open(at + ".c", "w") as file:
            file.write(START % tuple(map(_in_c, (at + ".used", EMULATOR, LIBRARIES, program))))
        self.run_command("cc", "-static", "-o", at, at + ".c")

    def test_the_program_runs_a_flow(self):
        if not os.path.isdir(LIBRARIES):
            skip("there is no C library for %s in %s" % (OTHER, LIBRARIES))
        program = self.path("ferroflow")
        self.emulated(program, "*.data", "scripts", "ferroflow")
        told = self.run_command(program, "--version").stdout
        installed = self.run_command(bin_of(INSTALLED, "ferroflow"), "--version").stdout
        self.assertEqual(told.split("\n")[:2], installed.split("\n")[:2])
        self.assertRegex(told, r"target: +%s-" % OTHER)
        self.run_flow(bin_of(INSTALLED, "python"), "tiny.py", "run", FERROFLOW_BIN=program)
        self.assertTrue(os.path.exists(program + ".used"))

    def test_the_installed_bootstrap(self):
        """Under the name of this machine's, because that is what the jobs ask for."""
        folder = self.path("bootstraps")
        bootstrap = os.path.join(folder, "linux-" + HERE, "ferroflow-bootstrap")
        self.emulated(bootstrap, "ferroflow", "_bootstrap", "linux-" + OTHER, "ferroflow-bootstrap")
        self.run_on_batch(FERROFLOW_BOOTSTRAP_DIR=folder)
        self.assertTrue(os.path.exists(bootstrap + ".used"))


def _in_c(text):
    return json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    unittest.main()
