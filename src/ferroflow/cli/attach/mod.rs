//! `ferroflow attach`: goes on with a run whose launcher has died. Rules: docs/launch-protocol.md, "Taking a run over".

mod code;
mod holder;

use std::{
    env,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail, ensure};
use model::{Plan, StepName, opening::Opening, plan::Origin};

use super::status::place::{self, Choice, Place};
use crate::{
    batch::LEASE,
    engine::host_name,
    host_files,
    interpreter::{self, Interpreter},
    stored_run::{StoredRun, block_on, named},
};

/// Goes on with a run whose launcher has died: jobs on AWS Batch are followed where they are, and what is left is launched
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ferroflow attach MyFlow/1795629404190365
  ferroflow attach MyFlow/1795629404190365 --take-over     from a launcher that seems to be alive elsewhere

Works from any machine that has the run's datastore settings, its Python version and Metaflow; with local metadata on the \
machine where the run was started. The code is that of the run's code package. A run that was cancelled, or failed, is not \
attached but resumed: `ferroflow flow.py resume --origin-run-id RUN`.

Exit codes: those of the run; 1 when it cannot be attached; 2 for a wrong command line.")]
pub(crate) struct Args {
    /// The run: MyFlow/1795629404190365
    #[arg(value_name = "FLOW/RUN")]
    run: String,
    /// Takes the run from a launcher that may be alive: that one stops as soon as it notices
    #[arg(long)]
    take_over: bool,
    #[command(flatten)]
    place: Choice,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let (flow, run) = named(&args.run)?;
    let Place::S3 { root, s3 } = args.place.find()? else {
        bail!(
            "run {} is in a datastore on disk, and only runs on AWS Batch are attached\nhint: resume it: `ferroflow FLOW.py resume --origin-run-id {run}`; --datastore s3 names the other datastore",
            args.run
        );
    };
    let (host, from, folder) = block_on(async {
        let store = place::open(&root, &s3).await?;
        let run = StoredRun { store, flow, run };
        let Some(opening) = run.opening().await? else {
            bail!(
                "run {run} has no job on AWS Batch in this datastore, so there is nothing to attach to\nhint: `ferroflow status {}` lists runs; a run that has no jobs yet is resumed, not attached",
                run.flow
            );
        };
        let from = run.last_writer().await?;
        let from = from.context("the run has no launch chain")?;
        holder::check_state(&run).await?;
        // Before the holder: what cannot be on this machine need not wait until that is dead.
        let host = HostHere::of(opening)?;
        holder::check(&run, args.take_over, &host.opening).await?;
        let folder = code::unpacked(&run.store, &root, &host.opening.package).await?;
        anyhow::Ok((host, from, folder))
    })?;
    become_host(&host, &from, &folder)
}

/// What a host of the run is started with on this machine.
struct HostHere {
    opening: Opening,
    origin: Origin,
    python: PathBuf,
    /// The folder above that of the local metadata provider.
    local_metadata: Option<PathBuf>,
}

impl HostHere {
    /// Refuses what cannot be on this machine.
    fn of(opening: Opening) -> Result<Self> {
        let Some(origin) = opening.plan.origin.clone() else {
            bail!(
                "run {} was started by a program in a way that cannot be repeated\nhint: resume it",
                opening.plan.run
            );
        };
        let local_metadata = local_metadata(&opening)?;
        let Interpreter { path: python, .. } = interpreter::find()?;
        check_python(&python, &opening)?;
        Ok(Self {
            opening,
            origin,
            python,
            local_metadata,
        })
    }
}

/// Replaces this process by the flow host of the run.
fn become_host(host: &HostHere, from: &str, folder: &Path) -> Result<ExitCode> {
    let HostHere {
        opening,
        origin,
        python,
        local_metadata,
    } = host;
    let own = env::current_exe().context("cannot find the path of this program")?;
    let attach = serde_json::json!({
        "run": opening.plan.run,
        "params": opening.plan.params,
        "from": from,
        "namespace": origin.namespace,
    });
    let mut command = Command::new(python);
    command
        .arg(folder.join(&origin.file))
        .args(&origin.arguments)
        .env("FERROFLOW_BIN", own)
        .env("FERROFLOW_ATTACH", attach.to_string())
        .env("PYTHONPATH", host_files::python_path(python)?);
    if let Some(root) = local_metadata {
        command.env("METAFLOW_DATASTORE_SYSROOT_LOCAL", root);
    }
    if let Some(cwd) = home_of(opening, origin) {
        command.current_dir(cwd);
    }
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start `{}`", python.display()))
}

/// Where the run was started, if that is here.
fn home_of<'a>(opening: &Opening, origin: &'a Origin) -> Option<&'a Path> {
    let cwd = Path::new(&origin.cwd);
    (opening.launcher.host == host_name() && cwd.is_dir()).then_some(cwd)
}

/// The folder of the local metadata provider, which other machines do not have.
fn local_metadata(opening: &Opening) -> Result<Option<PathBuf>> {
    let plan = &opening.plan;
    if plan.metadata != "local" {
        return Ok(None);
    }
    let root = plan.metadata_root.as_deref().map(Path::new);
    let host = &opening.launcher.host;
    match root.and_then(Path::parent) {
        Some(parent) if *host == host_name() && parent.is_dir() => Ok(Some(parent.to_owned())),
        _ => bail!(
            "run {} keeps its metadata on disk (--metadata local), on {host}, in `{}`\nhint: attach it there; with a metadata service (METAFLOW_SERVICE_URL) runs can be attached from anywhere",
            plan.run,
            plan.metadata_root.as_deref().unwrap_or("an unknown folder")
        ),
    }
}

/// Artifacts are pickles, and the code is that of the run.
fn check_python(python: &Path, opening: &Opening) -> Result<()> {
    let program = "import sys; print('%d.%d' % sys.version_info[:2])";
    let output = Command::new(python)
        .args(["-c", program])
        .output()
        .with_context(|| format!("cannot start `{}`", python.display()))?;
    let here = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut words = opening.launcher.python.splitn(3, '.');
    let there = [words.next(), words.next()].map(Option::unwrap_or_default);
    ensure!(
        here == there.join("."),
        "the run was begun with Python {}, and `{}` is Python {here}{}\nhint: activate an environment with that version, or name its interpreter in FERROFLOW_PYTHON ({LEASE} says how long jobs go on meanwhile)",
        there.join("."),
        python.display(),
        what_runs_here(&opening.plan)
    );
    Ok(())
}

/// What of a run needs the Python with which it was begun, as the end of a sentence.
fn what_runs_here(plan: &Plan) -> String {
    let names = plan.graph.nodes.iter().map(|node| &node.name);
    let steps = names.filter_map(|name| Some((name, plan.steps.get(name)?)));
    let (jobs, local): (Vec<_>, Vec<_>) = steps.partition(|(_, step)| step.batch);
    let list = |steps: &[&StepName]| {
        steps
            .iter()
            .map(|name| name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let local: Vec<_> = local.into_iter().map(|(name, _)| name).collect();
    let fallbacks = jobs.into_iter().filter(|(_, step)| step.retry.error > 0);
    let fallbacks: Vec<_> = fallbacks.map(|(name, _)| name).collect();
    let mut parts = Vec::new();
    if !local.is_empty() {
        parts.push(format!("steps {}", list(&local)));
    }
    if !fallbacks.is_empty() {
        parts.push(format!(
            "the fallback of step {} (@catch)",
            list(&fallbacks)
        ));
    }
    if parts.is_empty() {
        return String::new();
    }
    format!("; {} run on the launcher's machine", parts.join(", and "))
}
