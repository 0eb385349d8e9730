//! `ferroflow dev env`: shell commands that let any client use the stack.

use std::process::ExitCode;

use anyhow::{Result, bail};

use super::{folder::Dir, variables};
use crate::cli::say;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    dir: Dir,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let folder = args.dir.folder()?;
    let (Some(_), Some(stack)) = (folder.server()?, folder.description()?) else {
        bail!(
            "no stack is up in `{}`\nhint: ferroflow dev up{}",
            folder.path().display(),
            args.dir.words()
        );
    };
    let variables = variables::of(&folder, &stack)?;
    say::line(format_args!("unset {}", variables.unset.join(" ")))?;
    for (name, value) in variables.set {
        say::line(format_args!("export {name}={}", quoted(&value)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A word of the shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_value_is_for_the_shell() {
        assert_eq!(quoted("a $b `c`"), "'a $b `c`'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
