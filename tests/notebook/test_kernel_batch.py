"""A kernel of Jupyter's that ends while jobs run."""

import unittest

from support import BatchCase
from test_kernel import FLOW, IN_BACKGROUND, Kernel

WITH_JOBS = FLOW.replace("    @step\n    def work", "    @batch(cpu=1, memory=1024)\n    @step\n    def work").replace(
    "NBRunner", "NBRunner, batch"
)


class OnBatch(Kernel, BatchCase):
    FLOW = WITH_JOBS

    def see_jobs_end(self):
        run = self.the_run("CellFlow")
        self.assertEqual(self.assert_no_job_left(run, 2), {"FAILED"})
        self.assert_ferroflows("CellFlow/" + run)

    def test_shut_down(self):
        """The kernel sends its children SIGTERM more often than once."""
        self.outcome(self.begin(IN_BACKGROUND))
        self.manager.shutdown_kernel()
        self.see_jobs_end()


if __name__ == "__main__":
    unittest.main()
