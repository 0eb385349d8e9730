//! What a run begins with.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    rc::Rc,
    sync::Arc,
};

use anyhow::Result;
use compute::{
    host::{Host, HostEvents},
    local::{ForkServer, LocalCompute},
};
use datastore::{KnownValues, ObjectStore};
use model::{Plan, run_record::Launcher};
use nix::unistd::Pid;
use scheduler::Run;
use tokio::{sync::mpsc, time::Instant};

use super::{BatchEvents, Driver, record::Recorder, states::States};
use crate::{
    batch::{Batch, Recovered, Troubles, Turns},
    disk::Disk,
    report::{Console, Events, Failures, StepLines},
    trouble::{Patience, Trouble},
};

/// Output of running tasks waits in a channel of this many lines before it slows them down.
const LOCAL_EVENTS: usize = 1024;

/// What a run begins with.
#[derive(Debug)]
pub(crate) struct RunStart {
    /// What is to be run.
    pub plan: Plan,
    /// Who prepares attempts.
    pub host: Host,
    /// Who this is.
    pub launcher: Launcher,
    /// The host's process.
    pub host_pid: u32,
    /// The host's process group.
    pub launcher_group: Pid,
    /// Where events go, if anybody wants them.
    pub events: Events,
    /// Who forks attempts, if anybody does.
    pub fork_server: Option<ForkServer>,
    /// How long it waits for what may not pass.
    pub patience: Patience,
    /// Where the core's turns are kept for the launch chain, if there is one.
    pub turns: Option<Turns>,
    /// What another launcher has done of the run, if it is taken over.
    pub recovered: Option<Recovered>,
}

impl<S: ObjectStore + 'static> Driver<S> {
    pub(crate) fn new(
        start: RunStart,
        host_events: mpsc::UnboundedReceiver<HostEvents>,
        store: Arc<S>,
        start_batch: impl FnOnce(
            &Arc<Plan>,
            &Arc<KnownValues>,
            Troubles,
        ) -> Option<(Batch, BatchEvents)>,
    ) -> Result<Self> {
        let RunStart {
            plan,
            host,
            launcher,
            host_pid,
            launcher_group,
            events,
            fork_server,
            patience,
            turns,
            recovered,
        } = start;
        let plan = Arc::new(plan);
        let known = Arc::new(KnownValues::new(&plan.graph, plan.limits.max_num_splits));
        let (say, notices) = mpsc::unbounded_channel();
        let datastore = Trouble::new("The datastore", patience, say.clone());
        let troubles = Troubles {
            datastore: Rc::clone(&datastore),
            batch: Trouble::new("AWS Batch", patience, say.clone()),
            disk: Disk::new(say),
        };
        let disk = Rc::clone(&troubles.disk);
        let (batch, batch_events) = match start_batch(&plan, &known, troubles) {
            Some((batch, events)) => (Some(batch), events),
            // Nothing is ever sent here.
            None => (None, mpsc::unbounded_channel().1),
        };
        let (local_sender, local_events) = mpsc::channel(LOCAL_EVENTS);
        let (reports, reported) = mpsc::unbounded_channel();
        Ok(Self {
            run: Run::new(Arc::clone(&plan))?,
            console: Console::new(plan.console, launcher_group),
            step_lines: StepLines::default(),
            events,
            began: Instant::now(),
            states: States::default(),
            failures: Failures::default(),
            delayed: HashSet::new(),
            wide: BTreeSet::new(),
            known,
            batch,
            batch_events,
            host,
            host_pid,
            host_events,
            host_is_gone: false,
            store,
            local: LocalCompute::new(local_sender, fork_server),
            local_events,
            reports,
            reported,
            notices,
            datastore,
            disk,
            broken: None,
            unasked: VecDeque::new(),
            without_room: Vec::new(),
            open_questions: 0,
            preparing: 0,
            task_ids: HashMap::new(),
            attempts: HashMap::new(),
            halting: None,
            recorder: Recorder::new(&plan, launcher, recovered.as_ref()),
            turns,
            recovered,
            adopted: HashMap::new(),
            made_in_vain: HashMap::new(),
            fenced: None,
            host_failure: None,
            finished: None,
            plan,
        })
    }
}
