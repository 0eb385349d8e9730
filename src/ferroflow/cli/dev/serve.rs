//! `ferroflow dev serve`: the stack, in this process until it is told to stop.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use localstack::{Description, Folder, Options, Simulation, faults::Rule};
use nix::unistd::setsid;

use super::folder::Dir;

/// How the stack behaves.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub(super) struct Settings {
    /// The port to listen on; 0 lets the system choose [default: that of the last time]
    #[arg(long)]
    pub(super) port: Option<u16>,
    /// A JSON file with rules for what is to go wrong
    #[arg(long, value_name = "FILE")]
    pub(super) faults: Option<PathBuf>,
    /// A JSON file that names steps whose tasks are played by the stack, without a process
    #[arg(long, value_name = "FILE")]
    pub(super) simulate: Option<PathBuf>,
    /// Seconds of AWS's time that pass in a second
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = speed)]
    pub(super) speed: f64,
    /// Lets a job that is larger than this machine wait for ever, as AWS does, instead of running it alone
    #[arg(long)]
    pub(super) strict: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: None,
            faults: None,
            simulate: None,
            speed: 1.0,
            strict: false,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    dir: Dir,
    #[command(flatten)]
    settings: Settings,
    /// The interpreter of jobs that name none
    #[arg(long)]
    python: Option<PathBuf>,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    // Fails for the leader of a process group, which somebody has put into a session on purpose.
    let _ = setsid();
    let options = args.settings.options(args.dir.folder()?, args.python)?;
    serve(options, |stack| {
        tracing::info!(endpoint = stack.endpoint, "the stack is up");
    })
}

pub(super) fn serve(options: Options, ready: impl FnOnce(&Description)) -> Result<ExitCode> {
    localstack::run(options, ready)?;
    Ok(ExitCode::SUCCESS)
}

impl Settings {
    /// What was asked for on the command line, checked.
    pub(super) fn options(&self, folder: Folder, python: Option<PathBuf>) -> Result<Options> {
        Ok(Options {
            folder,
            port: self.port,
            python,
            rules: self.rules()?,
            simulation: self.simulation()?,
            speed: self.speed,
            strict: self.strict,
        })
    }

    fn simulation(&self) -> Result<Simulation> {
        let Some(file) = &self.simulate else {
            return Ok(Simulation::default());
        };
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(error) => bail!(
                "cannot read which steps are simulated in `{}`: {error}\nhint: --simulate names a JSON file",
                file.display()
            ),
        };
        match serde_json::from_slice(&text) {
            Ok(simulation) => Ok(simulation),
            Err(error) => bail!(
                "`{}` does not say which steps are simulated: {error}\nhint: it is a JSON object like {{\"work\": {{\"next\": [\"join\"], \"seconds\": 10}}}}",
                file.display()
            ),
        }
    }

    fn rules(&self) -> Result<Vec<Rule>> {
        let Some(file) = &self.faults else {
            return Ok(Vec::new());
        };
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(error) => bail!(
                "cannot read the rules for faults `{}`: {error}\nhint: --faults names a JSON file",
                file.display()
            ),
        };
        match serde_json::from_slice(&text) {
            Ok(rules) => Ok(rules),
            Err(error) => bail!(
                "`{}` holds no rules for faults: {error}\nhint: it is a JSON list like [{{\"operation\": \"SubmitJob\", \"fault\": \"lose_reply\"}}]",
                file.display()
            ),
        }
    }
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if speed.is_finite() && speed > 0.0 {
        Ok(speed)
    } else {
        Err("it must be greater than 0".to_owned())
    }
}
