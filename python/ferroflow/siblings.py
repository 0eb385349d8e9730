"""Siblings of a foreach, prepared together.

Two of them go the whole way through upstream's code (`prepare.py`). Where what came of these differs in nothing but their
task ids and split indices, the others follow from it, and are only made known to the metadata provider, as upstream does
it. A wide foreach otherwise waits for milliseconds of Python per task, and its tasks do not come together into one array.

That nothing else differs can be told only of steps whose decorators are upstream's own, with hooks that are known.
"""

import contextlib
import copy
import json
import os
import threading

# Hooks of decorators that run for each task here, and of which is known that they look at nothing but the step:
# runtime_step_cli of BatchDecorator puts the options of @batch, and the code package, into the command line;
# runtime_task_created uploads that package once. EnvironmentDecorator's sets variables.
_KNOWN_HOOKS = {
    "runtime_task_created": {"metaflow.plugins.aws.batch.batch_decorator"},
    "runtime_step_cli": {
        "metaflow.plugins.aws.batch.batch_decorator",
        "metaflow.plugins.environment_decorator",
        "metaflow.plugins.parallel_decorator",
    },
}

# Whose values may differ, in `place`, and what may be there.
_DIFFERING = ("command_options", "parameters")
_DIFFERING_IN_CONTAINER = ("command", "environment")

# Of upstream's session with a metadata service (plugins/metadata_providers/service.py, `pool_maxsize`).
_CONNECTIONS = 20


class Different(Exception):
    """Siblings differ in more than what is known; the text says in what."""


def alike(decorators):
    """Whether no hook of these decorators is one that could treat siblings differently."""
    return all(_is_known(deco, hook, modules) for deco in decorators for hook, modules in _KNOWN_HOOKS.items())


def _is_known(deco, hook, modules):
    from metaflow.decorators import StepDecorator

    if getattr(deco, hook + "_ctx", None) is not None:
        return False
    # An instance may have a hook of its own, too.
    function = getattr(getattr(deco, hook), "__func__", None)
    return function is getattr(StepDecorator, hook) or getattr(function, "__module__", None) in modules


def differences(first, second):
    """Where the places of two siblings differ, as `[[path…], "task_id" or "split_index"]`.

    `first` and `second` are (`place`, task id, split index).
    """
    found = []
    _compare(first[0], second[0], (), _Own(first, second), found)
    return found


class _Own:
    """What is a sibling's own, as text."""

    def __init__(self, first, second):
        self._names = {
            "task_id": (str(first[1]), str(second[1])),
            "split_index": (str(first[2]), str(second[2])),
        }
        if self._names["task_id"] == self._names["split_index"]:
            raise Different("their task ids are their split indices")

    def name(self, one, other):
        """Which of these two values are, or None."""
        for name, pair in self._names.items():
            if pair == (one, other):
                return name
        return None


def _compare(one, other, path, own, found):
    if one == other:
        return
    if isinstance(one, dict) and isinstance(other, dict) and list(one) == list(other):
        for key in one:
            _compare(one[key], other[key], path + (key,), own, found)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, (a, b) in enumerate(zip(one, other)):
            _compare(a, b, path + (i,), own, found)
    else:
        name = own.name(str(one), str(other)) if _may_differ(path, one) else None
        if name is None:
            raise Different("/".join(map(str, path)))
        found.append([list(path), name])


def _may_differ(path, value):
    if len(path) == 2 and path[0] in _DIFFERING:
        return isinstance(value, (str, int))
    return len(path) == 3 and path[0] == "container" and path[1] in _DIFFERING_IN_CONTAINER and isinstance(value, str)


class Sibling:
    """A task that follows from another of its step, in a few bytes: there may be ten thousand. Upstream's own object takes
    two kilobytes, and is needed for a further attempt only."""

    __slots__ = ("_first", "_split_index", "task_id")

    def __init__(self, first, split_index, task_id):
        self._first, self._split_index, self.task_id = first, split_index, task_id

    @property
    def step(self):
        return self._first.step

    def whole(self):
        """Upstream's object, as upstream would have made it."""
        task = _unregistered(self._first, self._split_index)
        task.task_id = self.task_id
        task._path = "%s/%s/%s" % (task.run_id, task.step, task.task_id)
        return task


def registered(task, question):
    """The sibling of `task` that is asked for, with an id from the metadata provider, as upstream registers it."""
    sibling = _unregistered(task, str(question["split_index"]))
    sibling._get_task_id(None)
    return Sibling(task, sibling.split_index, sibling.task_id)


def _unregistered(task, split_index):
    sibling = copy.copy(task)
    sibling.split_index = split_index
    sibling._ds = None  # `new_attempt` makes it, should there be another
    return sibling


@contextlib.contextmanager
def in_bulk(metadata):
    """Lets upstream's metadata providers make more tasks of a step faster; yields how many can be made at the same time."""
    from metaflow.plugins.metadata_providers.local import LocalMetadataProvider
    from metaflow.plugins.metadata_providers.service import ServiceMetadataProvider

    name, stand_in, at_a_time = {
        # The same files, which appear as a whole, too.
        LocalMetadataProvider: ("_save_meta", _save_meta, 1),
        ServiceMetadataProvider: ("_get_or_create", _but_the_step(metadata), _requests_at_a_time(metadata)),
    }.get(type(metadata), (None, None, 1))
    if name is None or name in vars(metadata):
        yield 1
        return
    setattr(metadata, name, stand_in)
    try:
        yield at_a_time
    finally:
        delattr(metadata, name)


def each(function, items, at_a_time):
    """`(item, function(item))` for all items, of which so many threads take one after the other: no item is begun before
    those in front of it."""
    if at_a_time == 1:
        return [(item, function(item)) for item in items]
    done, errors, numbered, lock = {}, [], enumerate(items), threading.Lock()
    goes_on = True

    def take():
        with lock:
            return next(numbered, None) if goes_on and not errors else None

    def work():
        try:
            for number, item in iter(take, None):
                done[number] = item, function(item)
        except BaseException as error:
            errors.append(error)

    # Nobody waits for them but here, where a signal comes through: a service may never answer.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(at_a_time)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        goes_on = False
    if errors:
        raise errors[0]
    return [done[number] for number in sorted(done)]


def _but_the_step(metadata):
    """`_get_or_create` of the service's provider, which need not ask for a step that has tasks already."""

    def get_or_create(obj_type, *args, **kwargs):
        return (None, False) if obj_type == "step" else upstream(obj_type, *args, **kwargs)

    upstream = getattr(metadata, "_get_or_create", None)
    return get_or_create


def _requests_at_a_time(metadata):
    from metaflow.monitor import NullMonitor

    # Another monitor is told of each request through one pipe.
    return _CONNECTIONS if type(getattr(metadata, "_monitor", None)) is NullMonitor else 1


def _save_meta(root_dir, metadict, allow_overwrite=False):
    """LocalMetadataProvider._save_meta without a random name and Python's slow way to JSON for each file."""
    for name, datum in metadict.items():
        path = os.path.join(root_dir, "%s.json" % name)
        if not allow_overwrite and os.path.isfile(path):
            continue
        draft = os.path.join(root_dir, "ferroflow-%d.tmp" % os.getpid())
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, json.dumps(datum).encode("utf-8"))
        finally:
            os.close(file)
        os.rename(draft, path)
