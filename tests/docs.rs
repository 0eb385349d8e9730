//! The commands in README and docs, which stand in blocks of the language `sh`: each is run here, or by who is named.

mod harness;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use harness::{FERROFLOW, bootstraps, python, remove_variables, tests_folder};

/// Who runs a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// This test, in the order of the document, in a home of its own.
    Us,
    /// Another test, a program of the project, or CI: a file that must have this text.
    Other {
        file: &'static str,
        text: &'static str,
    },
}

const CI: By = By::Other {
    file: ".ci/run",
    text: "cargo test --workspace --locked",
};

const fn other(file: &'static str, text: &'static str) -> By {
    By::Other { file, text }
}

const SIMULATED: By = other("tests/simulate.rs", "--simulate");

/// Every command, by its document.
const COMMANDS: &[(&str, &[(&str, By)])] = &[
    (
        "README.md",
        &[
            (
                r#"python3 -m venv ~/ferroflow && . ~/ferroflow/bin/activate && export METAFLOW_USER=ada && pip install '.[metaflow]' && ferroflow examples/digits.py run --with batch && eval "$(ferroflow dev env)" && python examples/show_result.py"#,
                other("tests/installed/test_readme.py", "first_command"),
            ),
            ("bash .ci/run", CI),
            (
                "pip install WHEEL",
                other("tests/installed/test_installers.py", "\"install\""),
            ),
            ("ferroflow doctor", By::Us),
            ("ferroflow flow.py run --with batch", By::Us),
            (
                "python flow.py run --with batch",
                other("tests/dev.rs", "Launcher::Upstream"),
            ),
            ("ferroflow status -v", By::Us),
            (
                "ferroflow report FLOW/RUN",
                other("tests/usage.rs", "\"report\""),
            ),
            ("ferroflow dev up", By::Us),
            (r#"eval "$(ferroflow dev env)""#, By::Us),
            ("ferroflow dev status", By::Us),
            ("ferroflow dev down", By::Us),
        ],
    ),
    (
        "docs/benchmarks.md",
        &[
            (
                "FERROFLOW_BIN=$(command -v ferroflow) python benches/package.py",
                other("benches/package.py", "FERROFLOW_BIN"),
            ),
            (r#"ferroflow dev up && eval "$(ferroflow dev env)""#, By::Us),
            (
                "python benches/launcher.py --width 64 --seconds 1",
                other("benches/launcher.py", "--width"),
            ),
            (
                "python benches/scale.py --flows plain,heavy",
                other("benches/scale.py", "--flows"),
            ),
            (
                r#"python benches/scale.py --both "" --slots "" --widths 100000 --workers 5000 --dir /tmp"#,
                other("benches/scale.py", "--widths"),
            ),
            (
                "python benches/local.py",
                other("benches/local.py", "--width"),
            ),
        ],
    ),
    (
        "docs/command-line.md",
        &[
            (r#"eval "$(ferroflow completions bash)""#, By::Us),
            (
                r#"eval "$(ferroflow completions zsh)""#,
                other("tests/command_line.rs", "zsh"),
            ),
            (
                "ferroflow completions fish > ~/.config/fish/completions/ferroflow.fish",
                By::Us,
            ),
        ],
    ),
    ("docs/configuration.md", &[("ferroflow doctor", By::Us)]),
    (
        "docs/faults.md",
        &[
            (
                r#"echo '[{"operation": "StartJob", "seed": 7, "probability": 0.2, "at_most_per_subject": 3, "fault": {"lose_host": 1}}]' > spot.json"#,
                By::Us,
            ),
            ("ferroflow dev up --dir spot --faults spot.json", By::Us),
            (r#"eval "$(ferroflow dev env --dir spot)""#, By::Us),
            ("ferroflow flow.py run --with batch", By::Us),
            ("ferroflow dev check-history --dir spot", By::Us),
            ("ferroflow dev down --dir spot", By::Us),
            (
                r#"echo '{"work": {"next": ["join"], "seconds": {"from": 5, "to": 20, "seed": 7}, "fail": 3}}' > steps.json"#,
                SIMULATED,
            ),
            (
                "ferroflow dev up --dir wide --simulate steps.json",
                SIMULATED,
            ),
            (r#"eval "$(ferroflow dev env --dir wide)""#, SIMULATED),
            (
                "ferroflow flow.py run --with batch --max-workers 10000 --max-num-splits 10000",
                SIMULATED,
            ),
        ],
    ),
    (
        "docs/json-events.md",
        &[("ferroflow --json flow.py run > events.jsonl", By::Us)],
    ),
    (
        "docs/installation.md",
        &[(
            "python3 packaging/build_wheels.py dist",
            other(".ci/run", "packaging/build_wheels.py"),
        )],
    ),
    (
        "docs/report.md",
        &[(
            "ferroflow report MyFlow/1795629404190365",
            other("tests/usage.rs", "\"report\""),
        )],
    ),
];

/// The commands of a document: a line each, without comments.
fn commands(document: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_inside = false;
    for line in document.lines() {
        match line {
            "```sh" => is_inside = true,
            _ if line.starts_with("```") => is_inside = false,
            _ if is_inside => {
                let command = line.split("  #").next().unwrap_or_default().trim_end();
                found.extend((!command.is_empty()).then(|| command.to_owned()));
            }
            _ => {}
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).expect("a file of the project")
}

fn documents() -> Vec<String> {
    let files = fs::read_dir(root().join("docs")).expect("the documents");
    let names = files.flatten().map(|file| file.file_name());
    let names = names.map(|name| format!("docs/{}", name.to_string_lossy()));
    names.chain(["README.md".to_owned()]).collect()
}

#[test]
fn each_command_is_run_by_somebody() {
    for name in documents() {
        let written: BTreeSet<_> = commands(&read(&name)).into_iter().collect();
        let known = COMMANDS.iter().find(|(document, _)| *document == name);
        let known = known.map_or(&[][..], |(_, commands)| commands);
        let tested = known.iter().map(|(command, _)| (*command).to_owned());
        assert_eq!(written, tested.collect(), "{name}");
        for (command, by) in known {
            if let By::Other { file, text } = by {
                assert!(read(file).contains(text), "{command}: {file} has no {text}");
            }
        }
    }
}

/// The names of Ferroflow's variables in a text.
fn variables(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let names = words.filter(|word| word.starts_with("FERROFLOW_"));
    names.map(str::to_owned).collect()
}

/// The texts of programs in a folder, tests left out.
fn programs(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            if name != "tests" && name != "__pycache__" {
                programs(&path, found);
            }
        } else if path.extension().is_some_and(|e| e == "rs" || e == "py") {
            let text = fs::read_to_string(&path).expect("a text");
            let program = text
                .split("#[cfg(test)]\nmod tests")
                .next()
                .unwrap_or_default();
            found.push(program.to_owned());
        }
    }
}

/// Each variable that a program reads is told of, and none that no program reads.
#[test]
fn each_variable_is_documented() {
    let mut found = vec![read("build.rs")];
    for folder in ["src", "python", "localstack"] {
        programs(&root().join(folder), &mut found);
    }
    let mut known: BTreeSet<_> = found.iter().flat_map(|text| variables(text)).collect();
    assert!(known.len() > 25, "{known:?}");
    // Those of the build, and what is for tests alone.
    known.retain(|name| !name.starts_with("FERROFLOW_BUILD_"));
    for name in ["FERROFLOW_FAILPOINT", "FERROFLOW_UPDATE_HELP"] {
        assert!(known.remove(name), "{name}");
        assert!(read("tests/README.md").contains(name), "{name}");
    }
    assert_eq!(known, variables(&read("docs/command-line.md")));
}

/// A home, and the project's examples where a reader has them.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = harness::temporary::folder();
        let path = folder.path();
        for name in ["home/.config/fish/completions", "bin"] {
            fs::create_dir_all(path.join(name)).expect("a folder");
        }
        std::os::unix::fs::symlink(FERROFLOW, path.join("bin/ferroflow")).expect("a link");
        let flow = tests_folder().join("flows/custom_ends.py");
        fs::copy(flow, path.join("flow.py")).expect("a flow");
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        let own = [
            self.folder.path().join("bin"),
            python::with_metaflow().with_file_name(""),
        ];
        let all = std::env::var_os("PATH").unwrap_or_default();
        let all = own.into_iter().chain(std::env::split_paths(&all));
        std::env::join_paths(all).expect("a PATH").into()
    }

    /// Runs a script in bash, which ends at the first command that fails.
    fn run(&self, script: &str) -> (bool, String) {
        let mut command = Command::new("bash");
        remove_variables(
            &mut command,
            &["METAFLOW", "FERROFLOW", "AWS_", "XDG_", "CI"],
        );
        let output = command
            .args(["-e", "-c", script])
            .current_dir(self.folder.path())
            .env("PATH", self.path())
            .env("HOME", self.folder.path().join("home"))
            .env("METAFLOW_USER", "reader")
            .env("FERROFLOW", "require")
            .env("FERROFLOW_BOOTSTRAP_DIR", bootstraps::folder())
            .stdin(std::process::Stdio::null())
            .output()
            .expect("bash starts");
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.run("ferroflow dev down; ferroflow dev down --dir spot");
    }
}

/// Each document on its own, as somebody follows it who has Metaflow on AWS, which the embedded stack is here.
#[test]
fn who_follows_a_document_gets_through() {
    for (document, known) in COMMANDS {
        let ours: Vec<_> = known.iter().filter(|(_, by)| *by == By::Us).collect();
        if ours.is_empty() {
            continue;
        }
        let mut script = "ferroflow dev up\neval \"$(ferroflow dev env)\"\nset -x\n".to_owned();
        for (command, _) in ours {
            script += command;
            script += "\n";
        }
        let (succeeded, output) = Desk::new().run(&script);
        assert!(succeeded, "{document}:\n{output}");
    }
}
