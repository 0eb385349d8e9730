"""Hands a run over to Ferroflow at `NativeRuntime.execute`, once `metaflow.runtime` has been imported.

Every Metaflow process loads this file, `step` and containers included: it imports nothing and changes one method.
"""

import os
import sys


def _hand_over_at_execute(runtime_module):
    native_runtime = getattr(runtime_module, "NativeRuntime", None)
    upstream = getattr(native_runtime, "execute", None)
    if upstream is None:
        return

    def execute(self):
        try:
            from ferroflow.host import take_over
        except ImportError as error:
            # A container has this file, from the code package, and not ours. The name can also be a user's module.
            if os.environ.get("FERROFLOW") == "require" or error.name not in ("ferroflow", "ferroflow.host"):
                raise
            return upstream(self)
        return take_over(self, upstream)

    execute.__wrapped__ = upstream
    native_runtime.execute = execute


class _RuntimeFinder:
    """Waits on `sys.meta_path` for `metaflow.runtime`, lets the others find it, and adds a step to its loading."""

    def find_spec(self, name, path=None, target=None):
        if name != "metaflow.runtime":
            return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec

        spec = find_spec(name)
        load = getattr(getattr(spec, "loader", None), "exec_module", None)
        if load is not None:

            def exec_module(module):
                load(module)
                _hand_over_at_execute(module)

            spec.loader.exec_module = exec_module
        return spec


if os.environ.get("FERROFLOW") != "off":
    sys.meta_path.insert(0, _RuntimeFinder())
