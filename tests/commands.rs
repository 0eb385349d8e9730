//! Command lines that are upstream's: the output and the exit code are those of `python FLOW.py …`. And what Ferroflow
//! does with runs that it hands back, is told to leave alone, or is told to refuse.

mod harness;

use std::{fs, os::unix::fs::symlink};

use harness::lab::{Finished, Lab, Launcher};

/// The same command by both launchers in the same folder.
fn same_by_both(lab: &Lab, args: &[&str]) -> Finished {
    // Upstream prints sets, in the order of their hashes.
    let [upstream, ferroflow] = [Launcher::Upstream, Launcher::Ferroflow].map(|launcher| {
        let mut command = lab.command(launcher, args);
        command.env("PYTHONHASHSEED", "0");
        lab.start(command).wait()
    });
    assert_eq!(
        upstream.status,
        ferroflow.status,
        "{args:?}\n{}",
        ferroflow.all()
    );
    assert_eq!(upstream.stdout, ferroflow.stdout, "{args:?}");
    assert_eq!(upstream.stderr, ferroflow.stderr, "{args:?}");
    ferroflow
}

fn with_wish(lab: &Lab, wish: Option<&str>, args: &[&str]) -> Finished {
    let mut command = lab.command(Launcher::Ferroflow, args);
    match wish {
        Some(wish) => command.env("FERROFLOW", wish),
        None => command.env_remove("FERROFLOW"),
    };
    lab.start(command).wait()
}

#[test]
fn commands_without_a_run() {
    let lab = Lab::new("maxsplits.py");
    // Else the first command alone would say that it makes it.
    fs::create_dir(lab.path().join(".metaflow")).expect("the root of the datastore");
    for args in [
        &["show"][..],
        &["check"],
        &["--help"],
        &["run", "--help"],
        &["resume", "--help"],
        &["version"],
        &["help"],
        &[],
        &["nonsense"],
        &["run", "--nonsense"],
        &["--no-pylint", "output-raw"],
        &["--with", "no_such_decorator", "run"],
        &["--datastore", "nowhere", "run"],
        &["dump", "1/start/1"],
        &["tag", "list"],
    ] {
        same_by_both(&lab, args);
    }
}

#[test]
fn commands_about_a_run_of_ours() {
    let lab = Lab::new("linear.py");
    lab.run(Launcher::Ferroflow, &["run", "--run-id-file", "run-id"])
        .exited(0);
    let run = fs::read_to_string(lab.path().join("run-id")).expect("the run has an id");
    let run = run.trim();
    for step in ["start", "middle", "end"] {
        let step = format!("{run}/{step}");
        same_by_both(&lab, &["dump", &step]).exited(0);
        same_by_both(&lab, &["logs", &step]).exited(0);
        same_by_both(&lab, &["logs", "--stderr", &step]).exited(0);
    }
    same_by_both(&lab, &["logs", &format!("{run}/start")])
        .exited(0)
        .says("hello from start");
    same_by_both(&lab, &["tag", "list", "--run-id", run]).exited(0);
    same_by_both(&lab, &["logs", "--scrub", &format!("{run}/start")]);
    same_by_both(&lab, &["logs", &format!("{run}/start")]);
}

/// A resume belongs to upstream for now: with a sentence on stderr, or not at all under `require`.
#[test]
fn a_resume_is_handed_back() {
    let lab = Lab::new("recursion.py");
    let mut failing = lab.command(Launcher::Ferroflow, &["run"]);
    failing.env("FAIL_IN_LOOP", "1");
    lab.start(failing).wait().exited(1);

    let refused = with_wish(&lab, Some("require"), &["resume"]).exited(1);
    assert!(
        refused.stderr.contains("Ferroflow cannot run this flow"),
        "{}",
        refused.all()
    );
    let refused = refused.says("FERROFLOW=require");
    refused.does_not_say("Task is starting");

    let resumed = with_wish(&lab, None, &["resume"]).exited(0);
    let lines: Vec<_> = resumed
        .stderr
        .lines()
        .filter(|l| l.contains("ferroflow"))
        .collect();
    assert_eq!(lines.len(), 1, "{}", resumed.all());
    assert!(
        lines[0].starts_with("ferroflow: handing this run back to Metaflow: "),
        "{lines:?}"
    );
    resumed.says("Done!");
}

#[test]
fn a_parallel_step_is_handed_back() {
    let lab = Lab::new("parallel.py");
    let refused = with_wish(&lab, Some("require"), &["run"]).exited(1);
    refused
        .says("Ferroflow cannot run this flow")
        .says("@parallel")
        .does_not_say("Task is starting");
    let run = with_wish(&lab, None, &["run"]).exited(0).says("Done!");
    assert!(
        run.stderr.contains("handing this run back to Metaflow"),
        "{}",
        run.all()
    );
}

#[test]
fn off_means_upstream_without_a_word() {
    let lab = Lab::new("custom_ends.py");
    let run = with_wish(&lab, Some("off"), &["run"]).exited(0);
    let upstream = Lab::new("custom_ends.py")
        .run(Launcher::Upstream, &["run"])
        .exited(0);
    assert_eq!(run.run_lines(), upstream.run_lines());
    run.does_not_say("ferroflow");
}

#[test]
fn a_wish_that_means_nothing_is_an_error() {
    let lab = Lab::new("custom_ends.py");
    let refused = with_wish(&lab, Some("perhaps"), &["run"]).exited(1);
    refused.says("'perhaps'").says("auto, off or require");
}

#[test]
fn without_a_wish_the_engine_runs_the_flow() {
    let lab = Lab::new("custom_ends.py");
    let run = with_wish(&lab, None, &["run"]).exited(0).says("Done!");
    run.does_not_say("handing");
}

#[test]
fn a_flow_that_is_not_there() {
    let lab = Lab::new("custom_ends.py");
    fs::remove_file(lab.path().join("custom_ends.py")).expect("the flow is removed");
    let refused = lab.run(Launcher::Ferroflow, &["run"]).exited(1);
    refused
        .says("custom_ends.py")
        .says("does not exist")
        .says("hint:");
}

#[test]
fn a_path_with_blanks() {
    let lab = Lab::with_path("custom_ends.py", "a folder/and a flow.py");
    lab.run(Launcher::Ferroflow, &["run"])
        .exited(0)
        .says("Done!");
}

/// What Python imports from: our two folders come before everything but the flow's own, and nothing else changes. An
/// empty entry in PYTHONPATH would be the current folder.
#[test]
fn the_import_path_is_pythons_own() {
    let lab = Lab::with_path("custom_ends.py", "sub/print_path.py");
    let script = lab.path().join("sub/print_path.py");
    fs::write(script, "import sys; print('\\n'.join(sys.path))").expect("a script");
    let elsewhere = lab.path().join("elsewhere");
    for paths in [None, Some(""), elsewhere.to_str()] {
        let [upstream, ours] = [Launcher::Upstream, Launcher::Ferroflow].map(|launcher| {
            let mut command = lab.command(launcher, &[]);
            if let Some(paths) = paths {
                command.env("PYTHONPATH", paths);
            }
            let run = lab.start(command).wait().exited(0);
            run.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
        });
        let (added, others): (Vec<_>, Vec<_>) = ours
            .into_iter()
            .partition(|p| p.contains("/ferroflow/host-"));
        assert_eq!((added.len(), others), (2, upstream), "{paths:?} {added:?}");
    }
}

#[test]
fn a_symbolic_link_to_a_flow() {
    let lab = Lab::with_path("custom_ends.py", "real/custom_ends.py");
    let link = Lab::with_path("custom_ends.py", "link.py");
    fs::remove_file(link.path().join("link.py")).expect("the copy is removed");
    symlink(
        lab.path().join("real/custom_ends.py"),
        link.path().join("link.py"),
    )
    .expect("a link");
    let run = link
        .run(Launcher::Ferroflow, &["run"])
        .exited(0)
        .says("Done!");
    run.says("CustomEndsFlow");
}

/// A module of the user that has the name of ours must not get in the way, nor ours in the way of the user's.
#[test]
fn a_module_of_the_user_named_ferroflow() {
    let lab = Lab::new("custom_ends.py");
    fs::write(lab.path().join("ferroflow.py"), "answer = 42\n").expect("a module");
    let flow = lab.path().join("custom_ends.py");
    let source = fs::read_to_string(&flow).expect("the flow");
    let source = source.replace(
        "from metaflow",
        "import ferroflow\nassert ferroflow.answer == 42\nfrom metaflow",
    );
    fs::write(&flow, source).expect("the flow with an import");
    with_wish(&lab, None, &["run"]).exited(0).says("Done!");
}

/// A decorator of an extension that starts steps its own way: with a sentence, or not at all under `require`.
#[test]
fn a_step_that_is_started_otherwise_is_refused_under_require() {
    let lab = Lab::new("custom_ends.py");
    let from = harness::tests_folder().join("flows/extension");
    let run = |wish: &str| {
        let mut command = lab.command(Launcher::Ferroflow, &["run", "--with", "through_shell"]);
        command.env("FERROFLOW", wish).env("PYTHONPATH", &from);
        lab.start(command).wait()
    };
    let refused = run("require").exited(1);
    refused
        .says("FERROFLOW=require forbids")
        .does_not_say("Task is starting");
    run("auto")
        .exited(0)
        .says("through the shell")
        .does_not_say("handing");
}

/// A line of a task is on the console while the task still runs.
#[test]
fn lines_appear_at_once() {
    let lab = Lab::new("blocks.py");
    let running = lab.start(lab.command(Launcher::Ferroflow, &["run"]));
    harness::wait_for("both tasks to say that they block", || {
        running.output().matches("] blocking").count() == 2
    });
    fs::write(lab.shared("release"), "").expect("the tasks are released");
    running.wait().exited(0).says("Done!");
}

/// A run of very many tasks must not keep an object for each.
#[test]
fn tasks_that_are_over_are_forgotten() {
    let lab = Lab::new("watched_host.py");
    let run = lab.run(Launcher::Ferroflow, &["run"]).exited(0);
    let kept = run.stdout.lines().find_map(|line| {
        let number = line.strip_prefix("tasks kept: ")?;
        number.parse::<u32>().ok()
    });
    // Of 15. Upstream has hold of the last one.
    assert!(kept.is_some_and(|kept| kept < 3), "{}", run.all());
}

/// Output into a pipe that nobody reads any more: `ferroflow flow.py run | head -1`.
#[test]
fn a_closed_pipe_ends_the_run() {
    let lab = Lab::new("loglines.py");
    let [upstream, ferroflow] = [Launcher::Upstream, Launcher::Ferroflow].map(|launcher| {
        let inner = lab.command(launcher, &["run"]);
        let script = "{ \"$0\" \"$@\"; echo $? > code; } 2>/dev/null | head -1";
        let shell = lab.through("sh", &["-c", script], &inner);
        lab.start(shell).wait().exited(0);
        fs::read_to_string(lab.path().join("code")).expect("the launcher has ended")
    });
    assert_eq!(
        upstream == "0\n",
        ferroflow == "0\n",
        "upstream {upstream}, ferroflow {ferroflow}"
    );
}
