"""Signals, and the death of either side."""

import os
import signal
import unittest

from support import FlowCase


class EndsTogether(FlowCase):
    def test_engine_dies(self):
        result = self.run_flow("linear", FAKE_ENGINE="die-at=end")
        self.assertEqual(result.status, 1, result.all)
        self.assertIn("The Ferroflow engine ended before the run", result.err)
        self.assertIn("was killed by signal 9 (SIGKILL)", result.err)
        self.assertIn("resume --origin-run-id", result.err)
        self.assertEqual(result.out.count("Workflow failed."), 1, result.all)

    def interrupt(self, signo):
        process = self.start("linear", "run", FAKE_ENGINE="wait-at=end")
        for line in process.stdout:
            if line == "waiting\n":
                break
        os.kill(process.pid, signo)
        result = self.wait(process)
        self.assertEqual(self.messages("signal"), [{"type": "signal", "signo": int(signo)}])
        self.assertEqual(result.out.count("Workflow interrupted."), 1, result.all)
        return result

    def test_sigterm(self):
        self.assertEqual(self.interrupt(signal.SIGTERM).status, -signal.SIGTERM)

    def test_sighup(self):
        self.assertEqual(self.interrupt(signal.SIGHUP).status, -signal.SIGHUP)

    def test_sigint(self):
        result = self.interrupt(signal.SIGINT)
        self.assertEqual(result.status, 1)
        self.assertIn("Aborted!", result.err)

    def test_sigint_in_a_hook(self):
        result = self.run_flow("decorated", BROKEN_HOOK="interrupted")
        self.assertEqual(result.status, 1, result.all)
        self.assertIn("Aborted!", result.err)
        kinds = [m["type"] for m in self.messages(sender="host")]
        self.assertEqual(kinds[-2:], ["signal", "refused"])

    def test_sigterm_in_a_hook_that_hangs(self):
        """The first lets the hook finish; the second does not wait for it."""
        process = self.start("decorated", "run", BROKEN_HOOK="hangs")
        for line in process.stdout:
            if line == "hanging\n":
                break
        os.kill(process.pid, signal.SIGTERM)
        self.wait_for_message("signal")
        self.assertEqual(self.messages("refused"), [])
        os.kill(process.pid, signal.SIGTERM)
        self.wait(process)
        [refused] = self.messages("refused")
        self.assertEqual(refused["error"], "KeyboardInterrupt")

    def test_no_task_is_made_after_a_signal(self):
        result = self.run_flow("linear", FAKE_ENGINE="ask-after-term")
        self.assertEqual(result.status, -signal.SIGTERM, result.all)
        self.assertEqual(len(self.messages("refused")), 1)
        steps = {os.path.basename(root) for root, _, _ in os.walk(os.path.join(self.folder, ".metaflow"))}
        self.assertEqual(steps & {"start", "end"}, {"start"})

    def end_an_engine_that_hangs(self, signo):
        process = self.start("linear", "run", FAKE_ENGINE="hang-at-start", FERROFLOW="auto")
        self.wait_for_message("plan")
        os.kill(process.pid, signo)
        result = self.wait(process)  # the engine holds the other end of the pipes
        self.assertNotIn("handing", result.err)
        return result

    def test_sigterm_before_the_first_task(self):
        result = self.end_an_engine_that_hangs(signal.SIGTERM)
        self.assertEqual(result.status, -signal.SIGTERM, result.all)

    def test_sigint_before_the_first_task(self):
        result = self.end_an_engine_that_hangs(signal.SIGINT)
        self.assertEqual(result.status, 1, result.all)
        self.assertIn("Aborted!", result.err)

    def test_host_dies(self):
        process = self.start("linear", "run", FAKE_ENGINE="wait-at=end")
        for line in process.stdout:
            if line == "waiting\n":
                break
        process.kill()
        # The engine holds the other end of these pipes: they end with it.
        self.wait(process)


if __name__ == "__main__":
    unittest.main()
