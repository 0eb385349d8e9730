"""Programs that end while their Runner waits for jobs."""

import asyncio
import os
import signal
import unittest

from metaflow import Runner
from support import BatchCase

PROGRAM = """
import sys
from metaflow import Runner
with Runner(sys.argv[1], show_output=True) as runner:
    print("status", runner.run(folder=sys.argv[2]).status, flush=True)
"""


class Jobs(BatchCase):
    def end(self, ending):
        self.copy("jobs.py")
        process = self.start(PROGRAM, "jobs.py", self.shared)
        self.wait_for_tasks()
        ending(process)
        process.wait()
        run = self.the_run("JobsFlow")
        self.assert_ferroflows("JobsFlow/" + run)
        self.assertEqual(self.assert_no_job_left(run, 2), {"FAILED"})

    def test_ctrl_c_at_the_terminal(self):
        self.end(lambda process: os.killpg(process.pid, signal.SIGINT))

    def test_the_program_is_killed(self):
        self.end(lambda process: process.kill())

    def test_the_program_is_killed_with_its_children(self):
        """As Jupyter kills a kernel."""
        self.end(lambda process: os.killpg(process.pid, signal.SIGKILL))


class NestedInAJob(BatchCase):
    def test_the_outer_run_is_killed(self):
        self.copy("counts.py")
        flow = self.copy("nests.py")

        async def main():
            run = await Runner(flow, decospecs=["batch"]).async_run(folder=self.shared)
            await asyncio.to_thread(self.wait_for_tasks)
            tasks = [open(os.path.join(self.shared, "task-%d" % i)).read() for i in (0, 1)]
            await asyncio.to_thread(run.command_obj.kill)
            await run.wait()
            return run, tasks

        run, tasks = asyncio.run(main())
        self.assertEqual(self.assert_no_job_left(run.run.id, 1), {"FAILED"})
        self.wait_for("what the job has started to end", lambda: not any(os.path.exists("/proc/" + pid) for pid in tasks))


if __name__ == "__main__":
    unittest.main()
