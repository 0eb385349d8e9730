"""Flows that the engine runs."""

import inspect
import os
import re
import sys
import unittest

import metaflow.graph
from support import FlowCase

HAS_SWITCH = "split-switch" in inspect.getsource(metaflow.graph)


class HandOver(FlowCase):
    def test_linear(self):
        result = self.run_flow("linear", "run", "--alpha", "7")
        self.assert_ok(result)
        self.assertIn("x is 7", result.out)
        self.assertNotIn("ferroflow:", result.err)
        hello, plan = self.messages(sender="host")[:2]
        self.assertEqual(hello["metaflow"], metaflow.__version__)
        plan = plan["plan"]
        self.assertEqual(plan["flow"], "LinearFlow")
        self.assertEqual(plan["params"].split("/")[:2], [plan["run"], "_parameters"])
        self.assertEqual([n["name"] for n in plan["graph"]["nodes"]], ["start", "end"])
        self.assertEqual(plan["limits"], {"max_workers": 16, "max_num_splits": 100, "max_log_size": 10 << 20})
        self.assertEqual(plan["datastore"]["kind"], "local")
        self.assertFalse(plan["console"]["color"])
        self.assertEqual(plan["steps"]["end"]["batch"], False)
        prepared = self.messages("prepared")[0]
        self.assertEqual(prepared["argv"][0], sys.executable)
        self.assertEqual(prepared["place"], {"kind": "local", "fresh": None})
        self.assertEqual(prepared["env"]["set"]["PYTHONUNBUFFERED"], "x")
        self.assertEqual(os.path.realpath(prepared["cwd"]), os.path.realpath(self.folder))

    def test_foreach(self):
        result = self.run_flow("foreach")
        self.assert_ok(result)
        self.assertIn("words: a1 a2 b1 b2 side", result.out)
        kinds = {n["name"]: n["kind"] for n in self.messages("plan")[0]["plan"]["graph"]["nodes"]}
        self.assertEqual((kinds["start"], kinds["outer"], kinds["join"]), ("split", "foreach", "join"))
        indices = [m["split_index"] for m in self.messages("prepare") if m["step"] == "work"]
        self.assertEqual(sorted(indices), [0, 0, 1, 1])

    @unittest.skipUnless(HAS_SWITCH, "this Metaflow has no switch")
    def test_switch(self):
        result = self.run_flow("switch")
        self.assert_ok(result)
        self.assertIn("count is 3", result.out)

    def test_decorators(self):
        result = self.run_flow("decorated")
        self.assert_ok(result)
        self.assertIn("hello vanilla True", result.out)
        steps = self.messages("plan")[0]["plan"]["steps"]
        self.assertEqual(steps["flaky"]["retry"], {"user": 2, "error": 0, "minutes_between": 0})
        self.assertEqual(steps["caught"]["retry"], {"user": 0, "error": 3, "minutes_between": 0})
        questions = {m["id"]: m for m in self.messages("prepare")}
        flaky = [m for m in self.messages("prepared") if questions[m["id"]]["step"] == "flaky"]
        self.assertEqual([m["argv"][m["argv"].index("--retry-count") + 1] for m in flaky], ["0", "1", "2"])
        self.assertEqual(len({m["task_id"] for m in flaky}), 1)
        self.assertEqual(flaky[0]["env"]["set"]["FLAVOUR"], "vanilla")
        self.assertIn("--local-config-file", flaky[0]["argv"])

    def test_with_decorator_from_the_command_line(self):
        self.assert_ok(self.run_flow("linear", "run", "--with", "retry:times=1,minutes_between_retries=4"))
        argv = self.messages("prepared")[0]["argv"]
        spec = argv[argv.index("--with") + 1]
        # Metaflow 2.16.0 drops all attributes but the first.
        minutes = int(re.match("retry:times=1,minutes_between_retries=([0-9])$", spec).group(1))
        steps = self.messages("plan")[0]["plan"]["steps"]
        self.assertEqual(steps["start"]["retry"], {"user": 1, "error": 0, "minutes_between": minutes})

    def test_input_paths_too_long_for_a_command_line(self):
        self.assert_ok(self.run_flow("linear", FAKE_ENGINE="many-inputs"))
        [inputs] = self.messages("inputs")
        self.assertGreater(len(inputs["content"]), 128 * 1024)
        self.assertLess(max(map(len, inputs["argv"])), 1024)
        self.assertNotIn("--input-paths", inputs["argv"])
        name = inputs["argv"][inputs["argv"].index("--input-paths-filename") + 1]
        self.assertFalse(os.path.exists(os.path.dirname(name)))

    def test_found_on_path(self):
        path = os.path.dirname(self.engine) + os.pathsep + os.environ["PATH"]
        self.assert_ok(self.run_flow("linear", FERROFLOW_BIN=None, PATH=path))
        self.assertTrue(self.messages("hello"))


class Endings(FlowCase):
    def test_task_fails(self):
        result = self.run_flow("decorated", FAIL_AT_END="1")
        self.assertEqual(result.status, 1, result.all)
        self.assertRegex(result.err, r"Step failure:\n\s+Step end \(task-id \d+\) failed\.")
        self.assertEqual(result.out.count("Workflow failed."), 1, result.all)
        self.assertNotIn("Terminating", result.all)
        self.assertNotIn("Done!", result.all)

    def test_hook_raises(self):
        result = self.run_flow("decorated", BROKEN_HOOK="1")
        self.assertEqual(result.status, 1, result.all)
        self.assertIn("in runtime_step_cli", result.err)
        self.assertIn("RuntimeError: this hook", result.err)
        self.assertEqual(result.out.count("Workflow failed."), 1, result.all)
        [refused] = self.messages("refused")
        self.assertEqual(refused["error"], "RuntimeError: this hook is broken")
        self.assertIn("Traceback", refused["traceback"])

    def test_internal_error(self):
        result = self.run_flow("linear", FAKE_ENGINE='finish={"kind":"internal_error","message":"oops"}')
        self.assertEqual(result.status, 1, result.all)
        self.assertRegex(result.err, r"Internal error:\n\s+oops")

    def test_end_not_reached(self):
        result = self.run_flow("linear", FAKE_ENGINE='finish={"kind":"end_not_reached"}')
        self.assertEqual(result.status, 1, result.all)
        self.assertRegex(result.err, r"The (terminal )?(step )?end (step )?was not successful by the end of flow")

    def test_engine_of_another_version(self):
        result = self.run_flow("linear", FAKE_ENGINE='finish={"kind":"rapture"}')
        self.assertEqual(result.status, 1, result.all)
        self.assertIn("an outcome of kind 'rapture'", result.err)


if __name__ == "__main__":
    unittest.main()
