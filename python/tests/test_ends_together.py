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
