//! `ferroflow completions SHELL`: a script that completes verbs, their options, and flows.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Command, CommandFactory, ValueEnum};
use clap_complete::aot;

use super::{Cli, say};

/// Prints a script that makes a shell complete verbs, options and flows
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eval \"$(ferroflow completions bash)\"                              in ~/.bashrc
  eval \"$(ferroflow completions zsh)\"                               in ~/.zshrc, after compinit
  ferroflow completions fish > ~/.config/fish/completions/ferroflow.fish")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// What clap's scripts for bash and zsh end with; ours begin there.
const BASH_END: &str = "if [[ \"${BASH_VERSINFO[0]}\"";
const ZSH_END: &str = "if [ \"$funcstack[1]\"";

const BASH: &str = r#"_ferroflow_or_flow() {
    local first=1
    while [[ ${COMP_WORDS[first]} == @(-v|--verbose|--json) && $COMP_CWORD -gt $first ]]; do first=$((first + 1)); done
    # What follows a flow is the flow's: files, as everywhere.
    COMPREPLY=()
    [[ $COMP_CWORD -gt $first && ${COMP_WORDS[first]} == *.py ]] && return
    _ferroflow "$@"
    if [[ $COMP_CWORD -eq $first && $2 != -* ]]; then
        local IFS=$'\n'
        local -a flows=($(compgen -f -X '!*.py' -- "$2") $(compgen -d -- "$2"))
        if [[ ${#flows[@]} -gt 0 ]]; then
            COMPREPLY+=("${flows[@]}")
            compopt -o filenames 2>/dev/null
        fi
    fi
}
complete -F _ferroflow_or_flow -o bashdefault -o default ferroflow
"#;

const ZSH: &str = r#"_ferroflow_or_flow() {
    local -i first=2
    while [[ $words[first] == (-v|--verbose|--json) ]] && (( CURRENT > first )); do (( first++ )); done
    if (( CURRENT > first )) && [[ $words[first] == *.py ]]; then
        # What follows a flow is the flow's.
        _files
    elif (( CURRENT == first )); then
        _alternative 'verbs: :_ferroflow' 'flows:flow:_files -g "*.py"'
    else
        _ferroflow "$@"
    fi
}
if [ "$funcstack[1]" = "_ferroflow" ]; then
    _ferroflow_or_flow "$@"
else
    compdef _ferroflow_or_flow ferroflow
fi
"#;

const FISH: &str = r#"complete -c ferroflow -n "__fish_ferroflow_needs_command" -k -a "(__fish_complete_suffix .py)"
"#;

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    say::text(&script(args.shell)?)?;
    Ok(ExitCode::SUCCESS)
}

fn script(shell: Shell) -> Result<String> {
    let (of_clap, end, ours) = match shell {
        Shell::Bash => (aot::Shell::Bash, BASH_END, BASH),
        Shell::Zsh => (aot::Shell::Zsh, ZSH_END, ZSH),
        Shell::Fish => (aot::Shell::Fish, "", FISH),
    };
    let mut script = Vec::new();
    aot::generate(
        of_clap,
        &mut shown(Cli::command()),
        "ferroflow",
        &mut script,
    );
    let script = String::from_utf8(script)?;
    let theirs = match script.rfind(end) {
        Some(at) => &script[..at],
        None => bail!("the script of clap_complete has no `{end}`"),
    };
    Ok(format!("{theirs}{ours}"))
}

/// A command without the verbs that are not for people.
fn shown(command: Command) -> Command {
    let verbs: Vec<_> = command
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set())
        .cloned()
        .map(shown)
        .collect();
    let bare = Command::new(command.get_name().to_owned())
        .args(command.get_arguments().cloned())
        .subcommands(verbs);
    match command.get_about() {
        Some(about) => bare.about(about.clone()),
        None => bare,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_know_what_is_for_people() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell).unwrap();
            assert!(script.contains("status"), "{script}");
            assert!(script.contains(".py"), "{script}");
            assert!(!script.contains("bootstrap"), "{script}");
        }
    }
}
