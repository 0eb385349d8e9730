//! The binary as the ENTRYPOINT of an image. AWS Batch cannot override an entrypoint: it gives the
//! job's command to it as arguments.

use std::{
    env, ffi::OsString, fs, io, os::unix::process::CommandExt, path::Path, process::Command,
};

use model::spec::variable;
use sha2::{Digest, Sha256};

use crate::{console::Console, environment::Environment, main, stub};

/// This program, where Linux shows it.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Exit codes of shells for a command that is not there, and one that cannot be executed.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// Runs the task of a job that was launched with this very binary, as it runs without arguments.
/// Any other command replaces this process: that of stock Metaflow, of somebody who looks into
/// the image, or of a job whose launcher brings another version of this program.
pub fn entrypoint() -> i32 {
    let mut words = env::args_os().skip(1);
    let Some(program) = words.next() else {
        return main();
    };
    if is_asked_for(&Environment::of_process(), Path::new(THIS_PROGRAM)) {
        return main();
    }
    become_command(&program, words)
}

/// Whether the job names a task, and `this` as the program to run it.
fn is_asked_for(environment: &Environment, this: &Path) -> bool {
    if environment.text(variable::SPEC).is_none() {
        return false;
    }
    let Some(wanted) = environment.text(stub::variable::SHA256) else {
        return false;
    };
    fs::read(this).is_ok_and(|binary| wanted.contains(&hex::encode(Sha256::digest(binary))))
}

fn become_command(program: &OsString, arguments: impl Iterator<Item = OsString>) -> i32 {
    let error = Command::new(program).args(arguments).exec();
    let text = format!("failed to start `{}`: {error}", program.display());
    Console::of_process().say(&text);
    if error.kind() == io::ErrorKind::NotFound {
        NOT_FOUND
    } else {
        NOT_EXECUTABLE
    }
}
