"""The parts that need no flow."""

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from types import SimpleNamespace

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from ferroflow import attach, disk, protocol, siblings
from ferroflow.errors import describe_status, one_line
from ferroflow.batch import _needs_shell, _through_bash_c, Inexpressible
from ferroflow.prepare import difference, kind_of
from ferroflow.protocol import Connection, Gone, encode
from ferroflow.signals import Forwarding, Interrupted


class Parts(unittest.TestCase):
    def test_difference(self):
        self.assertEqual(
            difference({"A": "1", "B": "2", "C": "3"}, {"A": "1", "B": "4", "D": "5"}),
            {"set": {"B": "4", "D": "5"}, "unset": ["C"]},
        )

    def test_what_the_launcher_was_asked_to_run(self):
        from unittest import mock

        from ferroflow.no_aws import _command_line

        def asked(spec):
            main = SimpleNamespace(__spec__=spec)
            with mock.patch.dict(sys.modules, __main__=main), mock.patch("sys.argv", ["flows/first.py", "run"]):
                return _command_line()

        self.assertEqual(asked(None), ["flows/first.py", "run"])
        self.assertEqual(asked(SimpleNamespace(name="flows.first")), ["-m", "flows.first", "run"])

    def test_place(self):
        from metaflow.plugins.aws.batch.batch_decorator import BatchDecorator

        class CompanyBatch(BatchDecorator):
            pass

        def kind(entrypoint, commands, deco=None):
            task = SimpleNamespace(entrypoint=["python", "flow.py"], decos=[deco] if deco else [])
            return kind_of(task, SimpleNamespace(entrypoint=entrypoint, commands=commands))[0]

        ours = [sys.executable, "flow.py"]
        self.assertEqual(kind(["python", "flow.py"], ["step"]), "local")
        self.assertEqual(kind(["conda/python", "flow.py"], ["step"]), "foreign")
        self.assertEqual(kind(ours, ["batch", "step"], BatchDecorator()), "batch")
        self.assertEqual(kind(["conda/python", "flow.py"], ["batch", "step"], BatchDecorator()), "foreign")
        self.assertEqual(kind(ours, ["batch", "step"], CompanyBatch()), "foreign")
        self.assertEqual(kind(ours, ["kubernetes", "step"]), "foreign")

    def test_executables(self):
        plain = ["python", "uv run --no-sync python", "/opt/env/bin/python3.11 -s"]
        shell = ["$MF_ARCH/x/bin/python -s", "A=b python", "~/bin/python", "exec python", "'a b'/python", "a;b", ""]
        self.assertEqual([e for e in plain + shell if _needs_shell(e)], shell)

    def test_commands_of_an_environment(self):
        """As they come out of `shlex.split('bash -c "%s"' % …)`."""
        for command, left in [
            ('DISABLE=1 python -m boot "Flow" id "s3"', "DISABLE=1 python -m boot Flow id s3"),
            ("echo 'a b'", "echo 'a b'"),
            (r"echo \"a b\" \$c", r'echo "a b" \$c'),
        ]:
            self.assertEqual(_through_bash_c(command), left)
        self.assertRaises(Inexpressible, _through_bash_c, 'echo "a b"')
        self.assertRaises(Inexpressible, _through_bash_c, 'echo "')

    def test_a_host_whose_run_was_taken_over_makes_no_tasks(self):
        root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, root)
        meta = os.path.join(root, "F", "1", "_meta")
        os.makedirs(meta)

        class Metadata:
            TYPE = "local"

            @classmethod
            def _make_path(cls, flow, run, create_on_absent):
                assert not create_on_absent
                return os.path.join(root, flow, run)

        def announce(pid):
            with open(os.path.join(meta, attach.HOST), "w") as file:
                file.write(str(pid))

        attach.check(Metadata(), "F", "1")
        announce(os.getpid())
        attach.check(Metadata(), "F", "1")
        announce(os.getppid())
        self.assertRaises(attach.TakenOver, attach.check, Metadata(), "F", "1")
        attach.check(Metadata(), "F", "2")

    def test_tasks_for_which_there_was_no_room_leave_nothing(self):
        root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, root)

        class Metadata:
            TYPE = "local"
            _task_id_seq = 3

            @classmethod
            def _make_path(cls, *parts, create_on_absent):
                assert not create_on_absent
                return os.path.join(root, *parts)

        metadata = Metadata()
        runtime = SimpleNamespace(_metadata=metadata, _flow=SimpleNamespace(name="F"), _run_id="1")
        folder = os.path.join(root, "F", "1", "a")
        os.makedirs(os.path.join(folder, "3", "_meta"))
        made = disk.TasksMade(runtime, "a")
        for number in ("4", "5"):
            os.makedirs(os.path.join(folder, number, "_meta"))
        metadata._task_id_seq = 6  # of the last one not even the folder
        self.assertTrue(made.undo())
        self.assertEqual((os.listdir(folder), metadata._task_id_seq), (["3"], 3))
        Metadata.TYPE = "service"
        self.assertFalse(disk.TasksMade(runtime, "a").undo())

    def test_no_room(self):
        try:
            try:
                raise OSError(errno.ENOSPC, "No space left on device")
            except OSError as error:
                raise RuntimeError("cannot write") from error
        except RuntimeError as error:
            self.assertTrue(disk.is_full(error))
        self.assertFalse(disk.is_full(OSError(errno.EACCES, "Permission denied")))

    def test_words(self):
        self.assertEqual(one_line(KeyboardInterrupt()), "KeyboardInterrupt")
        self.assertEqual(one_line(ValueError("a\nb \udce9")), "ValueError: a b ?")
        self.assertEqual(describe_status(-11), "was killed by signal 11 (SIGSEGV)")

    def test_text_that_is_not_unicode(self):
        self.assertRaises(UnicodeEncodeError, encode, {"argv": ["caf\udce9"]})

    def sockets(self):
        pair = socket.socketpair()
        for end in pair:
            self.addCleanup(end.close)
        return pair

    def test_end_of_stream(self):
        ours, theirs = self.sockets()
        connection = Connection(ours)
        theirs.sendall(b"\0\0\0\x09{")
        theirs.close()
        self.assertRaises(Gone, connection.receive)
        self.assertRaises(Gone, connection.send, {})

    def test_signals_before_and_in_the_greeting_end_it(self):
        ours, theirs = self.sockets()
        forwarding = Forwarding(Connection(ours))
        forwarding.start()
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            with self.assertRaises(Interrupted), forwarding.raising():
                self.fail("the greeting goes on")
            forwarding.received.clear()
            with self.assertRaises(Interrupted), forwarding.raising():
                os.kill(os.getpid(), signal.SIGTERM)
                self.fail("the greeting goes on")
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            forwarding.stop()
        self.assertEqual(forwarding.received, [signal.SIGTERM] * 2)
        self.assertEqual(signal.getsignal(signal.SIGTERM), signal.SIG_DFL)

    def test_signal_after_the_greeting_is_passed_on(self):
        ours, theirs = self.sockets()
        connection, engine = Connection(ours), Connection(theirs)
        forwarding = Forwarding(connection)
        forwarding.start()
        try:
            with forwarding.raising():
                connection.send({"type": "hello"})
            os.kill(os.getpid(), signal.SIGTERM)
            connection.open_to_signals()
        finally:
            forwarding.stop()
        self.assertEqual([engine.receive()["type"] for _ in range(2)], ["hello", "signal"])

    def test_installed_package_names_its_bootstraps(self):
        site = tempfile.mkdtemp(prefix="host-test-")
        self.addCleanup(shutil.rmtree, site)
        package = os.path.join(site, "ferroflow")
        ignored = shutil.ignore_patterns("_bootstrap")  # of an installation from this folder
        shutil.copytree(os.path.dirname(protocol.__file__), package, ignore=ignored)
        env = {k: v for k, v in os.environ.items() if k != "FERROFLOW_BOOTSTRAP_DIR"}
        code = "from ferroflow.launch import _environment as e; print(e().get('FERROFLOW_BOOTSTRAP_DIR'))"

        def named(**changes):
            answer = subprocess.check_output([sys.executable, "-c", code], cwd=site, env=dict(env, **changes))
            return answer.decode().strip()

        self.assertEqual(named(), "None")
        bootstraps = os.path.join(package, "_bootstrap")
        os.mkdir(bootstraps)
        self.assertEqual(os.path.realpath(named()), os.path.realpath(bootstraps))
        self.assertEqual(named(FERROFLOW_BOOTSTRAP_DIR="/elsewhere"), "/elsewhere")

    def test_siblings_at_the_same_time(self):
        begun, meeting = [], threading.Barrier(4)

        def new(item):
            begun.append(item)
            if item < 4:
                meeting.wait(60)  # none goes on before all four threads have come
            return -item

        self.assertEqual(siblings.each(new, range(9), 4), [(item, -item) for item in range(9)])
        self.assertEqual(sorted(begun), list(range(9)))
        self.assertEqual(siblings.each(new, range(4, 6), 1), [(4, -4), (5, -5)])
        # Nothing is begun after what fails.
        begun.clear()
        meeting = threading.Barrier(2)

        def fails(item):
            begun.append(item)
            meeting.wait(60)
            raise OSError(item)

        with self.assertRaises(OSError):
            siblings.each(fails, range(100), 2)
        self.assertEqual(sorted(begun), [0, 1])


if __name__ == "__main__":
    unittest.main()
