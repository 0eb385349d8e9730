//! What is left of `ferroflow dev` in a build without it.

use std::{ffi::OsString, process::ExitCode};

use anyhow::{Result, bail};

/// The embedded stack, which is not in this build
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _rest: Vec<OsString>,
}

pub(crate) fn run(_: Args) -> Result<ExitCode> {
    bail!(
        "the embedded stack is not in this build\nhint: build ferroflow with the feature `dev`, which is on by default"
    )
}

/// Nothing starts by itself.
pub(crate) mod auto {
    use std::{ffi::OsString, path::Path, process::Command};

    use anyhow::Result;

    pub(crate) fn prepare(_: &mut Command, _: &[OsString], _: &Path) -> Result<()> {
        Ok(())
    }
}
