//! This machine: the user's name, folders that must be writable, the bootstraps.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use nix::sys::statvfs::statvfs;

use super::Finding;
use crate::{
    bootstraps, host_files,
    metaflow_config::{FOLDER, MetaflowConfig, folder_above},
};

/// Free bytes below which runs are likely to fail, and below which it gets tight.
const TOO_LITTLE: u64 = 100 << 20;
const LITTLE: u64 = 1 << 30;

/// Where Metaflow looks for the user's name, after METAFLOW_USER (`get_username` in
/// metaflow/util.py). It takes root for nobody.
const USER: [&str; 3] = ["SUDO_USER", "USERNAME", "USER"];

/// Who runs flows, by Metaflow's reading, and what says so.
pub(super) fn user(config: &MetaflowConfig) -> Option<(String, String)> {
    let is_one = |name: &String| !name.is_empty() && name != "root";
    if let Some(named) = config.get("USER").filter(|named| is_one(&named.value)) {
        return Some((named.value, named.origin.to_string()));
    }
    let named = |name: &str| Some((env::var(name).ok().filter(is_one)?, name.to_owned()));
    USER.into_iter().find_map(named)
}

pub(super) fn examine(config: &MetaflowConfig, uses_aws: bool) -> Vec<Finding> {
    let mut findings = vec![user_name(config), bootstrap(uses_aws)];
    findings.push(folder("temporary folder", &env::temp_dir(), "TMPDIR"));
    findings.push(match host_files::unpacked() {
        Ok(files) => folder(
            "cache",
            files.host.parent().unwrap_or(&files.host),
            "XDG_CACHE_HOME",
        ),
        Err(error) => Finding::problem(
            "cache",
            format!("{error:#}"),
            "set XDG_CACHE_HOME to a folder that you may write",
        ),
    });
    if config.text("DEFAULT_DATASTORE").as_deref() == Some("local") {
        let root = local_root(config);
        let setting = "METAFLOW_DATASTORE_SYSROOT_LOCAL";
        findings.push(folder("datastore (local)", &root, setting));
    }
    findings
}

fn user_name(config: &MetaflowConfig) -> Finding {
    match user(config) {
        Some((name, _)) => Finding::ok("user", name),
        None => Finding::problem(
            "user",
            "Metaflow does not know who you are: there is no name, or it is root",
            "set METAFLOW_USER",
        ),
    }
}

fn bootstrap(uses_aws: bool) -> Finding {
    let thing = "bootstraps for containers";
    let (found, missing) = match bootstraps::machines() {
        Ok(machines) => machines,
        Err(error) => {
            let why = format!("{error:#}");
            let (cause, fix) = why.split_once("\nhint: ").unwrap_or((&why, ""));
            return if uses_aws {
                Finding::problem(thing, cause, fix)
            } else {
                Finding::warning(thing, cause, fix)
            };
        }
    };
    if missing.is_empty() {
        return Finding::ok(thing, found.join(", "));
    }
    Finding::warning(
        thing,
        format!(
            "there is none for {}: jobs on such hosts fail",
            missing.join(", ")
        ),
        "install a wheel of Ferroflow, which has all, or keep to queues with other hosts",
    )
}

/// Where Metaflow's local datastore is, or would be made.
fn local_root(config: &MetaflowConfig) -> PathBuf {
    if let Some(root) = config.text("DATASTORE_SYSROOT_LOCAL") {
        return Path::new(&root).join(FOLDER);
    }
    let here = env::current_dir().unwrap_or_default();
    folder_above(&here).unwrap_or_else(|| here.join(FOLDER))
}

/// Whether files can be made in a folder, or in the one where it would be made.
fn folder(thing: &str, path: &Path, setting: &str) -> Finding {
    let thing = format!("{thing} `{}`", path.display());
    let there = path.ancestors().find(|folder| folder.exists());
    let there = there.unwrap_or(Path::new("/"));
    if let Err(error) = can_write(there) {
        let text = format!("cannot make a file in `{}`: {error}", there.display());
        let fix = format!("let {setting} name a folder that you may write, or make room");
        return Finding::problem(thing, text, fix);
    }
    let fix = format!("make room, or let {setting} name a folder on another disk");
    match free(there) {
        Some(free) if free < TOO_LITTLE => Finding::problem(thing, in_words(free), fix),
        Some(free) if free < LITTLE => Finding::warning(thing, in_words(free), fix),
        Some(free) => Finding::ok(thing, in_words(free)),
        None => Finding::ok(thing, "writable"),
    }
}

fn can_write(folder: &Path) -> io::Result<()> {
    if !fs::metadata(folder)?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::NotADirectory));
    }
    tempfile::Builder::new()
        .prefix(".ferroflow-doctor")
        .tempfile_in(folder)
        .map(drop)
}

fn free(folder: &Path) -> Option<u64> {
    let disk = statvfs(folder).ok()?;
    #[allow(
        clippy::unnecessary_cast,
        clippy::useless_conversion,
        reason = "the types differ on macOS"
    )]
    let blocks = u64::from(disk.blocks_available());
    Some(blocks.saturating_mul(disk.fragment_size() as u64))
}

fn in_words(bytes: u64) -> String {
    format!(
        "writable, {:.1} GiB free",
        bytes as f64 / f64::from(1 << 30)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_folder_that_is_none_is_a_problem() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        fs::write(&file, "").unwrap();
        let found = folder("x", &file.join("y"), "SETTING");
        assert_eq!(found.level, Level::Problem);
        assert!(found.fix.unwrap().contains("SETTING"));
        let found = folder("x", &base.path().join("not/yet"), "SETTING");
        assert_ne!(found.level, Level::Problem, "{}", found.text);
        assert_eq!(
            fs::read_dir(base.path()).unwrap().count(),
            1,
            "nothing is left"
        );
    }
}
