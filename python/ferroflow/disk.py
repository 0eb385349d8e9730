"""A disk that is full while tasks are made: what was begun of them goes again, and the engine asks later."""

import errno
import os
import shutil

# The second is that of a quota.
_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error):
    """Whether an exception, or one that it was raised from, says that there is no room."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


class TasksMade:
    """The tasks that the local metadata provider makes from now on, in folders with ascending numbers."""

    def __init__(self, runtime, step):
        self._metadata, self._flow, self._run, self._step = runtime._metadata, runtime._flow.name, runtime._run_id, step
        self._before = self._last()

    def _last(self):
        return getattr(self._metadata, "_task_id_seq", None) if self._metadata.TYPE == "local" else None

    def undo(self):
        """Removes them, and has the next ones get their numbers. False where the provider keeps them elsewhere."""
        if self._before is None:
            return False
        for number in range(self._before + 1, self._last() + 1):
            folder = type(self._metadata)._make_path(
                self._flow, self._run, self._step, str(number), create_on_absent=False
            )
            if folder:
                shutil.rmtree(folder, ignore_errors=True)
                if os.path.isdir(folder):
                    return False
        self._metadata._task_id_seq = self._before
        return True
