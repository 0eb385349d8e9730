//! A stack in this process: opens the folder, binds the port, starts the services, serves until a signal.

use std::{future::Future, io, path::PathBuf, sync::Arc};

use serde_json::json;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    Clock, Context,
    answer::Services,
    batch::Batch,
    credentials::{Keys, S3Keys},
    faults::{Faults, Rule},
    folder::{Description, Folder, Lock, StackError},
    history::History,
    logs::Logs,
    s3::S3,
    server,
    simulate::{Simulation, Simulator},
};

/// The bucket that is always there.
pub const BUCKET: &str = "ferroflow-dev";

/// What can be chosen.
#[derive(Debug)]
pub struct Options {
    /// The stack's folder.
    pub folder: Folder,
    /// The port to listen on; 0 lets the system choose, nothing means that of the last time.
    pub port: Option<u16>,
    /// The interpreter of jobs that name none.
    pub python: Option<PathBuf>,
    /// What is to go wrong.
    pub rules: Vec<Rule>,
    /// Seconds of AWS in one second.
    pub speed: f64,
    /// A job larger than the machine waits for ever.
    pub strict: bool,
    /// Steps whose tasks have no process.
    pub simulation: Simulation,
}

/// An open stack: its port is bound, and nobody is served yet.
#[derive(Debug)]
pub struct Stack {
    folder: Folder,
    description: Description,
    listener: TcpListener,
    services: Arc<Services>,
    lock: Lock,
}

impl Stack {
    /// Opens a stack. It is in `stack.json` from then on.
    pub async fn open(options: Options) -> Result<Self, StackError> {
        let folder = options.folder;
        let lock = folder.lock()?;
        let last = folder.description()?;
        let port = options
            .port
            .or(last.as_ref().map(|last| last.port))
            .unwrap_or(0);
        let listener = server::listen(port)
            .await
            .map_err(|error| match error.kind() {
                io::ErrorKind::AddrInUse => StackError::PortTaken { port },
                _ => StackError::io("listen on a port for", folder.path())(error),
            })?;
        let bound = listener.local_addr();
        let port = bound
            .map_err(StackError::io("listen on a port for", folder.path()))?
            .port();
        let mut description = Description::new(port, last.map(|last| last.created));
        description.python.clone_from(&options.python);
        let history = folder.history();
        let rules = options.rules.len();
        let context = Arc::new(Context {
            folder: folder.state(),
            endpoint: description.endpoint.clone(),
            region: description.region.clone(),
            account: description.account.clone(),
            clock: Clock::new(options.speed),
            history: History::open(&history).map_err(StackError::io("open", &history))?,
            faults: Faults::new(options.rules),
            python: options.python,
            strict: options.strict,
        });
        let detail =
            json!({"version": description.version, "speed": options.speed, "rules": rules});
        context.record("stack.started", detail);
        let services = services(&folder, context, port, options.simulation)?;
        folder.describe(&description)?;
        Ok(Self {
            folder,
            description,
            listener,
            services,
            lock,
        })
    }

    /// Where it listens, and more.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Serves until `stop`, and ends all jobs then. Others take the stack for stopped once the lock is dropped.
    pub async fn serve(mut self, stop: impl Future<Output = ()>) -> Result<Lock, StackError> {
        let batch = Arc::clone(&self.services.batch);
        server::serve(self.listener, self.services, stop).await;
        batch.stop().await;
        self.description.pid = None;
        self.folder.describe(&self.description)?;
        Ok(self.lock)
    }
}

fn services(
    folder: &Folder,
    context: Arc<Context>,
    port: u16,
    simulation: Simulation,
) -> Result<Arc<Services>, StackError> {
    let secrets = folder.secrets_or_new()?;
    let keys = Arc::new(Keys::new(secrets.pair, &context.endpoint, &context.account));
    let state = folder.state();
    let io = |error| StackError::io("open", &state)(error);
    std::fs::create_dir_all(&state).map_err(io)?;
    let credentials = Arc::clone(&keys);
    let s3 = S3::open(Arc::clone(&context), S3Keys(Arc::clone(&keys))).map_err(io)?;
    s3.create_bucket_if_missing(BUCKET).map_err(io)?;
    let simulator = Simulator::new(simulation, s3.clone(), context.clock);
    Ok(Arc::new(Services {
        batch: Batch::open_with(Arc::clone(&context), credentials, Some(simulator)).map_err(io)?,
        logs: Arc::new(Logs::open(Arc::clone(&context)).map_err(io)?),
        s3,
        context,
        keys,
        token: secrets.token.0,
        port,
    }))
}

/// Runs a stack in this process until SIGTERM or SIGINT; `ready` is called when its port is bound.
pub fn run(options: Options, ready: impl FnOnce(&Description)) -> Result<(), StackError> {
    let path = options.folder.path().to_owned();
    let start = |error| StackError::io("start the server of", &path)(error);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(start)?;
    let lock = runtime.block_on(async {
        let mut ends = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
        let [Ok(terminate), Ok(interrupt)] = &mut ends else {
            return Err(start(io::Error::other("signals cannot be caught")));
        };
        let stack = Stack::open(options).await?;
        ready(stack.description());
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        stack.serve(stop).await
    })?;
    // Whatever still runs in the background ends before anybody else may open the folder.
    drop(runtime);
    drop(lock);
    Ok(())
}
