//! The engine process: connects to its host and drives the run.

use std::{
    os::fd::{FromRawFd, OwnedFd, RawFd},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use aws::{Aws, Settings, batch::Client, s3::S3Store};
use compute::host::{Host, HostEvents, Session};
use datastore::local::LocalStore;
use model::{Plan, plan::DatastoreKind};
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    unistd::Pid,
};
use tokio::sync::mpsc;

use crate::{
    batch::{Batch, Place},
    bootstraps,
    drive::Driver,
};

type Events = mpsc::UnboundedReceiver<HostEvents>;

/// Runs the engine on the inherited socket. Exit code 0 says that the run's fate was told to
/// the host, whatever it was.
pub(crate) fn run(fd: RawFd) -> Result<ExitCode> {
    let socket = inherited(fd)?;
    // Signals of the terminal reach the host, which forwards them.
    let _ = nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the engine's event loop")?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let (host, session, events) = Host::connect(socket).await?;
        let Session { hello, plan } = session;
        tracing::info!(
            metaflow = hello.metaflow,
            python = hello.python,
            run = %plan.run,
            "took over the run"
        );
        match plan.datastore.kind {
            DatastoreKind::Local => drive_on_disk(*plan, host, events).await?,
            DatastoreKind::S3 => drive_on_s3(*plan, host, events).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn drive_on_disk(plan: Plan, host: Host, events: Events) -> Result<()> {
    let store = Arc::new(LocalStore::new(&plan.datastore.root));
    Driver::new(plan, host, events, store, |_, _, _| None)?
        .run()
        .await
}

async fn drive_on_s3(plan: Plan, host: Host, mut events: Events) -> Result<()> {
    let (store, batch) = tokio::select! {
        ready = connect(&plan) => ready?,
        // Nothing has been asked for, so there is nothing to end in order.
        _ = events.recv() => bail!("ended while connecting to AWS"),
    };
    let shared = Arc::clone(&store);
    let start_batch = |plan: &Arc<_>, known: &Arc<_>, troubles| {
        let (client, place) = batch?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let plan = Arc::clone(plan);
        let known = Arc::clone(known);
        let batch = Batch::start(plan, client, shared, known, place, troubles, sender);
        Some((batch, receiver))
    };
    Driver::new(plan, host, events, store, start_batch)?
        .run()
        .await
}

/// The datastore, and where jobs go if there are any.
async fn connect(plan: &Plan) -> Result<(Arc<S3Store>, Option<(Client, Place)>)> {
    let aws = Aws::load(Settings {
        s3: plan.s3.clone(),
        ..Settings::default()
    })
    .await?;
    let store = Arc::new(S3Store::open(&aws, &plan.datastore.root).await?);
    if !plan.steps.values().any(|step| step.batch) {
        return Ok((store, None));
    }
    let place = Place {
        entry: bootstraps::provide(&store).await?,
        region: aws.region().unwrap_or(&store.address().region).to_owned(),
    };
    Ok((store, Some((Client::new(&aws)?, place))))
}

#[expect(unsafe_code, reason = "an inherited descriptor is named by its number")]
fn inherited(fd: RawFd) -> Result<OwnedFd> {
    if fd <= 2 {
        bail!("--fd {fd} names a standard stream\nhint: this verb is for the flow host only");
    }
    // SAFETY: the host made this descriptor for this process alone; nothing else here uses it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // Tasks must not inherit it: the host would not see the engine's end.
    fcntl(&socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
        .with_context(|| format!("--fd {fd} is not an open descriptor"))?;
    Ok(socket)
}
