"""NBRunner in a kernel of Jupyter's, which is interrupted, restarted, shut down and killed as Jupyter does it."""

import os
import re
import signal
import unittest

from jupyter_client.manager import start_new_kernel
from support import DEADLINE_S, FolderCase

FLOW = """
import os, time
from metaflow import FlowSpec, NBRunner, Parameter, step

class CellFlow(FlowSpec):
    folder = Parameter("folder", default="")

    @step
    def start(self):
        self.items = [0, 1]
        self.next(self.work, foreach="items")

    @step
    def work(self):
        if self.folder:
            with open(os.path.join(self.folder, "task-%d" % self.input), "w") as f:
                f.write(str(os.getpid()))
            time.sleep(120)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.answer = 42
        self.next(self.end)

    @step
    def end(self):
        pass

"""


class Kernel(FolderCase):
    FLOW = FLOW

    def setUp(self):
        super().setUp()
        self.manager, self.client = start_new_kernel(
            kernel_name="python3", cwd=self.folder, env=dict(os.environ), startup_timeout=DEADLINE_S
        )
        self.addCleanup(self.client.stop_channels)
        self.addCleanup(self.kill_kernel)

    def kill_kernel(self):
        if self.manager.is_alive():
            self.manager.shutdown_kernel(now=True)

    def cell(self, code):
        """Runs a cell to its end: what it has printed, with the name of its exception."""
        return self.outcome(self.client.execute(code))

    def outcome(self, cell):
        said = []
        while True:
            message = self.client.get_iopub_msg(timeout=DEADLINE_S)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != cell:
                continue
            if kind == "stream":
                said.append(content["text"])
            elif kind == "error":
                said.append("%s: %s" % (content["ename"], content["evalue"]))
            elif kind == "status" and content["execution_state"] == "idle":
                return "".join(said)

    def begin(self, how):
        """Starts a cell that runs the flow, and waits until its tasks do."""
        cell = self.client.execute(self.FLOW + how % {"folder": repr(self.shared)})
        self.wait_for_tasks()
        return cell

    def left_over(self):
        kernel = getattr(self.manager.provisioner, "pid", None)
        return {pid: command for pid, command in super().left_over().items() if pid != kernel}

    def see_it_end(self):
        self.assert_nothing_left()
        (run,) = (name for name in os.listdir(".metaflow/CellFlow") if name.isdigit())
        self.assert_ferroflows("CellFlow/" + run)


BLOCKING = "run = NBRunner(CellFlow).nbrun(folder=%(folder)s)"
IN_BACKGROUND = "run = await NBRunner(CellFlow).async_run(folder=%(folder)s)"


class Cells(Kernel):
    def test_a_cell_runs_a_flow(self):
        said = self.cell(FLOW + "run = NBRunner(CellFlow).nbrun()\nprint('answer', run.data.answer, run.pathspec)")
        self.assertIn("answer 42", said)
        self.assert_ferroflows(re.search(r"answer 42 (\S+)", said).group(1))
        self.assertEqual([name for name in os.listdir(".") if name.endswith(".py")], [])
        self.assert_nothing_left()

    def test_an_interrupted_cell(self):
        cell = self.begin(BLOCKING)
        self.manager.interrupt_kernel()
        self.assertIn("Workflow interrupted.", self.outcome(cell))
        self.see_it_end()
        self.assertIn("2", self.cell("print(1 + 1)"))

    def test_a_cell_that_waits_is_interrupted(self):
        cell = self.begin(IN_BACKGROUND + "\nawait run.wait()\nprint('status', run.status)")
        self.manager.interrupt_kernel()
        self.outcome(cell)
        self.see_it_end()
        self.assertIn("2", self.cell("print(1 + 1)"))


class KernelEnds(Kernel):
    def test_restart(self):
        self.begin(BLOCKING)
        self.manager.restart_kernel(now=True)
        self.see_it_end()

    def test_shut_down(self):
        """In order: the kernel ends its children by SIGTERM, time and again, and by SIGKILL."""
        self.outcome(self.begin(IN_BACKGROUND))
        self.manager.shutdown_kernel()
        self.see_it_end()

    def test_shut_down_while_a_cell_runs(self):
        self.begin(BLOCKING)
        self.manager.shutdown_kernel()
        self.see_it_end()

    def test_the_kernel_alone_is_killed(self):
        """As the kernel of a machine without memory does it."""
        self.outcome(self.begin(IN_BACKGROUND))
        os.kill(self.manager.provisioner.pid, signal.SIGKILL)
        self.see_it_end()


if __name__ == "__main__":
    unittest.main()
