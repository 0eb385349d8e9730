"""Metaflow's Deployer is Metaflow's own, whatever FERROFLOW says: what it deploys runs without a launcher."""

import io
import re
import tempfile
import unittest
from contextlib import redirect_stdout

from metaflow import Deployer
from support import FolderCase


class Deploys(FolderCase):
    def deploy(self, kind, wish, **options):
        """What it returns, or the text of its error, and what it has said, without times, folders and made-up names."""
        said = io.StringIO()
        with redirect_stdout(said):
            deployer = Deployer(self.copy("counts.py"), env={"FERROFLOW": wish})
            try:
                result = type(getattr(deployer, kind)().create(**options)).__name__
            except RuntimeError as error:
                result = str(error)
        self.assert_nothing_left()
        temporary = re.escape(tempfile.gettempdir())
        text = re.sub(r"\d{4}-\d\d-\d\d[T ][\d:.+]+|%s/tmp\w+" % temporary, "…", said.getvalue())
        for made_up in set(re.findall(r"(?<=pwd`/)[a-z]{10}", text)):
            text = text.replace(made_up, "…")
        return result, text

    def assert_same(self, kind, **options):
        upstream, ferroflow = (self.deploy(kind, wish, **options) for wish in ("off", "require"))
        self.assertEqual(upstream[0], ferroflow[0])
        self.assertEqual(sorted(upstream[1].splitlines()), sorted(ferroflow[1].splitlines()))
        return ferroflow

    def test_argo_workflows(self):
        result, said = self.assert_same("argo_workflows", only_json=True)
        self.assertEqual(result, "ArgoWorkflowsDeployedFlow")
        self.assertIn('"kind": "WorkflowTemplate"', said)

    def test_step_functions_which_the_stack_does_not_have(self):
        result, said = self.assert_same("step_functions")
        self.assertIn("Error deploying", result)
        self.assertIn("ListStateMachines", said)


if __name__ == "__main__":
    unittest.main()
