"""When tasks may be forked, and what is told again in each."""

import bz2
import contextlib
import io
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import types
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from ferroflow import at_import, early_exit, fork_server, forkable, loading


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
    """Reasons found in a file. Its streams are watched from line 3 on."""

    def reason(self, source, first_line=3):
        return at_import.first_reason([module_of(self, source)], lambda _module: first_line) or ""

    def table(self, expected, sources):
        for source in sources:
            self.assertIn(expected, self.reason(source), source)

    def test_calls_that_seed(self):
        self.table("calls", ("random.seed(1)", "np.random.seed(1)", "torch.manual_seed(1)", "seed_everything(1)",
                             "tf.random.set_seed(1)", "x.setSeed(1)", "class A:\n  numpy.random.seed(1)",
                             "if x:\n  random.seed()", "y = [seed(1)]", "def f(x=seed(1)):\n  pass"))
        self.assertIn("in line 2", self.reason("\nrandom.seed(1)"))

    def test_exit_handlers(self):
        self.table("has an exit handler", ("import atexit\natexit.register(f)", "import atexit as a\na.register(f)",
                                           "from atexit import register\n@register\ndef f():\n  pass",
                                           "import atexit\n@atexit.register\ndef f():\n  pass"))

    def test_what_each_task_is_to_have_for_itself(self):
        self.table("makes a temporary", ("import tempfile\nx = tempfile.mkdtemp()", "from tempfile import mkstemp as m\nm()",
                                         "import tempfile as t\nwith t.TemporaryDirectory() as x:\n  pass"))
        self.table("starts a process", ("import subprocess as sp\nsp.run(['x'])", "from subprocess import call\ncall('x')",
                                        "import os\nos.system('x')", "from os import popen\npopen('x').read()"))

    def test_output(self):
        self.table("writes past sys.stdout", ("import os\n\n\nos.write(1, b'')", "\n\n\nsys.stdout.buffer.write(b'')"))
        early = ("print()", "logging.warning('x')", "log.info('x')", "click.echo()", "sys.stderr.write('x')")
        self.table("may write before it imports metaflow, in line 1", early)
        for source in early:
            self.assertEqual(self.reason(source, 1), "")
            self.assertIn("in line 1", self.reason(source, None))
            self.assertEqual(self.reason(source, 0), "")

    def test_who_looks_at_the_command_line(self):
        self.table("looks at sys.argv", ("import sys\nif 'run' in sys.argv:\n  x = 1", "def f():\n  return argv"))

    def test_what_forbids_nothing(self):
        for text in ("def f():\n  random.seed(1)", "SeedFlow()", "UnseededFlow()", "seed = 3", "f(seed=3)", "lambda: seed(1)",
                     "async def f():\n  seed(1)", "# random.seed(1)", "proceed()", "class F:\n  def step(self):\n    sys.argv",
                     "# sys.argv", "import atexit", "def f():\n  atexit.register(g)", "registry.register(f)",
                     "import asyncio\nasyncio.run(main())", "from mine import run\nrun()", "import os\nos.getpid()",
                     "def f():\n  subprocess.run('x')", "buffer_write()", "@step\ndef start(self):\n  pass"):
            self.assertEqual(self.reason(text), "", text)

    def test_file_that_cannot_be_read(self):
        for source in ("seed(", "seed('\0')"):
            with self.assertRaises(at_import.Unreadable):
                self.reason(source)


class Objects(unittest.TestCase):
    """What is asked of objects must not change them, or fail for them."""

    class Proxy:
        """One that stands for what is not there yet."""

        @property
        def __class__(self):
            raise RuntimeError("woken too early")

    def test_stand_ins_are_not_woken(self):
        module = module_of(self, "")
        module.proxy = self.Proxy()
        self.assertIsNone(forkable._generator(module))
        module.own = random.Random()
        self.assertIn("own in of_the_user.py is a generator", forkable._generator(module))

    def test_modules_that_wait_to_be_loaded(self):
        class Lazy(types.ModuleType):
            def __getattribute__(self, name):
                raise RuntimeError("loaded too early: %s" % name)

        with mock.patch.dict(sys.modules, lazy=Lazy("lazy"), odd=object(), nothing=None):
            self.assertNotIn("lazy", [at_import.of_module(module)["__name__"] for module in at_import.users_modules()])

    def test_what_ends_with_the_process(self):
        self.assertIsNone(forkable._finalizers())
        with tempfile.TemporaryDirectory():
            self.assertIn("holds a TemporaryDirectory", forkable._finalizers())
        self.assertIsNone(forkable._finalizers())


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
    @unittest.skipUnless(sys.platform == "linux", "forks are for Linux")
    def test_options_of_the_interpreter(self):
        path = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
            file.write("import sys; sys.path.insert(0, %r)\nfrom ferroflow import forkable\nprint(forkable._program())" % path)
            file.flush()
            for options, reason in (([], "None"), (["-u"], "None"), (["-O"], "the interpreter was given options"),
                                    (["-W", "error"], "the interpreter was given options")):
                command = [sys.executable, *options, file.name, "run"]
                told = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode().strip()
                self.assertEqual(told, reason, command)

    def test_only_the_same_interpreter_and_file(self):
        with mock.patch.object(sys, "argv", ["flow.py", "run"]):
            for argv in ([sys.executable, "-u", "flow.py", "step"], [sys.executable, "flow.py", "step"]):
                self.assertIsNone(forkable.changed_command(argv))
            for argv in (["python", "-u", "flow.py"], [sys.executable, "-O", "flow.py"], [sys.executable, "-u", "other.py"]):
                self.assertIn("it is started by", forkable.changed_command(argv))

    def test_variables(self):
        self.assertIsNone(forkable.changed_variables({"set": {"METAFLOW_RUN_ID": "1"}, "unset": []}))
        self.assertIsNone(forkable.changed_variables({"set": {}, "unset": ["FERROFLOW_BOOTSTRAP_DIR"]}))
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


class Server(unittest.TestCase):
    """The server and who asks it."""

    def test_a_look_that_fails_is_a_reason(self):
        with mock.patch.object(fork_server, "_reason"), mock.patch.object(forkable, "obstacle", side_effect=KeyError("x")):
            fork_server.begin()
            self.assertEqual(fork_server._reason, "it could not be found out whether tasks can be forked: KeyError: 'x'")

    def test_no_process_can_be_made(self):
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        for descriptors, failing in ((4, True), (2, False)):
            ends = [os.dup(0) for _ in range(descriptors)]
            with mock.patch.object(fork_server, "_fork_process", side_effect=BlockingIOError) as fork:
                self.assertFalse(fork_server._fork(theirs, {}, list(ends), mock.Mock(statuses={})))
            self.assertEqual(fork.called, failing)
            self.assertEqual(ours.recv(4), struct.pack(">i", -1))
            for end in ends:
                with self.assertRaises(OSError):
                    os.fstat(end)

    def test_a_server_that_is_gone(self):
        ours, theirs = socket.socketpair()
        theirs.close()
        server = fork_server.ForkServer(0, ours)
        self.addCleanup(server.end)
        server.reap = mock.Mock()
        plan = {"steps": {"start": {"batch": None}}}
        with mock.patch.object(fork_server, "_server", server):
            self.assertEqual(fork_server.for_plan(plan), (None, "the fork server has ended: BrokenPipeError: [Errno 32] Broken pipe"))
        server.reap.assert_called_once()


class EarlyExit(unittest.TestCase):
    def flushed(self, text):
        """Whether a process that has run this may end early, as far as its objects go."""
        return self.told("import gc, io, bz2\ngc.collect(); gc.freeze()\n" + text, "_flushed()")

    def nothing_to_take_down(self, text):
        return self.told(text, "nothing_to_take_down()")

    def told(self, text, question):
        path = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        code = "import sys; sys.path.insert(0, %r)\nfrom ferroflow import early_exit\n%s\nprint(early_exit.%s)"
        code %= (path, text, question)
        return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout.decode().strip()

    def test_files_that_are_complete_when_they_are_flushed(self):
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            path = os.path.join(folder, "file")
            self.assertEqual(self.flushed("f = open(%r, 'w'); f.write('text')" % path), "True")
            self.assertEqual(stack.enter_context(open(path)).read(), "text")
            self.assertEqual(self.flushed("f = io.BytesIO()"), "True")
            self.assertEqual(self.flushed("f = open(%r)" % path), "True")

    def test_files_with_an_end_that_is_written_when_they_are_closed(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "file")
            self.assertEqual(self.flushed("f = bz2.open(%r, 'wt'); f.write('text')" % path), "False")
            self.assertEqual(self.flushed("class F(io.RawIOBase):\n  def writable(self): return True\nf = F()"), "False")
            with bz2.open(path, "rt") as file:
                self.assertEqual(file.read(), "text")  # the interpreter's usual end has written it

    def test_objects_that_want_to_be_taken_down(self):
        self.assertEqual(self.flushed("class A:\n  def __del__(self): pass\na = A()"), "False")

    def test_objects_that_all_tasks_have(self):
        self.assertEqual(self.nothing_to_take_down("import metaflow.task, boto3"), "True")
        self.assertEqual(self.nothing_to_take_down("class A:\n  def __del__(self): pass\na = A()"), "False")

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
