//! `ferroflow FLOW.py ARGS…`: becomes `python FLOW.py ARGS…` with the extension in force; so does `ferroflow -m MODULE ARGS…`.

use std::{
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};

use super::{Front, dev, events, verbose};
use crate::{
    host_files,
    interpreter::{self, Interpreter},
};

/// What Python is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow<'a> {
    /// A file of Python source.
    File(&'a OsStr),
    /// A module that Python finds, as `python -m` does; empty when none is named.
    Module(&'a OsStr),
}

impl<'a> Flow<'a> {
    /// The flow that the arguments after the program's name begin with, and the flow's own; none if they begin with a verb
    /// or an option. A file has a name that ends in `.py`, or a path with a slash, which no verb has.
    pub(crate) fn leading(args: &'a [OsString]) -> Option<(Self, &'a [OsString])> {
        let (first, rest) = args.split_first()?;
        if first == "-m" {
            let module = rest.first().map_or(OsStr::new(""), OsString::as_os_str);
            return Some((Self::Module(module), rest.get(1..).unwrap_or_default()));
        }
        let path = Path::new(first);
        let is_file = path.extension().is_some_and(|e| e == "py") || path.components().count() > 1;
        is_file.then_some((Self::File(first), rest))
    }
}

/// Replaces this process by Python, so that signals, exit code and terminal are Python's own.
pub(crate) fn run(flow: Flow, args: &[OsString], front: Front) -> Result<ExitCode> {
    match flow {
        Flow::File(file) if !Path::new(file).exists() => bail!(
            "the flow file `{}` does not exist\nhint: the first argument is the path of a Python file",
            file.display()
        ),
        Flow::File(file) if is_bare_folder(Path::new(file)) => bail!(
            "`{}` is a folder\nhint: the first argument is the path of a Python file",
            file.display()
        ),
        Flow::Module(module) if module.is_empty() => {
            bail!("-m needs the name of a module\nhint: ferroflow -m package.flow run")
        }
        _ => {}
    }
    let Interpreter { path: python, how } = interpreter::find()?;
    let own = std::env::current_exe().context("cannot find the path of this program")?;
    let mut command = Command::new(&python);
    match flow {
        Flow::File(file) => command.arg(file),
        Flow::Module(module) => command.arg("-m").arg(module),
    };
    command.args(args).env("FERROFLOW_BIN", own);
    if std::env::var_os("FERROFLOW").is_none_or(|v| v != "off") {
        command.env("PYTHONPATH", host_files::python_path(&python)?);
    }
    dev::auto::prepare(&mut command, args, &python)?;
    events::prepare(&mut command, args, front.json)?;
    if front.verbose {
        verbose::tell(&mut command, &python, how);
    }
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start `{}`", python.display()))
}

/// Python runs a folder that has a `__main__.py`.
fn is_bare_folder(path: &Path) -> bool {
    path.is_dir() && !path.join("__main__.py").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn files_and_modules_are_flows() {
        for file in ["flow.py", "sub/flow.py", "./flow", "/opt/flows/train"] {
            let line = args(&format!("{file} run"));
            let expected = (Flow::File(OsStr::new(file)), &line[1..]);
            assert_eq!(Flow::leading(&line), Some(expected), "{file}");
        }
        let blank = [OsString::from("dir with blank/flow.py")];
        assert!(Flow::leading(&blank).is_some());
        let line = args("-m package.flow run -m");
        let expected = (Flow::Module(OsStr::new("package.flow")), &line[2..]);
        assert_eq!(Flow::leading(&line), Some(expected));
        let expected = (Flow::Module(OsStr::new("")), &[][..]);
        assert_eq!(Flow::leading(&args("-m")), Some(expected));
    }

    #[test]
    fn verbs_and_options_are_none() {
        for line in ["dev up", "--version", "help"] {
            assert_eq!(Flow::leading(&args(line)), None, "{line}");
        }
    }
}
