"""`python look_at_package.py FLOW ARGS…`: `python FLOW ARGS…` up to `NativeRuntime.execute`, where it tells about the package.

It prints one line of JSON, and leaves upstream's archive of the same members and ours in the working directory.
"""

import io
import json
import os
import runpy
import sys
import tarfile

from metaflow import runtime


def execute(self):
    package = self._package
    package._create_thread.join()
    told = {
        "class": type(package).__mro__[0].__module__ + "." + type(package).__name__,
        "adopted": hasattr(package, "_ferroflow_binary"),
        "before": type(vars(package).get("_blob")).__name__,
        "error": None,
    }
    try:
        told.update(archives(package, self._flow_datastore))
        if "upload" in os.environ.get("LOOK", ""):
            told["uploads"] = [upload(self), upload(self)]
    except Exception as error:
        told["error"] = "%s: %s" % (type(error).__name__, error)
    print("LOOK " + json.dumps(told))


def archives(package, datastore):
    from ferroflow.package import code

    blob = package.blob
    for name, content in (("ours.tgz", blob), ("theirs.tgz", type(package).__mro__[-2]._make(package))):
        with open(name, "wb") as file:
            file.write(content)
    return {
        "blob": type(blob).__name__,
        "code": code(package, "s3://b/k", datastore if datastore.TYPE == "s3" else None),
        "same_again": package.blob is blob,
        "length": len(blob),
        "members": members(blob),
        "show": package.show(),
        "info": package.cls_get_info(package.package_metadata, io.BytesIO(blob)),
    }


def members(blob):
    with tarfile.open(fileobj=io.BytesIO(blob), mode="r:gz") as tar:
        return [m.name for m in tar.getmembers()]


def upload(native_runtime):
    """As the first task of a @batch step does it."""
    from metaflow.plugins.aws.batch.batch_decorator import BatchDecorator

    BatchDecorator.package_url = None
    BatchDecorator._save_package_once(native_runtime._flow_datastore, native_runtime._package)
    return [BatchDecorator.package_url, BatchDecorator.package_sha]


if __name__ == "__main__":
    runtime.NativeRuntime.execute = execute
    sys.argv = sys.argv[1:]
    sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name="__main__")
