"""The code package: what upstream's would be, made by the real binary ($FERROFLOW_TEST_BIN)."""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import unittest
from importlib.util import cache_from_source

from fake_aws import FakeAws
from support import FAKE_ENGINE, HERE, PYTHON_DIR, FlowCase

sys.path.insert(0, PYTHON_DIR)

from ferroflow.package import Archive

BINARY = os.environ.get("FERROFLOW_TEST_BIN")
LOOK = os.path.join(HERE, "look_at_package.py")
BATCH = "batch:queue=queue,iam_role=arn:role"

FLOW = '''
from metaflow import Config, FlowSpec, config_expr, step
import policy

class SampleFlow(FlowSpec):
    config = Config("config", default_value='{"a": 1}')

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        print("done")

if __name__ == "__main__":
    SampleFlow()
'''


@unittest.skipUnless(BINARY, "FERROFLOW_TEST_BIN names no binary")
class PackageCase(FlowCase):
    def setUp(self):
        super().setUp()
        with open(self.engine, "w") as f:
            f.write('#!/bin/sh\n[ "$1" = package ] && exec "%s" "$@"\n' % BINARY)
            f.write('exec "%s" "%s" "$@"\n' % (sys.executable, FAKE_ENGINE))
        self.cache = os.path.join(self.folder, "cache")
        self.tree = os.path.join(self.folder, "tree")
        os.mkdir(self.tree)
        self.put("sample_flow.py", FLOW)
        outside = os.path.join(self.folder, "modules", "policy")
        os.makedirs(outside)
        with open(os.path.join(outside, "__init__.py"), "w") as f:
            f.write('METAFLOW_PACKAGE_POLICY = "include"\n')

    def put(self, name, content=""):
        path = os.path.join(self.tree, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        return path

    def environment(self, **changes):
        env = super().environment(**changes)
        env["PYTHONPATH"] = os.pathsep.join([env["PYTHONPATH"], os.path.join(self.folder, "modules")])
        env["XDG_CACHE_HOME"] = self.cache
        return env

    def python(self, *args, **changes):
        return self.wait(
            subprocess.Popen(
                [sys.executable] + list(args),
                cwd=self.folder,
                env=self.environment(**changes),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                universal_newlines=True,
            )
        )

    def flow(self, *args, **changes):
        return self.python(os.path.join(self.tree, "sample_flow.py"), "--no-pylint", *args, **changes)

    def look(self, *args, **changes):
        flow = os.path.join(self.tree, "sample_flow.py")
        result = self.python(LOOK, flow, "--no-pylint", *(args or ("run",)), **changes)
        lines = [line[5:] for line in result.out.splitlines() if line.startswith("LOOK ")]
        self.assertEqual(len(lines), 1, result.all)
        return json.loads(lines[0])

    def read(self, name):
        with open(os.path.join(self.folder, name), "rb") as f:
            return f.read()

    def cached(self):
        folder = os.path.join(self.folder, "cache", "ferroflow", "packages")
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


class Content(PackageCase):
    def fill(self):
        self.put("empty.py")
        self.put("upper.PY", "1")
        self.put("data.csv", "1,2\n" * 1000)
        self.put(".hidden/no.py", "no")
        self.put("__pycache__/no.py", "no")
        self.put("unwanted.txt", "no")
        self.put("ünï cødé.py", "unicode")
        self.put("/".join(["folder"] * 20) + "/deep.py", "more than 100 characters")
        self.put("/".join(["f" * 50] * 6) + "/deeper.py", "more than 255 characters")
        self.put("noise.csv", os.urandom(300000))
        self.put("big.csv", b"0123456789abcdef\n" * 200000)
        os.chmod(self.put("script.py", "#!"), 0o755)
        os.chmod(self.put("odd.py", "x"), 0o4640)
        os.symlink("script.py", os.path.join(self.tree, "link.py"))
        os.symlink(".", os.path.join(self.tree, "loop"))

    def test_the_tar_is_upstreams(self):
        self.fill()
        told = self.look("--package-suffixes", ".csv", "--config-value", "config", '{"b": 2}', "run")
        self.assertIsNone(told["error"])
        self.assertEqual((told["adopted"], told["before"], told["blob"]), (True, "_Later", "Archive"))
        self.assertEqual(told["class"], "metaflow.package.MetaflowPackage")
        ours, theirs = self.read("ours.tgz"), self.read("theirs.tgz")
        self.assertTrue(gzip.decompress(ours) == gzip.decompress(theirs))
        for name in ("ünï cødé.py", "data.csv", "link.py", "loop/script.py", ".mf_meta/INFO", ".mf_code/policy/__init__.py"):
            self.assertIn(name, told["members"])
        for name in (".hidden/no.py", "unwanted.txt", "__pycache__/no.py"):
            self.assertNotIn(name, told["members"])
        digest = hashlib.sha256(ours).hexdigest()
        self.assertEqual(told["code"], {"url": "s3://b/k", "sha256": digest, "size": len(ours)})
        self.assertEqual((told["length"], told["same_again"]), (len(ours), True))
        self.assertEqual(told["info"]["script"], "sample_flow.py")
        self.assertIn("Number of files: %d" % len(told["members"]), told["show"])
        self.check_tools()

    def check_tools(self):
        """GNU tar, gzip and Python's tarfile read it, and find what upstream's has."""
        trees = {}
        for name in ("ours", "theirs"):
            archive, target = os.path.join(self.folder, name + ".tgz"), os.path.join(self.folder, name)
            os.mkdir(target)
            subprocess.check_call(["gzip", "-t", archive])
            subprocess.check_call(["tar", "-xzf", archive, "-C", target])
            with tarfile.open(archive) as tar:
                trees[name] = [
                    (m.name, m.mode, m.uid, m.gid, m.uname, m.gname, m.mtime, m.type, tar.extractfile(m).read())
                    for m in tar.getmembers()
                ]
        self.assertEqual(trees["ours"], trees["theirs"])
        compared = subprocess.call(["diff", "-r", os.path.join(self.folder, "ours"), os.path.join(self.folder, "theirs")])
        self.assertEqual(compared, 0)
        mode = os.stat(os.path.join(self.folder, "ours", "script.py")).st_mode
        self.assertEqual(stat.S_IMODE(mode), 0o755)

    def test_names_that_are_no_text_stay_upstreams(self):
        with open(os.path.join(os.fsencode(self.tree), b"latin-\xe9.py"), "wb"):
            pass
        told = self.look()
        self.assertEqual((told["error"], told["blob"]), (None, "bytearray"))
        self.assertEqual(self.read("ours.tgz"), self.read("theirs.tgz"))
        self.assertEqual(told["code"]["sha256"], hashlib.sha256(self.read("ours.tgz")).hexdigest())

    def test_same_bytes_each_time(self):
        self.put("a.py", "a")
        first = self.look()["code"]
        os.utime(os.path.join(self.tree, "a.py"), (1, 1))
        shutil.rmtree(os.path.join(self.folder, "cache"))
        self.assertEqual(self.look()["code"], first)


class When(PackageCase):
    def test_a_local_run_makes_none(self):
        self.assert_ok(self.flow("run"))
        self.assertEqual(self.cached(), [])

    def test_made_at_once_for_batch(self):
        aws = FakeAws()
        self.addCleanup(aws.close)
        told = self.look("run", "--with", BATCH, METAFLOW_DEFAULT_DATASTORE="s3", LOOK="upload", **aws.environment())
        self.assertEqual((told["error"], told["before"]), (None, "Archive"))
        self.check_upload(aws, told)

    def check_upload(self, aws, told):
        """Once, where upstream puts it and as upstream marks it."""
        sha1 = hashlib.sha1(self.read("ours.tgz")).hexdigest()
        key = "bucket/some/prefix/SampleFlow/data/%s/%s" % (sha1[:2], sha1)
        self.assertEqual(told["uploads"], [["s3://" + key, sha1]] * 2)
        content, metadata = aws.objects[key]
        self.assertEqual(content, self.read("ours.tgz"))
        metadata = {name.lower(): value for name, value in metadata.items()}
        attributes = json.loads(metadata["x-amz-meta-metaflow-user-attributes"])
        self.assertEqual(attributes, {"cas_raw": True, "cas_version": 1})
        about_it = [command for command, path in aws.requests if path.split("?")[0].endswith(sha1)]
        self.assertEqual(about_it, ["HEAD", "PUT", "HEAD"])

    def test_bytecode_comes_with_it(self):
        """Beside the sources of the package, an interpreter of this version takes it for its own."""
        aws = FakeAws()
        self.addCleanup(aws.close)
        args, changes = ("run", "--with", BATCH), dict(aws.environment(), METAFLOW_DEFAULT_DATASTORE="s3")
        code = self.look(*args, **changes)["code"]
        self.assertEqual(self.look(*args, PYTHONOPTIMIZE="1", **changes)["code"], code)
        bytecode = code["bytecode"]
        key = bytecode["url"][len("s3://") :]
        content = aws.objects[key][0]
        self.assertEqual((hashlib.sha256(content).hexdigest(), len(content)), (bytecode["sha256"], bytecode["size"]))
        self.assertEqual([c for c, path in aws.requests if path.split("?")[0].endswith(key)], ["HEAD", "PUT", "HEAD"])
        folder = os.path.join(self.folder, "unpacked")
        for archive in (self.read("ours.tgz"), content):
            with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                tar.extractall(folder)
        root = os.path.join(folder, ".mf_code")
        for module in ("task", "cli_components/step_cmd"):
            compiled = cache_from_source(os.path.join(root, "metaflow", module + ".py"))
            self.assertTrue(os.path.exists(compiled), compiled)
        told = self.python("-B", "-v", "-c", "import metaflow", PYTHONPATH=root).all
        compiled = re.findall("code object from '(%s/metaflow/.*)'$" % root, told, re.MULTILINE)
        self.assertGreater(len(compiled), 150)
        self.assertEqual([path for path in compiled if not path.endswith(".pyc")], [])
        self.assertNotIn("bytecode", self.look(*args, FERROFLOW_BYTECODE="off", **changes)["code"])

    def test_damaged_cache_is_not_uploaded(self):
        aws = FakeAws()
        self.addCleanup(aws.close)
        args = ("run", "--with", BATCH)
        changes = dict(aws.environment(), METAFLOW_DEFAULT_DATASTORE="s3", LOOK="upload", FERROFLOW_BYTECODE="off")
        self.look(*args, **changes)
        (name,) = self.cached()
        path = os.path.join(self.folder, "cache", "ferroflow", "packages", name)
        with open(path, "r+b") as f:
            f.seek(100)
            f.write(b"damage")
        sha1, sha256, size = name[: -len(".tgz")].split("-")[1:]
        archive = Archive.opened({"path": path, "sha1": sha1, "sha256": sha256, "size": int(size)})
        self.addCleanup(archive.file.close)
        with self.assertRaisesRegex(Exception, "damaged"):
            archive._verify()
        self.assertFalse(os.path.exists(path))

    def test_client_reads_it(self):
        self.assert_ok(self.flow("run", "--run-id-file", "run-id", METAFLOW_FEAT_ALWAYS_UPLOAD_CODE_PACKAGE="1"))
        self.assertEqual(len(self.cached()), 1)
        code = (
            "from metaflow import Run, namespace; namespace(None)\n"
            "code = Run('SampleFlow/%s').code\n"
            "print(code.info['script'], b'class SampleFlow' in code.flowspec, len(code.tarball.getnames()))\n"
            "print(code.path)\n"
            "import os; folder = code.extract(); print(sorted(os.listdir(folder.name)))"
        ) % self.read("run-id").decode().strip()
        result = self.python("-c", code)
        self.assertEqual(result.status, 0, result.all)
        lines = result.out.splitlines()
        self.assertRegex(lines[0], r"^sample_flow.py True \d+$")
        self.assertRegex(lines[1], r"/\.metaflow/SampleFlow/data/../[0-9a-f]{40}$")
        self.assertIn("sample_flow.py", lines[2])
        with open(lines[1] + "_meta") as f:
            self.assertEqual(json.load(f), {"cas_raw": True, "cas_version": 1})

    def test_off_and_other_commands_are_upstreams(self):
        self.assertFalse(self.look(FERROFLOW="off")["adopted"])
        result = self.flow("package", "save", "saved.tgz")
        self.assertEqual(result.status, 0, result.all)
        self.assertEqual(self.cached(), [])
        for command in ("list", "info"):
            self.assertEqual(self.flow("package", command).status, 0)

    def test_without_the_binary_it_is_upstreams(self):
        told = self.look(FERROFLOW_BIN="/nowhere", FERROFLOW="auto")
        self.assertEqual((told["error"], told["adopted"]), (None, False))
        told = self.look(FERROFLOW_BIN="/bin/false", FERROFLOW="auto")
        self.assertEqual((told["error"], told["blob"]), (None, "bytearray"))
        told = self.look(FERROFLOW_BIN="/bin/false", FERROFLOW="require")
        self.assertIn("FERROFLOW=require", told["error"])

    def test_without_a_folder_to_write_to_it_is_upstreams(self):
        """As on a full disk. Python finds another folder for its own temporary files."""
        self.cache = "/proc/none"
        told = self.look(FERROFLOW="auto", TMPDIR="/proc/none")
        self.assertEqual((told["error"], told["blob"]), (None, "bytearray"))
        told = self.look(FERROFLOW="require", TMPDIR="/proc/none")
        self.assertIn("there is no folder to keep code packages in: /proc/none", told["error"])
        self.assertIn("FERROFLOW=require", told["error"])


class Refused(PackageCase):
    def test_dangling_link(self):
        os.symlink("nowhere", os.path.join(self.tree, "dangling.py"))
        told = self.look()
        self.assertIn("PackagingFailed: cannot read `%s" % os.path.join(self.tree, "dangling.py"), told["error"])
        self.assertIn("hint: it is a symbolic link to nothing", told["error"])
        # Nobody looks at the package of a local run.
        self.assert_ok(self.flow("run"))

    def test_told_at_once_for_batch(self):
        os.symlink("nowhere", os.path.join(self.tree, "dangling.py"))
        aws = FakeAws()
        self.addCleanup(aws.close)
        args = ("run", "--with", BATCH)
        result = self.python(
            LOOK, os.path.join(self.tree, "sample_flow.py"), "--no-pylint", *args,
            METAFLOW_DEFAULT_DATASTORE="s3", **aws.environment()
        )
        self.assertIn("Package creation/upload failed for SampleFlow: cannot read `", result.all)


if __name__ == "__main__":
    unittest.main()
