//! The order of what a container does.

use std::{
    ffi::OsString,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use model::{
    exit_code::container as exit_code,
    layout::Stream,
    spec::{LogSizes, TaskSpec},
};

use crate::{
    bytecode,
    capture::Capture,
    claim::{ClaimError, Claimed, claim},
    clock,
    command::StepCommand,
    console::Console,
    credentials::CredentialsProvider,
    environment::Environment,
    failure::{Failure, sentence},
    files,
    http::Http,
    install, interpreter,
    interrupts::Interrupts,
    log::Log,
    lookout::Lookout,
    metadata,
    outcome::{Times, outcome},
    package::Package,
    process::{Ending, Supervisor},
    s3::{Patience, S3},
    s3_address::{Endpoint, region},
    settings::Settings,
    spec_pointer::{SpecError, SpecPointer},
    store::Store,
    task_environment::task_environment,
    upload::{self, Uploader},
    usage::Meter,
    work_dir::WorkDir,
};

/// Where a bootstrap runs.
#[derive(Debug)]
pub struct Container {
    /// Variables and working directory.
    pub environment: Environment,
    /// How long to wait for what.
    pub settings: Settings,
    /// The container's own output.
    pub console: Arc<Console>,
    /// The container's signals.
    pub interrupts: Interrupts,
}

/// This container runs nothing, and writes no outcome.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("AWS Batch repeats this job, which is launched once: its attempt is `{0}`")]
    Repeated(String),
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

impl Refusal {
    fn exit_code(&self) -> i32 {
        match self {
            Self::Repeated(_) | Self::Claim(ClaimError::Taken(_)) => exit_code::DUPLICATE,
            Self::Spec(_) | Self::Claim(_) => exit_code::BOOTSTRAP_FAILED,
        }
    }
}

/// A claimed task.
struct Job<'a> {
    container: &'a Container,
    /// The container's environment with the spec's variables over it.
    environment: Environment,
    spec: TaskSpec,
    http: Arc<Http>,
    store: Store,
    claimed: Claimed,
    claimed_at: SystemTime,
    /// Of a run that has a lease.
    lookout: Option<Lookout>,
}

/// The folders and logs of a task.
struct Desk {
    folders: WorkDir,
    stdout: Arc<Log>,
    stderr: Arc<Log>,
    uploader: Uploader,
}

/// A step that ran.
struct Ran {
    ending: Ending,
    started_at: SystemTime,
    ended_at: SystemTime,
}

/// Runs the task that the environment names and returns the container's exit code: the step's
/// own, or one of [`exit_code`].
pub fn run(container: &Container) -> i32 {
    match Job::claim(container) {
        Ok(job) => job.run(),
        Err(refusal) => {
            container.console.say(&sentence(&refusal));
            refusal.exit_code()
        }
    }
}

impl<'a> Job<'a> {
    fn claim(container: &'a Container) -> Result<Self, Refusal> {
        let Container {
            environment,
            settings,
            interrupts,
            ..
        } = container;
        let repeated = environment.text("AWS_BATCH_JOB_ATTEMPT");
        if let Some(attempt) = repeated.filter(|attempt| *attempt != "1") {
            return Err(Refusal::Repeated(attempt.to_owned()));
        }
        let pointer = SpecPointer::new(environment)?;
        let http = Arc::new(Http::new(environment));
        let credentials = Arc::new(CredentialsProvider::new(&http, environment, settings));
        let s3 = |endpoint: Option<&str>, region: &str| {
            let endpoint = Endpoint::new(endpoint, environment);
            S3::new(&http, &credentials, interrupts, settings, endpoint, region)
        };
        let spec = pointer.fetch(&s3(None, region(environment)))?;
        let address = &spec.store;
        let store = Store::new(
            Arc::new(s3(address.endpoint.as_deref(), &address.region)),
            address,
        );
        let claimed = claim(environment, &store, &spec)?;
        let mut environment = environment.clone();
        environment.variables.extend(
            spec.environment
                .iter()
                .map(|(name, value)| (OsString::from(name), OsString::from(value))),
        );
        let patience = settings.look_patience;
        Ok(Self {
            container,
            environment,
            lookout: Lookout::new(&store, &spec, patience, interrupts, &container.console),
            http,
            store,
            claimed,
            claimed_at: SystemTime::now(),
            spec,
        })
    }

    /// The time limit of what starts now. Preparation and step have each their own, because the
    /// alarm of `@timeout` inside the step counts from the step's start.
    fn limit(&self) -> Option<Instant> {
        let seconds = Some(self.spec.time_limit).filter(|seconds| *seconds > 0)?;
        Instant::now().checked_add(Duration::from_secs(seconds))
    }

    fn run(mut self) -> i32 {
        let meter = Meter::start(&self.environment, &self.container.settings);
        let (result, logs) = match self.desk() {
            Ok(desk) => {
                let result = self.attempt_if_wanted(&desk);
                if self.is_superseded() {
                    return exit_code::SUPERSEDED;
                }
                if let Err(failure) = &result {
                    desk.stderr.write_line(&sentence(failure));
                }
                (result, self.close(desk))
            }
            Err(failure) => {
                self.complain(&sentence(&failure));
                (Err(failure), None)
            }
        };
        let code = match &result {
            Ok(ran) => ran.ending.exit_code(),
            Err(_) => exit_code::BOOTSTRAP_FAILED,
        };
        self.tell(&result, &meter, logs);
        code
    }

    /// Says why there is no place to keep logs, in a log of that one line.
    fn complain(&self, text: &str) {
        self.container.console.say(text);
        let key = upload::key(&self.spec, Stream::Stderr);
        let line = Log::lone_line(text);
        if let Err(error) = self.store.put(&key, &line, Patience::UntilLastCall) {
            self.container.console.say(&sentence(&error));
        }
    }

    fn desk(&self) -> Result<Desk, Failure> {
        let folders = WorkDir::create(&self.environment, &self.container.settings.last_resort)?;
        let console = &self.container.console;
        let log = |stream| {
            let file = folders.spool().map_err(Failure::Spool)?;
            Ok::<_, Failure>(Arc::new(Log::new(stream, Arc::clone(console), file)))
        };
        let (stdout, stderr) = (log(Stream::Stdout)?, log(Stream::Stderr)?);
        let logs = [Arc::clone(&stdout), Arc::clone(&stderr)];
        Ok(Desk {
            uploader: Uploader::start(&self.store, &self.spec, console, &logs),
            folders,
            stdout,
            stderr,
        })
    }

    /// The attempt, as long as its run wants it. The claim came first: a container that another one replaces, or that was
    /// revoked, must leave no word.
    fn attempt_if_wanted(&mut self, desk: &Desk) -> Result<Ran, Failure> {
        let Some(lookout) = self.lookout.clone() else {
            return self.attempt(desk);
        };
        lookout.gate()?;
        let watch = lookout.start();
        let result = self.attempt(desk);
        drop(watch);
        match (result, self.container.interrupts.ordered()) {
            // What has failed may have failed by that.
            (Err(_), Some(ordered)) => Err(ordered.order.into()),
            (result, _) => result,
        }
    }

    /// Asked for the last time before anything is told of the end.
    fn is_superseded(&self) -> bool {
        let lookout = self.lookout.as_ref();
        lookout.is_some_and(Lookout::is_superseded)
    }

    /// Everything between the claim and the end of the step, with upstream's own messages
    /// (`get_package_commands`, metaflow/metaflow_environment.py).
    fn attempt(&mut self, desk: &Desk) -> Result<Ran, Failure> {
        let supervisor = Supervisor {
            settings: &self.container.settings,
            interrupts: &self.container.interrupts,
        };
        let folders = &desk.folders;
        desk.stdout.write_line("Setting up task environment.");
        let python = interpreter::python(&mut self.environment, folders)
            .map_err(Failure::Python)?
            .ok_or(Failure::NoPython)?;
        if self.spec.install {
            install::install(
                &python,
                &self.environment,
                &self.container.console,
                &supervisor,
                self.limit(),
            )?;
        }
        desk.stdout.write_line("Downloading code package...");
        let s3 = self.store.s3();
        let package = Package::download(s3, &self.spec.package, folders, Patience::UntilSignal)?;
        desk.stdout.write_line("Code package downloaded.");
        package.extract(folders.root())?;
        if let Some(bytecode) = &self.spec.bytecode
            && let Err(why) = bytecode::add(s3, bytecode, folders)
        {
            self.container.console.say(&why);
        }
        files::write(&self.spec.files, folders.root())?;
        desk.stdout.write_line("Task is starting.");
        desk.uploader.flush();
        self.step(desk, &supervisor)
    }

    fn step(&self, desk: &Desk, supervisor: &Supervisor<'_>) -> Result<Ran, Failure> {
        let has_bash = self.environment.find_program("bash").is_some();
        let shell = if has_bash { "bash" } else { "sh" };
        let prepared = desk.folders.private("prepared");
        let StepCommand { argv, is_prepared } = StepCommand::new(&self.spec, shell, &prepared);
        let (program, arguments) = argv.split_first().ok_or(Failure::NoCommand)?;
        if let Some(lookout) = &self.lookout {
            lookout.begins();
        }
        if self.container.interrupts.raised().is_some() {
            return Err(Failure::Interrupted);
        }
        if let Some(ordered) = self.container.interrupts.ordered() {
            return Err(ordered.order.into());
        }
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(task_environment(
                &self.environment,
                &self.spec,
                &desk.folders,
            ))
            .current_dir(desk.folders.root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let capture = |child: &mut std::process::Child| {
            let sink = |log: &Arc<Log>| {
                let log = Arc::clone(log);
                move |bytes: &[u8]| log.write(bytes)
            };
            let mut captures = Vec::new();
            if let Some(pipe) = child.stdout.take() {
                captures.push(Capture::start(pipe, sink(&desk.stdout))?);
            }
            if let Some(pipe) = child.stderr.take() {
                captures.push(Capture::start(pipe, sink(&desk.stderr))?);
            }
            Ok(captures)
        };
        let started_at = SystemTime::now();
        let ending = supervisor
            .run(&mut command, self.limit(), capture, || {
                desk.uploader.flush();
            })
            .map_err(|source| Failure::Start {
                program: program.clone(),
                source,
            })?;
        if is_prepared && !prepared.exists() {
            return Err(Failure::Prepare { ending });
        }
        Ok(Ran {
            ending,
            started_at,
            ended_at: SystemTime::now(),
        })
    }

    fn close(&self, desk: Desk) -> Option<LogSizes> {
        desk.stdout.finish();
        desk.stderr.finish();
        desk.uploader.finish().unwrap_or_else(|error| {
            let text = format!("the end of the task's logs is lost: {}", sentence(&error));
            self.container.console.say(&text);
            None
        })
    }

    /// Writes the outcome: the last that anybody hears of this container.
    fn tell(&self, result: &Result<Ran, Failure>, meter: &Meter, logs: Option<LogSizes>) {
        let milliseconds = |time: Option<SystemTime>| time.map_or(0, clock::milliseconds);
        let ran = result.as_ref().ok();
        let times = Times {
            claim: clock::milliseconds(self.claimed_at),
            start: milliseconds(ran.map(|ran| ran.started_at)),
            end: milliseconds(ran.map(|ran| ran.ended_at)),
        };
        let ending = result.as_ref().map(|ran| ran.ending);
        let outcome = outcome(
            &self.spec,
            &self.store,
            &self.claimed,
            ending,
            &times,
            meter,
            logs,
        );
        let now = clock::milliseconds(SystemTime::now());
        let (http, spec) = (&self.http, &self.spec);
        if let Err(why) = metadata::register(http, &self.environment, spec, &outcome, now) {
            let text = format!("what the task used is not in its metadata: {why}");
            self.container.console.say(&text);
        }
        let written = serde_json::to_vec(&outcome)
            .map_err(|error| error.to_string())
            .and_then(|body| {
                self.store
                    .put(&self.spec.outcome, &body, Patience::UntilLastCall)
                    .map_err(|error| sentence(&error))
            });
        if let Err(why) = written {
            let text = format!("the task's outcome could not be written: {why}");
            self.container.console.say(&text);
        }
    }
}
