"""The build backend of `pip install .` (PEP 517): maturin, with what it cannot do itself.

It builds the bootstraps and puts them into the wheel as data of the package, and it names the top-level packages in the
wheel's metadata: Metaflow recognises an installed extension by `top_level.txt` (metaflow/extension_support).

`--config-settings bootstraps=all` is for wheels that are given to others: a bootstrap that cannot be built is then an
error, and a C compiler for the other architecture is taken from PyPI where the machine has none.
"""

import shutil
import tempfile
from pathlib import Path

import build_bootstrap
import maturin
from maturin import build_sdist, get_requires_for_build_sdist

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

BOOTSTRAPS = build_bootstrap.ROOT / "python" / "ferroflow" / "_bootstrap"
TOP_LEVEL = "ferroflow\nmetaflow_extensions\n"


def get_requires_for_build_wheel(config_settings=None):
    requires = maturin.get_requires_for_build_wheel(config_settings)
    return requires + ([build_bootstrap.ZIG] if _all(config_settings) and build_bootstrap.wants_zig() else [])


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    name = maturin.prepare_metadata_for_build_wheel(metadata_directory, config_settings)
    (Path(metadata_directory) / name / "top_level.txt").write_text(TOP_LEVEL)
    return name


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return _build(maturin.build_wheel, wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return _build(maturin.build_editable, wheel_directory, config_settings, metadata_directory)


get_requires_for_build_editable = get_requires_for_build_wheel
prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def _build(build, wheel_directory, config_settings, metadata_directory):
    shutil.rmtree(BOOTSTRAPS, ignore_errors=True)  # of another build
    build_bootstrap.build_all(BOOTSTRAPS, must_have_all=_all(config_settings))
    with tempfile.TemporaryDirectory() as made:
        if metadata_directory is None:
            metadata_directory = Path(made) / prepare_metadata_for_build_wheel(made, config_settings)
        return build(wheel_directory, _with_honest_tag(config_settings), str(metadata_directory))


def _all(config_settings):
    return (config_settings or {}).get("bootstraps") == "all"


def _with_honest_tag(config_settings):
    """The option without a value is maturin's default, the oldest manylinux that fits; its backend would turn it off."""
    args = list(maturin.get_maturin_pep517_args(config_settings))
    if not any(arg.startswith(("--compatibility", "--manylinux")) for arg in args):
        args.append("--compatibility")
    return {**(config_settings or {}), "maturin.build-args": args}
