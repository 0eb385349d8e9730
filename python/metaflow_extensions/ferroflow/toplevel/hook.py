"""Hands a run over to Ferroflow at `NativeRuntime.execute`, and its code package when it is begun.

Every Metaflow process loads this file, `step` and containers included: it imports nothing and changes two methods and a
function, of `metaflow.runtime`, `metaflow.package` and `metaflow.cli`, once those have been imported.
"""

import os
import sys


def _ours(module, name):
    """A function of Ferroflow; None in a container, which has this file, from the code package, and not ours."""
    try:
        return getattr(__import__(module, fromlist=[name]), name)
    except ImportError as error:
        # The name can also be that of a user's module.
        missing = error.name or ""
        if os.environ.get("FERROFLOW") == "require" or not (missing + ".").startswith("ferroflow."):
            raise
        if module == "ferroflow.host" and (os.environ.get("FERROFLOW_BIN") or missing != "ferroflow"):
            # Somebody wanted Ferroflow here, or a part of it is missing, or a user's module has its name.
            print("ferroflow: handing this run back to Metaflow: %s" % error, file=sys.stderr)
        return None


def _hand_over_at_execute(runtime_module):
    native_runtime = getattr(runtime_module, "NativeRuntime", None)
    upstream = getattr(native_runtime, "execute", None)
    if upstream is None:
        return

    def execute(self):
        take_over = _ours("ferroflow.host", "take_over")
        return take_over(self, upstream) if take_over else upstream(self)

    execute.__wrapped__ = upstream
    native_runtime.execute = execute


def _adopt_at_init(package_module):
    package_class = getattr(package_module, "MetaflowPackage", None)
    upstream = vars(package_class).get("__init__") if package_class else None
    if upstream is None:
        return

    def __init__(self, *args, **kwargs):
        adopt = _ours("ferroflow.package", "adopt")
        if adopt:
            adopt(self)
        upstream(self, *args, **kwargs)

    __init__.__wrapped__ = upstream
    package_class.__init__ = __init__


def _add_to_errors(cli_module):
    upstream = getattr(cli_module, "print_metaflow_exception", None)
    if upstream is None:
        return

    def print_metaflow_exception(error):
        report = _ours("ferroflow.no_aws", "report")
        return report(error, upstream) if report else upstream(error)

    print_metaflow_exception.__wrapped__ = upstream
    cli_module.print_metaflow_exception = print_metaflow_exception


class _Finder:
    """Waits on `sys.meta_path` for some modules, lets the others find them, and adds a step to their loading."""

    def __init__(self, steps):
        self._steps = steps

    def find_spec(self, name, path=None, target=None):
        step = self._steps.pop(name, None)
        if step is None:
            return None
        if not self._steps:
            sys.meta_path.remove(self)
        from importlib.util import find_spec

        spec = find_spec(name)
        load = getattr(getattr(spec, "loader", None), "exec_module", None)
        if load is not None:

            def exec_module(module):
                load(module)
                step(module)

            spec.loader.exec_module = exec_module
        return spec


if os.environ.get("FERROFLOW") != "off":
    sys.meta_path.insert(
        0,
        _Finder(
            {
                "metaflow.runtime": _hand_over_at_execute,
                "metaflow.package": _adopt_at_init,
                "metaflow.cli": _add_to_errors,
            }
        ),
    )
