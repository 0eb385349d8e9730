"""A Runner inside a step on this machine, whose process is a fork."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import unittest

from metaflow import Runner
from support import FolderCase


class Nested(FolderCase):
    def setUp(self):
        super().setUp()
        self.copy("counts.py")
        self.flow = self.copy("nests.py")

    def test_a_runner_inside_a_step(self):
        with Runner(self.flow, show_output=False) as runner:
            done = runner.run()
            self.assertEqual(done.status, "successful", done.stdout + done.stderr)
        self.assertEqual(done.run["start"].task.data.total, 44)
        for run in (done.run.pathspec, done.run["start"].task.data.nested):
            self.assert_ferroflows(run)
            with open(os.path.join(self.root, ".ferroflow", run, "run.json")) as f:
                record = json.load(f)
            self.assertEqual(record["fresh_because"], {}, run)
            self.assertGreater(record["attempts"]["forked"], 0)
        self.assert_nothing_left()

    def test_the_outer_run_is_killed(self):
        async def main():
            run = await Runner(self.flow).async_run(folder=self.shared)
            await asyncio.to_thread(self.wait_for_tasks)
            await asyncio.to_thread(run.command_obj.kill)
            await run.wait()
            return run

        self.assertEqual(asyncio.run(main()).status, "failed")
        self.assert_nothing_left()

    def begin(self):
        process = subprocess.Popen(
            [sys.executable, self.flow, "run", "--folder", self.shared],
            stdin=subprocess.DEVNULL,
            stdout=open("out.txt", "w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        self.addCleanup(process.wait)
        self.wait_for_tasks()
        return process

    def test_ctrl_c_at_the_outer_run(self):
        process = self.begin()
        os.killpg(process.pid, signal.SIGINT)
        self.assertEqual(process.wait(), 1, self.output())
        self.assert_nothing_left()

    def test_the_death_of_the_outer_run(self):
        process = self.begin()
        process.kill()
        process.wait()
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()
