"""Runs that stay with Metaflow's own scheduler."""

import os
import shutil
import sys
import unittest

from support import PYTHON_DIR, FlowCase


class HandBack(FlowCase):
    def test_resume(self):
        self.assert_ok(self.run_flow("linear"))
        os.remove(self.log)
        result = self.run_flow("linear", "resume", "end", FERROFLOW=None)
        self.assert_ok(result)
        self.assert_handed_back(result, "it resumes another run")
        self.assertEqual(self.messages(), [])
        result = self.run_flow("linear", "resume", "end")
        self.assertEqual(result.status, 1)
        self.assertIn("Ferroflow cannot run this flow", result.err)
        self.assertIn("It resumes another run. FERROFLOW=require forbids", result.err)

    def test_parallel(self):
        # The control task starts its mappers with the `python` of PATH.
        path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
        result = self.run_flow("parallel", "run", FERROFLOW="auto", PATH=path)
        self.assert_handed_back(result, "step start starts a @parallel step")
        self.assert_ok(result)
        self.assertEqual(self.messages(), [])

    def test_off(self):
        result = self.run_flow("linear", FERROFLOW="off")
        self.assert_ok(result)
        self.assertNotIn("ferroflow", result.err)
        self.assertEqual(self.messages(), [])

    def test_unknown_setting(self):
        result = self.run_flow("linear", FERROFLOW="of")
        self.assertEqual(result.status, 1)
        self.assertIn("FERROFLOW is 'of'; use auto, off or require", result.err)

    def test_no_binary(self):
        result = self.run_flow("linear", FERROFLOW="", FERROFLOW_BIN="/nonexistent/ferroflow")
        self.assert_ok(result)
        self.assert_handed_back(result, "FERROFLOW_BIN names /nonexistent/ferroflow, which is not a file")
        result = self.run_flow("linear", FERROFLOW_BIN="/nonexistent/ferroflow")
        self.assertEqual(result.status, 1)

    def test_binary_that_does_not_start(self):
        with open(self.engine, "wb") as f:
            f.write(b"\x7fELF for another machine")
        result = self.run_flow("linear", FERROFLOW="auto")
        self.assert_ok(result)
        self.assert_handed_back(result, "does not start: ")

    def test_engine_that_ends_before_the_first_task(self):
        result = self.run_flow("linear", FERROFLOW="auto", FAKE_ENGINE="exit-at-start")
        self.assert_ok(result)
        self.assert_handed_back(result, "exited with status 3 before the first task")

    def test_without_our_package(self):
        """As in a container, which has the hook from the code package, and nothing else of ours."""
        only_hook = os.path.join(self.folder, "only_hook")
        os.mkdir(only_hook)
        extensions = os.path.join(self.environment()["PYTHONPATH"], "metaflow_extensions")
        os.symlink(extensions, os.path.join(only_hook, "metaflow_extensions"))
        result = self.run_flow("linear", FERROFLOW="auto", FERROFLOW_BIN=None, PYTHONPATH=only_hook)
        self.assert_ok(result)
        self.assertNotIn("ferroflow", result.err)
        # The launcher was here, so its files should be, too.
        result = self.run_flow("linear", FERROFLOW="auto", PYTHONPATH=only_hook)
        self.assert_ok(result)
        self.assert_handed_back(result, "No module named 'ferroflow'")
        result = self.run_flow("linear", PYTHONPATH=only_hook)
        self.assertEqual(result.status, 1)
        self.assertIn("No module named 'ferroflow'", result.err)

    def test_a_part_of_our_package_is_missing(self):
        for missing in ("host.py", "batch.py"):
            folder = os.path.join(self.folder, "without-" + missing)
            shutil.copytree(PYTHON_DIR, folder, ignore=shutil.ignore_patterns("tests", "__pycache__", missing))
            result = self.run_flow("linear", FERROFLOW="auto", FERROFLOW_BIN=None, PYTHONPATH=folder)
            self.assert_ok(result)
            self.assert_handed_back(result, "No module named 'ferroflow.%s'" % missing[:-3])

    def test_folder_whose_name_is_not_text(self):
        self.folder = os.fsdecode(os.path.join(os.fsencode(self.folder), b"caf\xe9"))
        os.mkdir(self.folder)
        result = self.run_flow("linear", FERROFLOW="auto")
        self.assert_ok(result)
        self.assert_handed_back(result, "its folder or its command line is not UTF-8")


if __name__ == "__main__":
    unittest.main()
