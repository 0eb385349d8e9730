//! The engine process: connects to its host and drives the run.

use std::{
    fs,
    os::fd::{FromRawFd, OwnedFd, RawFd},
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, bail};
use aws::{
    Aws, Credentials, CredentialsFrom, Settings,
    batch::{Client, QueueLookup},
    credentials::Ask,
    s3::S3Store,
};
use compute::{
    host::{
        Host, HostEvents, Questions, Session,
        protocol::{Hello, HostCredentials},
    },
    local::ForkServer,
};
use datastore::local::LocalStore;
use model::{
    Plan,
    plan::{CredentialsOwner, DatastoreKind},
    run_record::Launcher,
};
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    unistd::{Pid, getpgrp},
};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    apart::{self, Side},
    batch::{self, ArrayMin, Batch, OomRetries, Place, Turns, WhyAfter},
    bootstraps,
    drive::{Driver, RunStart},
    report,
    trouble::Patience,
};

type Events = mpsc::UnboundedReceiver<HostEvents>;

/// Runs the engine on the inherited socket. Exit code 0 says that the run's fate was told to
/// the host, whatever it was.
pub(crate) fn run(fd: RawFd, fork_fd: Option<RawFd>, events_fd: Option<RawFd>) -> Result<ExitCode> {
    let socket = inherited(fd)?;
    let for_programs = events_fd.map(inherited).transpose()?;
    let fork_server = fork_fd
        .map(|fd| anyhow::Ok(ForkServer::new(inherited(fd)?)?))
        .transpose()?;
    let launcher_group = getpgrp();
    // Signals of the terminal reach the host, which forwards them.
    let _ = nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0));
    if let Side::Waiter(waiter) = apart::step_aside()? {
        // The ends of the sockets are the engine's alone.
        drop((socket, fork_server, for_programs));
        return waiter.wait();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the engine's event loop")?;
    let local = tokio::task::LocalSet::new();
    let patience = Patience::of_environment()?;
    local.block_on(&runtime, async {
        let (host, session, events) = Host::connect(socket).await?;
        let Session { hello, plan } = session;
        tracing::info!(
            metaflow = hello.metaflow,
            python = hello.python,
            run = %plan.run,
            "took over the run"
        );
        let start = RunStart {
            plan: *plan,
            host,
            host_pid: hello.pid,
            launcher: launcher(hello),
            launcher_group,
            events: report::Events::to(for_programs),
            fork_server,
            patience,
            turns: None,
            recovered: None,
        };
        match start.plan.datastore.kind {
            DatastoreKind::Local => Box::pin(drive_on_disk(start, events)).await?,
            DatastoreKind::S3 => Box::pin(drive_on_s3(start, events)).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Name of this machine, as records of runs have it.
pub(crate) fn host_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn launcher(hello: Hello) -> Launcher {
    Launcher {
        host: host_name(),
        pid: std::process::id(),
        ferroflow: env!("CARGO_PKG_VERSION").to_owned(),
        metaflow: hello.metaflow,
        python: hello.python,
    }
}

async fn drive_on_disk(start: RunStart, events: Events) -> Result<()> {
    let store = Arc::new(LocalStore::new(&start.plan.datastore.root));
    let driver = Driver::new(start, events, store, |_, _, _| None)?;
    Box::pin(driver.run()).await
}

async fn drive_on_s3(mut start: RunStart, mut events: Events) -> Result<()> {
    let questions = start.host.questions();
    let connecting = connect(&mut start, questions);
    let (store, batch) = tokio::select! {
        ready = connecting => ready?,
        // Nothing has been asked for, so there is nothing to end in order.
        _ = events.recv() => bail!("ended while connecting to AWS"),
    };
    let shared = Arc::clone(&store);
    let start_batch = |plan: &Arc<_>, known: &Arc<_>, troubles| {
        let (sender, receiver) = mpsc::unbounded_channel();
        let plan = Arc::clone(plan);
        let known = Arc::clone(known);
        let batch = Batch::start(plan, batch?, shared, known, troubles, sender);
        Some((batch, receiver))
    };
    let driver = Driver::new(start, events, store, start_batch)?;
    Box::pin(driver.run()).await
}

/// The datastore, and how jobs are launched if there are any. A run of another launcher's is taken over here.
async fn connect(
    start: &mut RunStart,
    questions: Questions,
) -> Result<(Arc<S3Store>, Option<batch::Start>)> {
    let plan = &start.plan;
    let aws = load(plan, questions).await?;
    let store = Arc::new(S3Store::open(&aws, &plan.datastore.root).await?);
    if !plan.steps.values().any(|step| step.batch) {
        if let Some(from) = &plan.taken_from {
            bail!(
                "run {} of {from} has no step on AWS Batch\nhint: resume it",
                plan.run
            );
        }
        return Ok((store, None));
    }
    let array_min = ArrayMin::of_environment()?;
    let budget = batch::calls_per_second()?;
    let lease = batch::LeaseStart::of_environment(&aws, &store)?;
    let place = Place {
        entry: bootstraps::provide(&store).await?,
        region: aws.region().unwrap_or(&store.address().region).to_owned(),
        queues: if plan.aws.sandbox {
            QueueLookup::Sandbox
        } else {
            QueueLookup::Describe
        },
        array_min,
        why_after: WhyAfter::of_environment()?,
        oom_retries: OomRetries::of_environment()?,
        registers_usage: batch::wants_usage(),
    };
    let holder = Uuid::new_v4().to_string();
    let recovered = match &plan.taken_from {
        Some(from) => Some(batch::recover(&store, plan, &holder, from).await?),
        None => None,
    };
    let turns = Turns::default();
    let batch = batch::Start {
        client: Client::with_budget(&aws, budget)?,
        place,
        launcher: start.launcher.clone(),
        holder,
        lease,
        taken_over: recovered
            .as_ref()
            .map(|recovered| (recovered.next_seq, recovered.holders.clone())),
        raises: recovered
            .as_ref()
            .map_or_else(Vec::new, |it| it.raises.clone()),
        turns: turns.clone(),
    };
    if let Some(recovered) = &recovered {
        start.plan = recovered.plan.clone();
    }
    start.turns = Some(turns);
    start.recovered = recovered;
    Ok((store, Some(batch)))
}

async fn load(plan: &Plan, questions: Questions) -> Result<Aws> {
    let ask = Ask::new(move |service| {
        let answer = questions.credentials(service);
        Box::pin(async move {
            let found = answer.await.map_err(|error| error.to_string())?;
            Ok(credentials(found))
        })
    });
    let settings = Settings {
        s3: plan.s3.clone(),
        region: plan.aws.region.clone(),
        credentials: match plan.aws.credentials {
            CredentialsOwner::Engine => CredentialsFrom::ConfigurationOr(ask),
            CredentialsOwner::Host => CredentialsFrom::Elsewhere(ask),
        },
        // What lasts longer is waited out by the run, which says so.
        patience: aws::Patience {
            batch_attempts: 3,
            ..aws::Patience::default()
        },
        ..Settings::default()
    };
    Ok(Aws::load(settings).await?)
}

fn credentials(found: HostCredentials) -> Credentials {
    let expiry = found.expires_at.filter(|at| at.is_finite() && *at >= 0.0);
    let since_1970 = expiry.and_then(|at| Duration::try_from_secs_f64(at).ok());
    Credentials {
        access_key_id: found.access_key_id,
        secret_access_key: found.secret_access_key,
        session_token: found.session_token,
        expiry: since_1970.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since)),
    }
}

#[expect(unsafe_code, reason = "an inherited descriptor is named by its number")]
fn inherited(fd: RawFd) -> Result<OwnedFd> {
    if fd <= 2 {
        bail!("--fd {fd} names a standard stream\nhint: this verb is for the flow host only");
    }
    if fs::read_link(format!("/proc/self/fd/{fd}")).is_err() && cfg!(target_os = "linux") {
        bail!("--fd {fd} is not an open descriptor\nhint: this verb is for the flow host only");
    }
    // SAFETY: the host made this descriptor for this process alone; nothing else here uses it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // Tasks must not inherit it: the host would not see the engine's end.
    fcntl(&socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
        .with_context(|| format!("--fd {fd} is not an open descriptor"))?;
    Ok(socket)
}
