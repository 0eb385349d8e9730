#!/usr/bin/env python3
"""Builds the bootstrap binaries that go into containers.

    build_bootstrap.py OUT        makes OUT/linux-x86_64/ferroflow-bootstrap and, where it can, OUT/linux-aarch64/…

Targets, in this order: the musl target when it is installed or rustup can add it; for x86_64 else a glibc build with
everything linked in. aarch64 needs `aarch64-linux-gnu-gcc` for the C part of the TLS library; without it that binary is
left out, with one line that says so.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARY = "ferroflow-bootstrap"
MAX_SIZE = 4 << 20


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: build_bootstrap.py OUT")
    build_all(Path(sys.argv[1]))


def build_all(out):
    """Builds what this machine can build; x86_64 must succeed."""
    build_x86_64(out / "linux-x86_64")
    build_aarch64(out / "linux-aarch64")


def build_x86_64(folder):
    target = "x86_64-unknown-linux-musl"
    if has_target(target):
        cargo(target, folder, {"CC_x86_64_unknown_linux_musl": os.environ.get("CC", "gcc"), **lld(target)})
    else:
        target = "x86_64-unknown-linux-gnu"
        cargo(target, folder, {"CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS": "-C target-feature=+crt-static"})


def build_aarch64(folder):
    target, compiler = "aarch64-unknown-linux-musl", "aarch64-linux-gnu-gcc"
    if not shutil.which(compiler):
        skip("there is no %s" % compiler)
    elif not has_target(target):
        skip("the Rust target %s cannot be added" % target)
    else:
        cargo(target, folder, {"CC_aarch64_unknown_linux_musl": compiler, **lld(target)})


def skip(why):
    print("bootstrap for linux-aarch64 LEFT OUT: %s; jobs on Graviton hosts will be refused" % why, file=sys.stderr)


def has_target(target):
    """Whether the standard library for `target` is there, if need be after asking rustup for it."""
    libdir = subprocess.run(
        ["rustc", "--print", "target-libdir", "--target", target], stdout=subprocess.PIPE, text=True, check=False
    ).stdout.strip()
    if libdir and Path(libdir).is_dir():
        return True
    if not shutil.which("rustup"):
        return False
    return subprocess.run(["rustup", "target", "add", target], check=False).returncode == 0


def lld(target):
    """rust-lld links musl targets without a cross linker."""
    return {"CARGO_TARGET_%s_LINKER" % target.upper().replace("-", "_"): "rust-lld"}


def cargo(target, folder, more):
    command = ["cargo", "build", "--locked", "-p", BINARY, "--profile", "bootstrap", "--target", target]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **more}, check=True)
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
    return Path(given) if given else ROOT / "target"


if __name__ == "__main__":
    main()
