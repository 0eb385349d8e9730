"""Hands a run over to Ferroflow at `NativeRuntime.execute`, and its code package when it is begun.

Every Metaflow process loads this file, `step` and containers included: it imports nothing and changes two methods and a
function, of `metaflow.runtime`, `metaflow.package` and `metaflow.cli`, and in containers a list of `metaflow.plugins`, once
those have been imported.
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


def _call(*functions):
    for module, name in functions:
        function = _ours(module, name)
        if function:
            function()


def _hand_over_at_execute(runtime_module):
    if os.environ.get("FERROFLOW_ATTACH"):
        _ours("ferroflow.attach", "adopt")(runtime_module)
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


def _fork_before_main(cli_module):
    """Calls us when the flow's file reaches for `main`, so that nothing of ours stands in the stack when it is called."""
    names = vars(cli_module)
    if not _IS_RUN or "main" not in names or "__getattr__" in names:
        return
    main = names.pop("main")

    def __getattr__(name):
        if name != "main":
            raise AttributeError("module %r has no attribute %r" % (cli_module.__name__, name))
        names["main"] = main
        del names["__getattr__"]
        if _runs_script(sys._getframe(1)):
            _call(("ferroflow.fork_server", "begin"), ("ferroflow.runner", "watch"))
        return main

    names["__getattr__"] = __getattr__


def _runs_script(frame):
    """Whether a flow is made by the file that Python was started with; else somebody else's program runs it."""
    if frame.f_code.co_name != "__init__":
        return False
    while frame.f_back:
        frame = frame.f_back
    return frame.f_globals is vars(sys.modules["__main__"])


def _watch_ends(parameters_module):
    watch = _ours("ferroflow.early_exit", "watch") if _IS_RUN else None
    if watch:
        watch(parameters_module)


def _adopt_cli(cli_module):
    obey = _ours("ferroflow.no_color", "obey") if os.environ.get("NO_COLOR") else None
    if obey:
        obey()
    _add_to_errors(cli_module)
    _fork_before_main(cli_module)


def _leave_logs_to_the_bootstrap(plugins_module):
    """Upstream's @batch starts a process beside the step that uploads its logs: the bootstrap has done so already."""
    sidecars, name = getattr(plugins_module, "SIDECARS", None), "save_logs_periodically"
    if isinstance(sidecars, dict) and getattr(sidecars.get(name), "__module__", None) == "metaflow.mflog." + name:
        del sidecars[name]


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


# Perhaps: it may be the value of an option, too.
_IS_RUN = "run" in sys.argv[1:]

if os.environ.get("FERROFLOW") != "off":
    if _IS_RUN:
        _call(("ferroflow.events", "look"), ("ferroflow.runner", "look"), ("ferroflow.loading", "watch"))
    steps = {
        "metaflow.parameters": _watch_ends,
        "metaflow.runtime": _hand_over_at_execute,
        "metaflow.package": _adopt_at_init,
        "metaflow.cli": _adopt_cli,
    }
    if os.environ.get("FERROFLOW_LOG_SIDECAR") == "off":
        steps["metaflow.plugins"] = _leave_logs_to_the_bootstrap
    sys.meta_path.insert(0, _Finder(steps))
