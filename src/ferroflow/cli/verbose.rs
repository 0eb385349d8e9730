//! `ferroflow -v FLOW.py …`: what a flow is run with, on standard error.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, Write},
    path::Path,
    process::Command,
};

use crate::host_files;

/// What the engine tells of itself, unless FERROFLOW_LOG says otherwise.
pub(crate) const LEVEL: &str = "info";

/// Settings that say where runs are kept, besides those of configuration files.
const DATASTORE: [&str; 6] = [
    "METAFLOW_PROFILE",
    "METAFLOW_DEFAULT_DATASTORE",
    "METAFLOW_DATASTORE_SYSROOT_LOCAL",
    "METAFLOW_DATASTORE_SYSROOT_S3",
    "METAFLOW_S3_ENDPOINT_URL",
    "METAFLOW_DEFAULT_METADATA",
];

/// Tells of a command that is about to start, and lets its engine tell more.
pub(crate) fn tell(command: &mut Command, python: &Path, how: &str) {
    if value(command, "FERROFLOW_LOG").is_none() {
        command.env("FERROFLOW_LOG", LEVEL);
    }
    for (name, text) in facts(command, python, how) {
        // Nobody need read it.
        let _ = writeln!(io::stderr(), "ferroflow: {name}: {text}");
    }
}

fn facts(command: &Command, python: &Path, how: &str) -> Vec<(&'static str, String)> {
    let program = value(command, "FERROFLOW_BIN").unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    vec![
        ("interpreter", format!("{} ({how})", python.display())),
        (
            "program",
            format!("{} (version {version})", program.display()),
        ),
        ("extension", extension(command)),
        ("datastore", datastore(command)),
    ]
}

/// A variable as the flow will see it.
fn value(command: &Command, name: &str) -> Option<OsString> {
    match command.get_envs().find(|(key, _)| *key == name) {
        Some((_, changed)) => changed.map(OsStr::to_owned),
        None => env::var_os(name),
    }
}

fn extension(command: &Command) -> String {
    if value(command, "FERROFLOW").is_some_and(|wish| wish == "off") {
        return "none, because of FERROFLOW=off".to_owned();
    }
    let paths = value(command, "PYTHONPATH").unwrap_or_default();
    let ours = host_files::unpacked().ok();
    let injected = ours.filter(|ours| env::split_paths(&paths).any(|path| path == ours.extension));
    match injected {
        Some(ours) => format!("{} (of this program)", ours.extension.display()),
        None => "the one installed for the interpreter".to_owned(),
    }
}

fn datastore(command: &Command) -> String {
    let settings: Vec<_> = DATASTORE
        .iter()
        .filter_map(|name| Some((name, value(command, name)?)))
        .map(|(name, value)| format!("{name}={}", value.display()))
        .collect();
    if settings.is_empty() {
        "as the configuration files of Metaflow say, else .metaflow".to_owned()
    } else {
        settings.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_the_flow_sees() {
        let mut command = Command::new("python");
        command
            .env("FERROFLOW_BIN", "/opt/ferroflow")
            .env("FERROFLOW", "off")
            .env("METAFLOW_DEFAULT_DATASTORE", "s3")
            .env("METAFLOW_DATASTORE_SYSROOT_S3", "s3://bucket/root");
        for name in DATASTORE {
            if command.get_envs().all(|(key, _)| key != name) {
                command.env_remove(name);
            }
        }
        let facts = facts(&command, Path::new("/usr/bin/python"), "the first on PATH");
        let text = |name| {
            let found = facts.iter().find(|(n, _)| *n == name);
            found.map(|(_, text)| text.as_str()).unwrap()
        };
        assert_eq!(text("interpreter"), "/usr/bin/python (the first on PATH)");
        assert!(text("program").starts_with("/opt/ferroflow (version "));
        assert_eq!(text("extension"), "none, because of FERROFLOW=off");
        let both = "METAFLOW_DEFAULT_DATASTORE=s3 METAFLOW_DATASTORE_SYSROOT_S3=s3://bucket/root";
        assert_eq!(text("datastore"), both);
    }
}
