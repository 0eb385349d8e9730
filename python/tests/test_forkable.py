"""When tasks may be forked, and what is told again in each."""

import io
import os
import subprocess
import sys
import tempfile
import types
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from ferroflow import early_exit, forkable, loading


def module_of(test, source):
    """A module with a file of this text."""
    folder = tempfile.TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    module = types.ModuleType("of_the_user")
    module.__file__ = os.path.join(folder.name, "of_the_user.py")
    with open(module.__file__, "w") as file:
        file.write(source)
    return module


class Sources(unittest.TestCase):
    def seeds(self, source):
        return forkable._seeding(module_of(self, source))

    def test_calls_that_seed(self):
        for call in ("random.seed(1)", "np.random.seed(1)", "torch.manual_seed(1)", "seed_everything(1)", "tf.random.set_seed(1)",
                     "x.setSeed(1)", "class A:\n  numpy.random.seed(1)", "if x:\n  random.seed()", "y = [seed(1)]"):
            self.assertIn("calls", self.seeds("\n" + call) or "", call)
        self.assertIn("in line 2", self.seeds("\nrandom.seed(1)"))

    def test_calls_that_do_not(self):
        for text in ("def f():\n  random.seed(1)", "SeedFlow()", "UnseededFlow()", "seed = 3", "f(seed=3)", "lambda: seed(1)",
                     "async def f():\n  seed(1)", "# random.seed(1)", "proceed()"):
            self.assertIsNone(self.seeds(text), text)

    def test_file_that_cannot_be_read(self):
        for source in ("seed(", "seed('\0')"):
            with self.assertRaises(forkable._Unreadable):
                self.seeds(source)


class CommandLine(unittest.TestCase):
    def test_who_looks_at_it(self):
        for source, looks in (("import sys\nif 'run' in sys.argv:\n  x = 1", True), ("def f():\n  return argv", True),
                              ("class F:\n  def step(self):\n    sys.argv", False), ("# sys.argv", False)):
            self.assertEqual(bool(forkable._command_line([module_of(self, source)])), looks, source)


@unittest.skipUnless(sys.platform == "linux", "forks are for Linux")
class Threads(unittest.TestCase):
    def reason(self, text):
        """Why a process that has run this may not fork for its threads."""
        path = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        code = "import sys; sys.path.insert(0, %r)\nfrom ferroflow import forkable\n%s\nprint(forkable._threads())" % (path, text)
        return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout.decode().strip()

    def test_those_of_openblas_do_not_count(self):
        self.assertEqual(self.reason("import numpy.linalg"), "None")

    def test_those_of_python(self):
        reason = self.reason("import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()")
        self.assertEqual(reason, "the flow's file has started a thread")

    def test_those_of_libraries(self):
        start = "import ctypes; c = ctypes.CDLL(None); t = ctypes.c_ulong(); c.pthread_create(ctypes.byref(t), None, c.pause, None)"
        self.assertEqual(self.reason(start), "a library has started a thread")


class Commands(unittest.TestCase):
    def test_only_the_same_interpreter_and_file(self):
        with mock.patch.object(sys, "argv", ["flow.py", "run"]):
            for argv in ([sys.executable, "-u", "flow.py", "step"], [sys.executable, "flow.py", "step"]):
                self.assertIsNone(forkable.changed_command(argv))
            for argv in (["python", "-u", "flow.py"], [sys.executable, "-O", "flow.py"], [sys.executable, "-u", "other.py"]):
                self.assertIn("it is started by", forkable.changed_command(argv))

    def test_variables(self):
        self.assertIsNone(forkable.changed_variables({"set": {"METAFLOW_RUN_ID": "1"}, "unset": []}))
        changed = forkable.changed_variables({"set": {"B": "1", "METAFLOW_RUN_ID": "1"}, "unset": ["A"]})
        self.assertEqual(changed, "its environment has other A B")


class Loading(unittest.TestCase):
    def watch(self, stdout, stderr):
        """The watch over two streams, which it leaves."""
        with mock.patch.multiple(sys, stdout=stdout, stderr=stderr):
            watch = loading._Watch()
            self.addCleanup(watch.end)
            return watch

    def streams(self):
        return [io.TextIOWrapper(io.BytesIO()) for _ in range(2)]

    def test_what_is_written_is_kept_in_order(self):
        out, err = self.streams()
        watch = self.watch(out, err)
        print("a", "b", file=out)
        err.write("c")
        write = out.write
        watch.end()
        out.write("d")
        write("e")
        self.assertEqual(watch.written, [(1, "a"), (1, " "), (1, "b"), (1, "\n"), (2, "c")])
        out.flush()
        self.assertEqual(out.buffer.getvalue(), b"a b\nde")

    def test_much_is_not_kept(self):
        out, err = self.streams()
        watch = self.watch(out, err)
        for _ in range(100):
            out.write("x" * 1000)
        self.assertTrue(watch.wrote_too_much())
        self.assertLess(len(watch.written), 70)

    def test_lines_from_which_modules_are_watched(self):
        watch = self.watch(*self.streams())
        self.assertIsNone(watch.first_line(os))
        self.assertEqual(watch.first_line(types.ModuleType("loaded_later")), 0)


class EarlyExit(unittest.TestCase):
    def test_codes(self):
        for told, code in ((None, 0), (0, 0), (3, 3), (True, 1), (-1, 255), (263, 7), ("text", None), ((1,), None)):
            self.assertEqual(early_exit._exit_code(told), code)

    def script(self, text):
        """Whether the end of this script counts as the end of the process."""
        head = "import sys; sys.path.insert(0, %r)\nfrom ferroflow.early_exit import _is_last_of_script as asked\n"
        with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
            file.write(head % os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + text)
            file.flush()
            return subprocess.run([sys.executable, file.name], stdout=subprocess.PIPE, check=True).stdout.decode().strip()

    def test_only_where_nothing_can_come_after(self):
        ask = "def ask():\n  print(asked())\n"
        self.assertEqual(self.script(ask + "if __name__ == '__main__':\n  ask()\n"), "True")
        self.assertEqual(self.script(ask + "ask()\n"), "True")
        self.assertEqual(self.script(ask + "if True:\n  ask()\nx = 1\n"), "False")
        self.assertEqual(self.script(ask + "if True:\n  ask()\nelse:\n  pass\n"), "False")
        self.assertEqual(self.script(ask + "try:\n  ask()\nfinally:\n  pass\n"), "False")
        self.assertEqual(self.script(ask + "ask()\nsorted([])\n"), "False")


if __name__ == "__main__":
    unittest.main()
