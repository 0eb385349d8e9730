"""Bytecode of Metaflow's modules in a code package: listed here, packed by `ferroflow package`, uploaded beside the package.

A task can do without, so whatever is wrong with it is nobody's trouble. The user's own modules change too often.
"""

import contextlib
import json
import os
import sys
from importlib.util import MAGIC_NUMBER, cache_from_source

# Where Metaflow and its extensions are in a package.
_ROOT, _LIBRARIES = ".mf_code/", (".mf_code/metaflow/", ".mf_code/metaflow_extensions/")
# What `step` imports after `main`.
USED_BY_STEPS = ("metaflow.cli_components.step_cmd", "metaflow.clone_util", "metaflow.task")
# What it also imports with its data on S3, and `run` not always.
_USED_WITH_S3 = ("metaflow.plugins.datatools.s3.s3op",)


def libraries(members):
    """Name and file of each module of Metaflow and its extensions among the members of a package."""
    files = ((member["name"], member.get("path")) for member in members)
    return [(name, path) for name, path in files if path and name.startswith(_LIBRARIES) and name.endswith(".py")]


def dated(modules):
    """The same, with time and size of the files as they are now, when they are packed."""
    found = []
    for name, path in modules:
        with contextlib.suppress(OSError):
            status = os.stat(path)
            found.append((name, path, int(status.st_mtime), status.st_size))
    return found


def upload(modules, pack, opened, datastore):
    """Facts of the archive, and where it is; None if there is none.

    Only bytecode of sources that are as they were when they were packed. `pack` runs `ferroflow package`, `opened` opens what
    it has made.
    """
    if datastore is None or sys.implementation.cache_tag is None or os.environ.get("FERROFLOW_BYTECODE") == "off":
        return None
    # By a name that depends neither on where this interpreter keeps bytecode nor on how it was started.
    listed = [
        (_beside(name, compiled), compiled, path, modified, size)
        for name, path, modified, size in modules
        if _is_used(name)
        for compiled in [cache_from_source(path, optimization="")]
    ]
    if not listed:
        return None
    try:
        made = pack(json.dumps({"members": [], "bytecode": {"magic": MAGIC_NUMBER.hex(), "modules": listed}}).encode("utf-8"))
        facts = json.loads(made.stdout.decode("utf-8")) if made.returncode == 0 else None
        if facts is None:
            return None
        with contextlib.closing(opened(facts)) as archive:
            url, _ = datastore.save_data([archive], len_hint=1)[0]
        return url, facts
    except Exception:
        return None


def _beside(name, compiled):
    return "%s/__pycache__/%s" % (os.path.dirname(name), os.path.basename(compiled))


def _is_used(name):
    module = name[len(_ROOT) : -len(".py")].replace("/", ".")
    if module.endswith(".__init__"):
        module = module[: -len(".__init__")]
    return module in sys.modules or module in USED_BY_STEPS + _USED_WITH_S3
