"""What the files of a flow do outside of functions, as their text says.

A fresh interpreter does it for each task; a fork finds it done, once, for all of them. Whatever must not be shared, or
cannot be told again, is a reason not to fork.
"""

import ast
import functools
import os
import re
import sys
import sysconfig

_OURS = ("ferroflow.", "metaflow_extensions.ferroflow.")

# Names of functions that seed.
_SEEDING = re.compile(r"(?:^|_)seed(?:_|$)|[a-z]Seed(?:[A-Z]|$)")

# Functions that write, if not for sure.
_WRITING = frozenset("critical echo error exception info pprint print secho warn warning write writelines".split())

# What they write passes by the streams that are watched.
_WRITING_BELOW = ("os.write", "os.writev", "buffer.write", "buffer.writelines", "buffer.raw.write")

# Each task is to have its own.
_NOT_TO_SHARE = {
    "tempfile.%s" % name: "makes a temporary file or folder"
    for name in ("mkdtemp", "mkstemp", "mktemp", "NamedTemporaryFile", "SpooledTemporaryFile", "TemporaryDirectory",
                 "TemporaryFile")
}
_NOT_TO_SHARE.update(
    ("subprocess." + name, "starts a process")
    for name in ("call", "check_call", "check_output", "getoutput", "getstatusoutput", "Popen", "run")
)
_NOT_TO_SHARE.update(
    ("os." + name, "starts a process")
    for name in ("fork", "forkpty", "popen", "posix_spawn", "posix_spawnp", "spawnl", "spawnle", "spawnlp", "spawnlpe",
                 "spawnv", "spawnve", "spawnvp", "spawnvpe", "system")
)


def obstacle(seen):
    """Why the files of the flow's modules forbid forks, or None. `seen`: what `loading.watched` returns."""
    try:
        return first_reason(list(users_modules()), seen.first_line)
    except Unreadable as error:
        return str(error)


def first_reason(modules, first_line):
    """`first_line` tells of a module from which line on the streams were watched: 0 is all, None nothing of it."""
    for module in modules:
        path = of_module(module)["__file__"]  # a module that is kept in a cache ends otherwise
        for look in (_seeding, _exit_handler, _not_to_share, _command_line):
            reason = look(path)
            if reason:
                return reason
        reason = _output(path, first_line(module))
        if reason:
            return reason
    return None


def users_modules():
    """Those that neither Python nor an installation has brought. Touches none that waits to be loaded."""
    installed = tuple(
        os.path.join(path, "") for path in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    )
    for name, module in list(sys.modules.items()):
        file = of_module(module).get("__file__")
        if isinstance(file, str) and file.endswith(".py") and not (name + ".").startswith(_OURS):
            path = os.path.abspath(file)
            if not path.startswith(installed) and "site-packages" not in path:
                yield module


def of_module(module):
    """The names in a module, or in what stands for one, without waking it."""
    try:
        names = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return {}
    return names if isinstance(names, dict) else {}


def short(module):
    """A module's file as it is named to users."""
    return os.path.basename(of_module(module)["__file__"])


class Unreadable(Exception):
    """A file of the flow's says not what it does."""


def _seeding(path):
    """A flow that seeds while it is loaded wants each task to draw the same."""
    for call, _ in _calls(path) if b"seed" in _source(path).lower() else ():
        if _SEEDING.search(_name(call)):
            return "%s calls %s in line %d" % (os.path.basename(path), _name(call), call.lineno)
    return None


def _exit_handler(path):
    """The first task that ends might take down what the others need."""
    if b"atexit" not in _source(path):
        return None
    origins = _origins(path)
    for node in _outside_functions(path):
        if isinstance(node, (ast.Name, ast.Attribute)) and _dotted(node, origins) == "atexit.register":
            return "%s has an exit handler, in line %d" % (os.path.basename(path), node.lineno)
    return None


def _not_to_share(path):
    for call, name in _calls(path):
        if name in _NOT_TO_SHARE:
            return "%s %s when it is loaded, in line %d" % (os.path.basename(path), _NOT_TO_SHARE[name], call.lineno)
    return None


def _command_line(path):
    """`run` is not `step`: what asks for it while it is loaded may do something else in a fresh interpreter."""
    if b"argv" in _source(path) and any(_is_argv(node) for node in _outside(path, (ast.ClassDef,))):
        return "%s looks at sys.argv when it is loaded" % os.path.basename(path)
    return None


def _is_argv(node):
    return "argv" in (getattr(node, "attr", None), getattr(node, "id", None))


def _output(path, first_line):
    """What was written is written again in each task, if it is known."""
    for call, name in _calls(path):
        if name.endswith(_WRITING_BELOW):
            return "%s writes past sys.stdout and sys.stderr when it is loaded, in line %d" % (os.path.basename(path), call.lineno)
        if first_line == 0 or _name(call) not in _WRITING:
            continue
        if first_line is None or call.lineno < first_line:
            return "%s may write before it imports metaflow, in line %d" % (os.path.basename(path), call.lineno)
    return None


def _calls(path):
    """The calls that stand outside of functions, with what is called, as far as imports tell."""
    origins = _origins(path)
    for node in _outside_functions(path):
        if isinstance(node, ast.Call):
            yield node, _dotted(node.func, origins)


def _name(call):
    return getattr(call.func, "attr", None) or getattr(call.func, "id", "")


def _dotted(node, origins):
    """`sp.run` is `subprocess.run` where the file says `import subprocess as sp`. Empty for what is no name."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(origins.get(node.id, node.id))
    return ".".join(reversed(parts))


@functools.lru_cache(maxsize=None)
def _origins(path):
    """What the names mean that a file imports."""
    origins = {}
    for node in _outside_functions(path):
        if isinstance(node, ast.Import):
            origins.update((name.asname, name.name) for name in node.names if name.asname)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            origins.update((name.asname or name.name, "%s.%s" % (node.module, name.name)) for name in node.names)
    return origins


def _outside_functions(path):
    return _outside(path, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))


def _outside(path, kinds):
    """The nodes of a file that are not in the body of one of these kinds; decorators and defaults are outside."""
    waiting = [_tree(path)]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, kinds):
            waiting.extend(ast.iter_child_nodes(node))
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            waiting.extend(node.decorator_list + node.args.defaults + [each for each in node.args.kw_defaults if each])


@functools.lru_cache(maxsize=None)
def _tree(path):
    try:
        return ast.parse(_source(path))
    except (SyntaxError, ValueError, RecursionError) as error:
        raise Unreadable("%s cannot be read: %s" % (os.path.basename(path), error)) from None


@functools.lru_cache(maxsize=None)
def _source(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise Unreadable("%s cannot be read: %s" % (os.path.basename(path), error.strerror)) from None
