//! `ferroflow dev up`: starts the stack as a process of its own and waits until it answers.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use localstack::{Description, Folder};

use super::{
    folder::Dir,
    serve::{self, Settings},
    status,
};
use crate::{cli::say, interpreter};

/// For the stack to answer. It takes milliseconds, but the machine may be busy.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    dir: Dir,
    #[command(flatten)]
    settings: Settings,
    /// Stays in this terminal until Ctrl-C
    #[arg(long)]
    foreground: bool,
}

/// Whether a stack had to be started.
#[derive(Debug)]
pub(super) enum Up {
    Started(Description),
    Already(Description),
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let folder = args.dir.folder()?;
    let python = match interpreter::find() {
        Ok(python) => Some(std::path::absolute(python.path)?),
        Err(error) => {
            let text = format!("ferroflow: jobs run on `python` of their own PATH: {error}");
            let _ = writeln!(io::stderr(), "{text}");
            None
        }
    };
    if args.foreground {
        let path = folder.path().to_owned();
        let options = args.settings.options(folder, python)?;
        return serve::serve(options, |stack| {
            // Serves all the same.
            let _ = say::line(format_args!(
                "{} in {}; Ctrl-C stops it",
                stack.endpoint,
                path.display()
            ));
        });
    }
    match start(&folder, &args.settings, python)? {
        Up::Started(stack) => say::line(format_args!(
            "the stack is up: {} in {}; to use it: eval \"$(ferroflow dev env{})\"",
            stack.endpoint,
            folder.path().display(),
            args.dir.words()
        ))?,
        Up::Already(stack) => say::line(format_args!(
            "the stack is already up: {} in {}",
            stack.endpoint,
            folder.path().display()
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts the stack of a folder unless it is up.
pub(super) fn start(folder: &Folder, settings: &Settings, python: Option<PathBuf>) -> Result<Up> {
    if folder.server()?.is_some() {
        let stack = answering(folder, None)?;
        refuse_other_settings(&stack, settings)?;
        return Ok(Up::Already(stack));
    }
    // What is wrong with the settings and the folder is said here rather than in the log.
    settings.options(folder.clone(), python.clone())?;
    folder.description()?;
    folder.create()?;
    let begin = fs::metadata(folder.log()).map_or(0, |log| log.len());
    let mut server = spawn(folder, settings, python)?;
    match answering(folder, Some(&mut server)) {
        Ok(stack) if stack.pid == Some(server.id()) => Ok(Up::Started(stack)),
        Ok(stack) => {
            // Somebody else was faster; ours waits for the folder and must not get it when that one stops.
            let _ = server.kill();
            let _ = server.wait();
            Ok(Up::Already(stack))
        }
        Err(error) => {
            let _ = server.kill();
            let _ = server.wait();
            match said(folder, begin) {
                Some(text) => bail!("{text}"),
                None => Err(error),
            }
        }
    }
}

fn refuse_other_settings(stack: &Description, settings: &Settings) -> Result<()> {
    let same_port = settings
        .port
        .is_none_or(|port| port == 0 || port == stack.port);
    let usual = Settings {
        port: settings.port,
        ..Settings::default()
    };
    if same_port && *settings == usual {
        return Ok(());
    }
    bail!(
        "the stack is already up at {} and keeps the settings that it was started with\nhint: ferroflow dev down, then up again",
        stack.endpoint
    )
}

fn spawn(folder: &Folder, settings: &Settings, python: Option<PathBuf>) -> Result<Child> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(folder.log())
        .with_context(|| format!("cannot open `{}`", folder.log().display()))?;
    let own = std::env::current_exe().context("cannot find the path of this program")?;
    let mut command = Command::new(own);
    command.args(["dev", "serve", "--dir"]).arg(folder.path());
    if let Some(port) = settings.port {
        command.args(["--port", &port.to_string()]);
    }
    if let Some(faults) = &settings.faults {
        command.arg("--faults").arg(std::path::absolute(faults)?);
    }
    if let Some(simulate) = &settings.simulate {
        command
            .arg("--simulate")
            .arg(std::path::absolute(simulate)?);
    }
    command.args(["--speed", &settings.speed.to_string()]);
    if settings.strict {
        command.arg("--strict");
    }
    if let Some(python) = python {
        command.arg("--python").arg(python);
    }
    if std::env::var_os("FERROFLOW_LOG").is_none() {
        command.env("FERROFLOW_LOG", "info");
    }
    command
        .env("NO_COLOR", "1")
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("cannot start the stack")
}

/// Waits until the stack answers; not when `server` has ended and no other has the folder.
fn answering(folder: &Folder, mut server: Option<&mut Child>) -> Result<Description> {
    let limit = Instant::now() + PATIENCE;
    loop {
        let pid = folder.server()?;
        if let (Some(pid), Some(stack)) = (pid, folder.description()?)
            && stack.pid.map(u32::cast_signed) == Some(pid)
            && status::ask(folder, &stack).is_ok()
        {
            return Ok(stack);
        }
        let ended = match server.as_mut() {
            Some(server) => server.try_wait()?,
            None => None,
        };
        if let (Some(status), None) = (ended, pid) {
            bail!("the stack has ended: {status}");
        }
        if Instant::now() > limit {
            bail!(
                "the stack does not answer\nhint: its log is `{}`",
                folder.log().display()
            );
        }
        thread::sleep(PAUSE);
    }
}

/// What a server that did not come up has left in the log: its error.
fn said(folder: &Folder, begin: u64) -> Option<String> {
    let log = fs::read(folder.log()).ok()?;
    let text = String::from_utf8_lossy(log.get(begin as usize..)?).into_owned();
    let text = text.trim();
    let error = text
        .rfind("ferroflow: ")
        .map(|at| &text[at + "ferroflow: ".len()..])?;
    Some(error.to_owned())
}
