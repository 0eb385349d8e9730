"""What `ferroflow doctor` asks an interpreter. The answer is the last line of standard output, as JSON."""

import json
import sys

answer = {"python": "%d.%d.%d" % sys.version_info[:3], "settings": {}}


def version(name):
    try:
        from importlib.metadata import version
    except ImportError:
        return None
    try:
        return version(name)
    except Exception:
        return None


def as_text(value):
    return json.dumps(value, separators=(",", ":")) if isinstance(value, (dict, list)) else str(value)


try:
    import metaflow
    from metaflow import metaflow_config

    answer["metaflow"] = str(metaflow.__version__)
    for name in sys.argv[1].split(","):
        value = getattr(metaflow_config, name, None)
        if value is not None:
            answer["settings"][name] = as_text(value)
except BaseException as error:
    answer["error"] = " ".join(("%s: %s" % (type(error).__name__, error)).split())
try:
    import metaflow_extensions.ferroflow.toplevel.hook

    answer["extension"] = metaflow_extensions.ferroflow.toplevel.hook.__file__
except BaseException as error:
    answer["extension_error"] = " ".join(("%s: %s" % (type(error).__name__, error)).split())
answer["boto3"] = version("boto3")
print("\n" + json.dumps(answer))
