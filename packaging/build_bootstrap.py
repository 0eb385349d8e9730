#!/usr/bin/env python3
"""Builds the bootstrap binaries that go into containers.

    build_bootstrap.py OUT        makes OUT/linux-x86_64/ferroflow-bootstrap and OUT/linux-aarch64/…

The Rust target is musl; rustup adds it where it is missing. On Linux without rustup, this machine's own architecture is
built for glibc with everything linked in. The C part of the TLS library needs a C compiler for the target: this
machine's own, a cross compiler of the distribution, or zig (from PyPI, as `ZIG` names it). A binary for another
architecture that cannot be built is left out, with one line that says so.
"""

import argparse
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARY = "ferroflow-bootstrap"
ARCHITECTURES = ("x86_64", "aarch64")
MAX_SIZE = 4 << 20

# A release may compile and link otherwise than the one before it.
ZIG = "ziglang==0.17.1"

# Zig has its own name for the target, and takes no other: cc-rs appends Rust's.
ZIG_AS_CC = """#!/bin/sh
for arg; do
    shift
    case $arg in --target=*) ;; *) set -- "$@" "$arg" ;; esac
done
exec %s cc -target %s-linux-musl "$@"
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--all", action="store_true", help="fail unless all architectures can be built")
    options = parser.parse_args()
    build_all(options.out, options.all)


def build_all(out, must_have_all=False):
    """Builds what this machine can build: on Linux at least its own architecture."""
    for arch in ARCHITECTURES:
        obstacle = build(arch, out / ("linux-" + arch))
        if obstacle and (must_have_all or is_native(arch)):
            sys.exit("the bootstrap for linux-%s cannot be built: %s" % (arch, obstacle))
        if obstacle:
            print(
                "bootstrap for linux-%s LEFT OUT: %s; jobs on such hosts will be refused" % (arch, obstacle),
                file=sys.stderr,
                flush=True,
            )


def build(arch, folder):
    """Returns what stands in the way."""
    target = arch + "-unknown-linux-musl"
    if not has_target(target):
        if not is_native(arch):
            return "the Rust target %s cannot be added" % target
        target = arch + "-unknown-linux-gnu"
        flags = "CARGO_TARGET_%s_RUSTFLAGS" % variable(target).upper()
        return cargo(target, folder, {flags: "-C target-feature=+crt-static"})
    compiler = c_compiler(arch, target)
    if compiler is None:
        return "there is neither %s-linux-gnu-gcc nor zig" % arch
    # rust-lld links musl targets without a cross linker.
    linker = "CARGO_TARGET_%s_LINKER" % variable(target).upper()
    return cargo(target, folder, {"CC_" + variable(target): compiler, linker: "rust-lld"})


def variable(target):
    return target.replace("-", "_")


def is_native(arch):
    return sys.platform == "linux" and machine() == arch


def machine():
    name = platform.machine()
    return {"arm64": "aarch64", "AMD64": "x86_64"}.get(name, name)


def has_target(target):
    """Whether the standard library for `target` is there, if need be after asking rustup for it."""
    libdir = subprocess.run(
        ["rustc", "--print", "target-libdir", "--target", target],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        universal_newlines=True,
        check=False,
    ).stdout.strip()
    if libdir and Path(libdir).is_dir():
        return True
    if not shutil.which("rustup"):
        return False
    return subprocess.run(["rustup", "target", "add", target], cwd=ROOT, check=False).returncode == 0


def c_compiler(arch, target):
    """A command that compiles C for `target`, or None."""
    named = os.environ.get("CC_" + variable(target))
    if named:
        return named
    if is_native(arch):
        return os.environ.get("CC", "gcc")
    return shutil.which(arch + "-linux-gnu-gcc") or zig_as_cc(arch, target)


def zig_as_cc(arch, target):
    zig = zig_command()
    if zig is None:
        return None
    # At a place that stays, or Cargo builds the C part anew each time.
    wrapper = target_dir() / target / "zig-cc"
    wrapper.parent.mkdir(parents=True, exist_ok=True)
    wrapper.write_text(ZIG_AS_CC % (shlex.quote(zig), arch))
    wrapper.chmod(0o755)
    return str(wrapper)


def zig_command():
    """Path of zig: the one installed for this Python, else the machine's."""
    try:
        import ziglang
    except ImportError:
        return shutil.which("zig")
    return str(Path(ziglang.__file__).parent / "zig")


def wants_zig():
    """Whether an architecture can be built with zig only."""
    others = [arch for arch in ARCHITECTURES if not is_native(arch)]
    return zig_command() is None and not all(shutil.which(arch + "-linux-gnu-gcc") for arch in others)


# What an outer cargo, of `cargo test` for instance, tells of its own package. To build scripts it would be news: they run again.
OF_OUTER_CARGO = ("OUT_DIR", "CARGO_MANIFEST_", "CARGO_PKG_")


def cargo(target, folder, more):
    env = {name: value for name, value in os.environ.items() if not name.startswith(OF_OUTER_CARGO)}
    command = ["cargo", "build", "--locked", "-p", BINARY, "--profile", "bootstrap", "--target", target]
    if subprocess.run(command, cwd=ROOT, env={**env, **more}, check=False).returncode != 0:
        sys.exit("`%s` failed" % " ".join(command))
    built = target_dir() / target / "bootstrap" / BINARY
    size = built.stat().st_size
    if size > MAX_SIZE:
        sys.exit("%s has %d bytes; a bootstrap may have %d" % (built, size, MAX_SIZE))
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / (BINARY + ".%d" % os.getpid())
    shutil.copy2(built, draft)
    draft.replace(folder / BINARY)


def target_dir():
    given = os.environ.get("CARGO_TARGET_DIR")
    return ROOT / (given or "target")


if __name__ == "__main__":
    main()
