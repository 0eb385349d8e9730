//! What a command printed, without what differs from run to run and from machine to machine.

/// What a run prints on every machine before it comes to the point.
const USUAL: [&str; 7] = [
    "Metaflow 2.",
    "Creating local datastore in current directory",
    "Validating your flow...",
    "    The graph looks good!",
    "Running pylint...",
    "    Pylint not found",
    "Workflow starting (run-id <run>)",
];

/// The lines that matter; `names` are texts of this machine and what stands for them.
pub(crate) fn lines(output: &str, names: &[(String, &str)]) -> Vec<String> {
    let lines = output.lines().map(|line| {
        let mut line = without_time(line).to_owned();
        for (text, name) in names {
            line = line.replace(text.as_str(), name);
        }
        plain(&line)
    });
    let matters = |line: &String| {
        !line.trim().is_empty() && !USUAL.iter().any(|usual| line.starts_with(usual))
    };
    lines.filter(matters).collect()
}

/// `2026-01-31 12:00:00.123 text` without the time.
fn without_time(line: &str) -> &str {
    match line.split_at_checked(24) {
        Some((time, rest))
            if time.starts_with("20") && time.ends_with(' ') && time.contains(':') =>
        {
            rest
        }
        _ => line,
    }
}

/// Numbers and ids as words: runs (16 digits), processes, ports, UUIDs, hashes.
fn plain(line: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut words = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(is_part) {
        let (before, word) = rest.split_at(start);
        let end = word.find(|c| !is_part(c)).unwrap_or(word.len());
        words.push_str(before);
        words.push_str(name_of(&words, &word[..end]));
        rest = &word[end..];
    }
    words.push_str(rest);
    words
}

fn name_of<'a>(before: &str, word: &'a str) -> &'a str {
    let is_number = word.bytes().all(|b| b.is_ascii_digit());
    let is_hex = word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    match word.len() {
        16 if is_number => "<run>",
        36 if is_hex && word.matches('-').count() == 4 => "<id>",
        40 | 64 if is_hex => "<hash>",
        _ if is_number && (before.ends_with("(pid ") || before.ends_with("process ")) => "<pid>",
        _ if is_number && before.ends_with("127.0.0.1:") && word.len() > 1 => "<port>",
        _ => word,
    }
}

#[test]
fn what_differs_has_a_name() {
    let output = "2026-11-26 02:51:07.003 [1795661467000636/start/1 (pid 934)] at 127.0.0.1:4321\n\nRunning pylint...\n";
    let names = [("start".to_owned(), "<step>")];
    assert_eq!(
        lines(output, &names),
        ["[<run>/<step>/1 (pid <pid>)] at 127.0.0.1:<port>"]
    );
}
