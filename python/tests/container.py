"""What becomes of a `place` of kind `batch` in a container, and of the command line that upstream submits."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request

# Stands for python and tar where upstream's command line runs: says how it was called.
_WITNESS = """#!%s
import json, os, sys
with open(os.environ["WITNESS"], "a") as file:
    file.write(json.dumps(sys.argv) + chr(10))
""" % sys.executable


def run(place, endpoint):
    """Runs the container's command as the bootstrap does, in a folder of METAFLOW_HOME, and returns the exit code."""
    container, code = place["container"], place["code"]
    folder = os.path.join(os.environ["METAFLOW_HOME"], "container-" + code["sha256"])
    if not os.path.isdir(folder):
        blob = urllib.request.urlopen(code["url"].replace("s3://", endpoint + "/")).read()
        assert hashlib.sha256(blob).hexdigest() == code["sha256"] and len(blob) == code["size"], code
        with tarfile.open(fileobj=io.BytesIO(blob)) as tar:
            tar.extractall(folder)
    for name, text in container.get("files", {}).items():
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
    argv, env = command_line(container), _environment(container, folder)
    return subprocess.call(argv, cwd=folder, env=env, stdin=subprocess.DEVNULL)


def command_line(container):
    """The command line of `container`, preparation included."""
    words = container["command"]
    if not container["shell"]:
        assert not container["prepare"], "this stand-in prepares in a shell only"
        return words
    return ["bash", "-c", "flush_mflogs() { :; }; " + " && ".join(container["prepare"] + [" ".join(words)])]


def _environment(container, folder):
    env = {k: v for k, v in os.environ.items() if k.startswith("AWS_") and k != "AWS_DEFAULT_REGION"}
    env["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    env["METAFLOW_HOME"] = folder
    env.update(container["environment"])
    env.update(container["user_environment"])
    code = os.path.join(folder, ".mf_code")
    env["PYTHONPATH"] = code if os.path.isdir(code) else folder
    env["METAFLOW_EXTRACTED_ROOT"] = folder
    return env


def upstream_words(job):
    """The words of the step's command line in a SubmitJob of upstream's, as they come out of the container's shell."""
    overrides = job["containerOverrides"]
    return _witnessed(overrides["command"], {item["name"]: item["value"] for item in overrides["environment"]})


def own_words(container):
    """The same for `container`."""
    return _witnessed(command_line(container), dict(container["environment"], **container["user_environment"]))


def _witnessed(argv, env):
    folder = tempfile.mkdtemp(prefix="witness-")
    programs = os.path.join(folder, "bin")
    try:
        os.mkdir(programs)
        for name in ("python", "tar", "uv"):
            with open(os.path.join(programs, name), "w") as file:
                file.write(_WITNESS)
            os.chmod(os.path.join(programs, name), 0o755)
        env = dict(env, WITNESS=os.path.join(folder, "calls"), PATH=programs + ":/usr/bin:/bin", PROGRAMS=programs)
        subprocess.call(
            ["env"] + argv, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with open(env["WITNESS"]) as file:
            calls = [json.loads(line) for line in file]
    finally:
        shutil.rmtree(folder)
    [words] = [call for call in calls if "step" in call and "--run-id" in call]
    return [os.path.basename(words[0])] + words[1:]
