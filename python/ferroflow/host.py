"""The flow host: what becomes of the process in which Metaflow was about to schedule a run.

`take_over` stands in for `NativeRuntime.execute` (metaflow/runtime.py). It calls upstream's own `execute` all the same,
with the scheduling replaced: where upstream would poll its workers for the first time, we answer the engine's questions
until the run is over. So everything around it (the config file, `runtime_finished` hooks, exit hooks, "Done!", the
exceptions) is upstream's code in whatever version is installed. docs/host-protocol.md has the messages.
"""

import contextlib
import os
import signal
import sys
import traceback
from types import SimpleNamespace

from . import attach, disk, events, fork_server, runner
from .batch import BatchSteps
from .binary import locate
from .credentials import Credentials
from .errors import HandBack, bad_wish, engine_nonsense, one_line, required, unicode_only
from .launch import Engine, flush
from .plan import describe, end_step
from .prepare import Preparer
from .probe import check
from .protocol import Gone, encode


# More than the engine asks before it has answers.
MOST_OPEN_QUESTIONS = 8


def take_over(runtime, original_execute):
    """Runs `runtime` on the engine, or hands it back to `original_execute`."""
    wish = os.environ.get("FERROFLOW") or "auto"
    if wish not in ("auto", "off", "require"):
        raise bad_wish(wish)
    if wish == "off":
        fork_server.discard()
        return original_execute(runtime)
    try:
        host = Host.begin(runtime, original_execute)
    except HandBack as reason:
        if wish == "require":
            raise required(str(reason)) from None
        fork_server.discard()
        runner.forget()
        events.tell_hand_back(str(reason))
        print("ferroflow: handing this run back to Metaflow: %s" % reason, file=sys.stderr, flush=True)
        return original_execute(runtime)
    return host.execute(original_execute)


class _Ended(KeyboardInterrupt):
    """The run was ended by a signal other than SIGINT.

    A `KeyboardInterrupt`, because that is what upstream takes for an interruption when it tells hooks how a run ended.
    """

    def __init__(self, signo):
        super().__init__()
        self.signo = signo


class Host:
    """One run in the hands of the engine."""

    def __init__(self, runtime, runtime_module, engine, batch_steps, no_fork):
        self._runtime = runtime
        self._module = runtime_module
        self._engine = engine
        self._preparer = Preparer(runtime, runtime_module, engine.env, batch_steps, no_fork)
        self._credentials = Credentials(runtime)
        self._refused = {}
        self._without_room = []
        self._first_message = None

    @classmethod
    def begin(cls, runtime, original_execute):
        """Probes, plans, starts the engine. Raises `HandBack` while nothing has been done to the run."""
        from metaflow import __version__ as metaflow_version
        from metaflow import runtime as runtime_module

        try:
            check(runtime, original_execute, runtime_module)
            _check_text()
            batch_steps = BatchSteps(runtime)
            plan = describe(runtime, batch_steps)
        except HandBack:
            raise
        except Exception as error:
            raise HandBack("the flow could not be described: %s" % one_line(error)) from error
        server, reason = fork_server.for_plan(plan)
        engine = Engine(locate(), runtime._run_id, server)
        try:
            host = cls(runtime, runtime_module, engine, batch_steps, reason)
            host._first_message = engine.greet(plan, metaflow_version, host._tell_credentials)
        except (HandBack, ValueError) as error:
            engine.end()
            _take_signal(engine.signals.received)
            raise error if isinstance(error, HandBack) else HandBack(one_line(error)) from None
        return host

    def execute(self, original_execute):
        """Upstream's `execute` with the engine in the place of its scheduler."""
        try:
            with self._replaced():
                return original_execute(self._runtime)
        except _Ended as ended:
            signo = ended.signo
        finally:
            self._engine.end()
            self._preparer.close()
        return _die_by(signo)

    @contextlib.contextmanager
    def _replaced(self):
        """Replaces on this one runtime what would schedule: `_poll_workers` runs it all, `_killall` has nobody left.

        The progress report, printed after five minutes, is the engine's too.
        """
        runtime, module = self._runtime, self._module
        interval = getattr(module, "PROGRESS_INTERVAL", None)
        logger = runtime._logger

        def killall():
            runtime._logger = logger

        runtime._poll_workers, runtime._killall = self._run, killall
        module.PROGRESS_INTERVAL = float("inf")
        try:
            yield
        finally:
            runtime._logger = logger
            del runtime._poll_workers, runtime._killall
            module.PROGRESS_INTERVAL = interval

    def _run(self):
        """Serves the engine to the end of the run. Called by upstream's scheduling loop, once."""
        runtime = self._runtime
        runtime._run_queue = []  # the start step, which upstream queued: the engine schedules it
        try:
            outcome = self._serve()
        except Gone:
            raise self._engine.gone() from None
        finally:
            self._engine.end()
            flush()
        self._conclude(outcome)
        return []

    def _serve(self):
        message = self._first_message
        while True:
            kind = message.get("type")
            if kind in ("prepare", "prepare_siblings"):
                self._answer(message)
            elif kind == "credentials":
                self._tell_credentials(message)
            elif kind == "release":
                self._preparer.release(message["task"])
            elif kind == "finish":
                return message["outcome"]
            else:
                raise engine_nonsense("a message of type %r" % kind)
            try:
                message = self._engine.connection.receive()
            except ValueError as error:
                raise engine_nonsense("what is no message (%s)" % one_line(error)) from None

    def _tell_credentials(self, question):
        """`credentials`, or `refused`: the engine then waits, if it has others that still hold."""
        signals = self._engine.signals
        signals.in_hooks = True  # a person may be asked for a code
        try:
            answer = self._credentials.answer(question)
        except (Exception, KeyboardInterrupt) as error:
            answer = {"type": "refused", "id": question["id"], "error": one_line(error), "traceback": ""}
        finally:
            signals.in_hooks = False
        self._engine.connection.send(answer)

    def _answer(self, question):
        """`prepared` or `prepared_siblings`, or `refused` when a hook or the metadata provider raises, Ctrl-C included."""
        send = self._engine.connection.send
        made = None
        try:
            if self._engine.signals.received:
                raise _interruption(self._engine.signals.received[0])  # the run is about to end
            self._preparer.check_run()  # only then it is known which tasks there are
            made = disk.TasksMade(self._runtime, question["step"])
            send(self._prepare(question))
        except Gone:
            raise
        except BaseException as error:
            self._refused[question["id"]] = error
            text = unicode_only(traceback.format_exc())
            taken_over = isinstance(error, attach.TakenOver)
            answer = {"type": "refused", "id": question["id"], "error": one_line(error), "traceback": text}
            full = made is not None and disk.is_full(error) and made.undo()
            if full:
                self._forget_earlier(question["id"])
            send(dict(answer, taken_over=taken_over, full=full))

    def _forget_earlier(self, id_):
        """The engine asks again and again until there is room; what it may still name is one of its open questions."""
        self._without_room.append(id_)
        if len(self._without_room) > MOST_OPEN_QUESTIONS:
            self._refused.pop(self._without_room.pop(0), None)

    def _prepare(self, question):
        signals = self._engine.signals
        signals.in_hooks = True
        try:
            if question["type"] == "prepare_siblings":
                return self._preparer.prepare_siblings(question)
            return self._preparer.prepare(question)
        finally:
            signals.in_hooks = False
            flush()

    def _conclude(self, outcome):
        """Puts `outcome` where upstream's `execute` finds it: in `_finished`, or as an exception."""
        kind = outcome["kind"]
        if kind == "done":
            end = end_step(self._runtime._graph)
            # (step, foreach stack) before recursive steps came, with an iteration stack since.
            self._runtime._finished.update({(end, ()): end, (end, (), ()): end})
        elif kind != "end_not_reached":
            error = self._exception(kind, outcome)
            # The engine has printed "Workflow failed." and what follows; `_killall`, next, brings the logger back.
            self._runtime._logger = lambda *_args, **_kwargs: None
            raise error

    def _exception(self, kind, outcome):
        from metaflow.exception import MetaflowInternalError

        if kind == "task_failed":
            gone = SimpleNamespace(step=outcome["step"], task_id=outcome.get("task_id"))
            task = self._preparer.tasks.get(outcome["task"], gone)
            return self._module.TaskFailed(task, outcome.get("message") or "")
        if kind == "internal_error":
            return MetaflowInternalError(outcome["message"])
        if kind == "host_error" and outcome["id"] in self._refused:
            return self._refused[outcome["id"]]
        if kind == "interrupted":
            return _interruption(outcome["signo"])
        return engine_nonsense("an outcome of kind %r" % kind)


def _interruption(signo):
    return KeyboardInterrupt() if signo == signal.SIGINT else _Ended(signo)


def _check_text():
    """What goes into all messages must be text, which file names need not be."""
    try:
        encode([os.getcwd(), sys.argv])
    except UnicodeEncodeError:
        raise HandBack("its folder or its command line is not UTF-8") from None


def _take_signal(received):
    """Gives a signal that came in while the engine was starting to whom it would have met without us."""
    if received:
        flush()
        os.kill(os.getpid(), received[0])


def _die_by(signo):
    """Ends by `signo`, whose handler is the original one again; one that returns does not keep the run alive."""
    flush()
    os.kill(os.getpid(), signo)
    sys.exit(128 + signo)
