//! `ferroflow FLOW.py ARGS…`: becomes `python FLOW.py ARGS…` with the extension in force.

use std::{
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};

use super::dev;
use crate::{host_files, interpreter};

/// Replaces this process by Python, so that signals, exit code and terminal are Python's own.
pub(crate) fn run(flow: &OsStr, args: &[OsString]) -> Result<ExitCode> {
    if !Path::new(flow).exists() {
        bail!(
            "the flow file `{}` does not exist\nhint: the first argument is the path of a Python file",
            flow.display()
        );
    }
    let python = interpreter::find()?;
    let own = std::env::current_exe().context("cannot find the path of this program")?;
    let mut command = Command::new(&python);
    command.arg(flow).args(args).env("FERROFLOW_BIN", own);
    if std::env::var_os("FERROFLOW").is_none_or(|v| v != "off") {
        command.env("PYTHONPATH", python_path(&python)?);
    }
    dev::auto::prepare(&mut command, args, &python)?;
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start `{}`", python.display()))
}

/// Our folders first, then what the user has.
fn python_path(python: &Path) -> Result<OsString> {
    let files = host_files::unpacked()?;
    let mut ours = vec![files.host];
    if !interpreter::has_extension(python) {
        ours.push(files.extension);
    }
    let theirs = std::env::var_os("PYTHONPATH").unwrap_or_default();
    let theirs: Vec<_> = std::env::split_paths(&theirs)
        .filter(|path| !ours.contains(path))
        .collect();
    std::env::join_paths(ours.iter().chain(&theirs)).context("cannot extend PYTHONPATH")
}
