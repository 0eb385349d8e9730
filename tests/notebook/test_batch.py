"""Metaflow's Runner with steps on AWS Batch, on an embedded stack of the test's own: no job outlives its run."""

import asyncio
import signal
import unittest

from metaflow import Runner
from support import BatchCase


class Jobs(BatchCase):
    def test_a_run(self):
        with Runner(self.copy("jobs.py"), show_output=False) as runner:
            done = runner.run(number=3)
            self.assertEqual(done.status, "successful", done.stdout)
        self.assertEqual(done.run.data.total, 33)
        self.assert_ferroflows(done.run.pathspec)
        self.assertEqual(self.assert_no_job_left(done.run.id, 2), {"SUCCEEDED"})

    def test_jobs_take_longer_to_end_than_the_runner_waits(self):
        """It kills the flow's process after two seconds, and all its children."""

        async def main():
            run = await Runner(self.copy("jobs.py")).async_run(folder=self.shared, deaf=True)
            await asyncio.to_thread(self.wait_for_tasks)
            await asyncio.to_thread(run.command_obj.kill)
            await run.wait()
            return run

        run = asyncio.run(main())
        self.assertEqual(run.status, "failed")
        self.assert_ferroflows(run.run.pathspec)
        self.assertEqual(self.assert_no_job_left(run.run.id, 2), {"FAILED"})
        self.assertEqual(run.returncode, -signal.SIGKILL)


class NestedInAJob(BatchCase):
    def setUp(self):
        super().setUp()
        self.copy("counts.py")
        self.flow = self.copy("nests.py")

    def test_a_runner_inside_a_job(self):
        with Runner(self.flow, show_output=False, decospecs=["batch"]) as runner:
            done = runner.run()
            self.assertEqual(done.status, "successful", done.stdout + done.stderr)
        self.assertEqual(done.run["start"].task.data.total, 44)
        self.assert_ferroflows(done.run.pathspec)
        self.assertEqual(self.assert_no_job_left(done.run.id, 2), {"SUCCEEDED"})


if __name__ == "__main__":
    unittest.main()
