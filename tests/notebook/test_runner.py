"""Metaflow's Runner in this process, and in one that is ended."""

import asyncio
import os
import signal
import unittest

from metaflow import Runner
from support import FolderCase

# Waits for a run in the way that a script does.
BLOCKING = """
import sys
from metaflow import Runner
with Runner("counts.py", show_output=True) as runner:
    done = runner.run(folder=sys.argv[1])
    print("status", done.status, flush=True)
"""

# Has a run going on, as cells of a notebook do.
IN_BACKGROUND = """
import asyncio, sys
from metaflow import Runner
async def main():
    run = await Runner("counts.py").async_run(folder=sys.argv[1])
    await run.wait()
asyncio.run(main())
"""


class Blocking(FolderCase):
    def test_a_run(self):
        with Runner(self.copy("counts.py"), show_output=False) as runner:
            done = runner.run(number=3, max_workers=1, tags=["from:runner"])
            self.assertEqual((done.status, done.returncode), ("successful", 0))
            self.assertTrue(done.run.successful)
            self.assertIn("from:runner", done.run.user_tags)
            self.assertEqual(done.run.data.total, 33)
            for text in ("Workflow starting", "to stdout: 30", "to stderr: 30", "Done!"):
                self.assertIn(text, done.stdout)
            self.assertIn("executing CountsFlow", done.stderr)
        self.assert_ferroflows(done.run.pathspec)
        self.assert_nothing_left()

    def test_a_run_that_fails(self):
        with Runner(self.copy("counts.py"), show_output=False) as runner:
            done = runner.run(number=-1)
            self.assertEqual((done.status, done.returncode), ("failed", 1))
            self.assertFalse(done.run.successful)
            self.assertIn("less than nothing", done.stdout)
            self.assertIn("Workflow failed.", done.stdout)
        self.assert_ferroflows(done.run.pathspec)
        self.assert_nothing_left()

    def test_what_is_no_flow_option(self):
        with self.assertRaises(Exception) as raised:
            Runner(self.copy("counts.py"), show_output=False).run(nonsense=1)
        self.assertIn("nonsense", str(raised.exception))
        self.assert_nothing_left()


class InBackground(FolderCase):
    def test_a_log_is_streamed(self):
        async def main():
            run = await Runner(self.copy("counts.py")).async_run(number=2)
            lines = {
                stream: [line async for _, line in run.stream_log(stream)] for stream in ("stdout", "stderr")
            }
            await run.wait()
            return run, lines

        run, lines = asyncio.run(main())
        self.assertEqual(run.status, "successful")
        self.assertTrue(any(line.endswith("to stderr: 20") for line in lines["stdout"]), lines)
        self.assertTrue(lines["stdout"][-1].endswith("Done!"), lines)
        self.assertTrue(any("executing CountsFlow" in line for line in lines["stderr"]), lines)
        self.assert_ferroflows(run.run.pathspec)
        self.assert_nothing_left()

    def test_three_at_once(self):
        flow, other = self.copy("counts.py"), self.copy("branch3.py", "flows")

        async def main():
            runs = await asyncio.gather(
                Runner(flow).async_run(number=1), Runner(flow).async_run(number=2), Runner(other).async_run()
            )
            return await asyncio.gather(*(run.wait() for run in runs))

        runs = asyncio.run(main())
        self.assertEqual([run.status for run in runs], ["successful"] * 3)
        self.assertEqual([run.run.data.total for run in runs[:2]], [11, 22])
        self.assertEqual(len({run.run.pathspec for run in runs}), 3)
        for run in runs:
            self.assert_ferroflows(run.run.pathspec)
        self.assert_nothing_left()

    def end(self, ending, **parameters):
        """Runs until both tasks wait, and lets `ending` end it."""

        async def main():
            run = await Runner(self.copy("counts.py")).async_run(folder=self.shared, **parameters)
            await asyncio.to_thread(self.wait_for_tasks)
            await ending(run)
            await run.wait()
            return run

        run = asyncio.run(main())
        self.assert_ferroflows(run.run.pathspec)
        self.assert_nothing_left()
        return run

    def test_a_run_is_killed(self):
        """What Metaflow calls the end of a run: SIGTERM, and two seconds later SIGKILL, to it and its children."""

        async def kill(run):
            await asyncio.to_thread(run.command_obj.kill)

        self.assertEqual(self.end(kill).status, "failed")

    def test_deaf_tasks_are_killed(self):
        async def kill(run):
            await asyncio.to_thread(run.command_obj.kill)

        self.assertEqual(self.end(kill, deaf=True).status, "failed")

    def test_a_run_takes_too_long(self):
        async def wait(run):
            await run.wait(timeout=0.1)

        self.assertEqual(self.end(wait).status, "timeout")


class Ended(FolderCase):
    """What is left of a program that is ended while its flow runs."""

    def begin(self, text):
        self.copy("counts.py")
        process = self.start(text, self.shared)
        self.wait_for_tasks()
        return process

    def see_it_end(self, process):
        process.wait()
        self.assert_nothing_left()
        (run,) = (name for name in os.listdir(".metaflow/CountsFlow") if name.isdigit())
        self.assert_ferroflows("CountsFlow/" + run)
        return process.returncode

    def test_ctrl_c_at_the_terminal(self):
        process = self.begin(BLOCKING)
        os.killpg(process.pid, signal.SIGINT)
        self.see_it_end(process)
        self.assertIn("Workflow interrupted.", self.output())
        self.assertIn("status failed", self.output())

    def test_an_interrupt_of_the_program_alone(self):
        process = self.begin(BLOCKING)
        os.kill(process.pid, signal.SIGINT)
        self.see_it_end(process)
        self.assertIn("status failed", self.output())

    def test_an_interrupt_of_a_loop(self):
        process = self.begin(IN_BACKGROUND)
        os.killpg(process.pid, signal.SIGINT)
        self.see_it_end(process)

    def test_sigkill(self):
        process = self.begin(BLOCKING)
        process.kill()
        self.assertEqual(self.see_it_end(process), -signal.SIGKILL)

    def test_sigkill_in_background(self):
        process = self.begin(IN_BACKGROUND)
        process.kill()
        self.assertEqual(self.see_it_end(process), -signal.SIGKILL)

    def test_sigterm(self):
        process = self.begin(IN_BACKGROUND)
        process.terminate()
        self.assertEqual(self.see_it_end(process), -signal.SIGTERM)

    def test_sigkill_before_the_run_has_an_id(self):
        self.copy("counts.py")
        process = self.start(BLOCKING, self.shared)
        self.wait_for("the flow to be started", lambda: any(" run " in line for line in self.left_over().values()))
        process.kill()
        process.wait()
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()
