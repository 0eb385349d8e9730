#!/usr/bin/env python3
"""Builds the wheels for Linux that are given to others.

    build_wheels.py OUT                   makes OUT/ferroflow-…manylinux_2_17_x86_64….whl and …aarch64…
    build_wheels.py OUT --arch x86_64     makes that one only

Each has the program for its architecture and the bootstraps for both. zig links the program for the glibc of its tag,
however new this machine's is, and maturin refuses a wheel that would need a newer one. Both come from PyPI, in the versions
named here, into an environment beside Cargo's output; Rust must be there by rustup.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import build_bootstrap

# Rust's standard library needs this glibc, and so does nothing else.
GLIBC = "2_17"
TOOLS = ("maturin==1.16.0", build_bootstrap.ZIG)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--arch", action="append", choices=build_bootstrap.ARCHITECTURES, help="default: all")
    parser.add_argument("--profile", default="release", help="Cargo's profile for the program (default: release)")
    options = parser.parse_args()
    try:
        import maturin  # noqa: F401
        import ziglang  # noqa: F401
    except ImportError:
        again_with_tools()
    for arch in options.arch or build_bootstrap.ARCHITECTURES:
        build(arch, options.profile, options.out.resolve())


def again_with_tools():
    """Runs this program once more, by an interpreter that has the tools."""
    python = tools() / "bin" / "python"
    os.execv(python, [str(python), __file__, *sys.argv[1:]])


def tools():
    """The environment of the tools, made where it is not there yet."""
    place = build_bootstrap.target_dir() / "wheel-tools" / "-".join(tool.replace("==", "-") for tool in TOOLS)
    complete = place / "complete"
    if not complete.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        subprocess.run([str(place / "bin" / "pip"), "install", "--quiet", *TOOLS], check=True)
        complete.touch()
    return place


def build(arch, profile, out):
    import build_backend

    target = arch + "-unknown-linux-gnu"
    if not build_bootstrap.has_target(target):
        sys.exit("the Rust target %s cannot be added\nhint: install Rust by rustup" % target)
    out.mkdir(parents=True, exist_ok=True)
    # The backend of `pip install .` expects this folder, and maturin on PATH.
    os.chdir(build_bootstrap.ROOT)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ["CARGO_ZIGBUILD_ZIG_PATH"] = build_bootstrap.zig_command()
    args = ["--zig", "--target", target, "--compatibility", "manylinux_" + GLIBC, "--profile", profile]
    build_backend.build_wheel(str(out), {"bootstraps": "all", "maturin.build-args": args})


if __name__ == "__main__":
    main()
