//! Processes as Linux shows them in /proc.

use std::{fs, path::Path};

/// Whether a process runs; one that has ended and was not waited for does not.
pub(crate) fn alive(pid: i32) -> bool {
    matches!(stat(pid), Some((state, _)) if state != 'Z' && state != 'X')
}

/// The engine of a flow host: a child of the process that the host has started to wait for it.
pub(crate) fn engine_of(host: i32) -> Option<i32> {
    let child_of = |parent| {
        all().find(|&pid| {
            let mine = parent_of(pid) == Some(parent);
            mine && command_line(pid).iter().any(|word| word == "engine")
        })
    };
    child_of(child_of(host)?)
}

/// Who started a process, or took it over.
pub(crate) fn parent_of(pid: i32) -> Option<i32> {
    stat(pid).map(|(_, parent)| parent)
}

/// Whether no process but this one has `text` in its command line.
pub(crate) fn none_mentions(text: &str) -> bool {
    !others().any(|pid| command_line(pid).iter().any(|word| word.contains(text)))
}

fn others() -> impl Iterator<Item = i32> {
    let this = std::process::id().cast_signed();
    all().filter(move |&pid| pid != this && alive(pid))
}

fn all() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc")
        .expect("/proc can be listed")
        .flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// State and parent. The name, which may contain anything, ends at the last parenthesis.
fn stat(pid: i32) -> Option<(char, i32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text[text.rfind(')')? + 1..].split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn command_line(pid: i32) -> Vec<String> {
    let bytes =
        fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).unwrap_or_default();
    let words = bytes.split(|&b| b == 0);
    words
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

/// Whether no process but this one has `text` in its environment.
pub(crate) fn none_with(text: &str) -> bool {
    !others().any(|pid| has_in_environment(pid, text))
}

/// The engine that has `text` in its environment; not the process that waits for it.
pub(crate) fn engine_with(text: &str) -> Option<i32> {
    let has_its_name = |pid| {
        let line = command_line(pid);
        line.get(1).is_some_and(|verb| verb == "engine")
    };
    all().find(|&pid| {
        has_its_name(pid)
            && parent_of(pid).is_some_and(has_its_name)
            && has_in_environment(pid, text)
    })
}

fn has_in_environment(pid: i32, text: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}
