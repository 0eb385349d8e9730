//! The launch chain of a run: one record after the other, without gaps, each written once. Whoever finds a record of somebody
//! else's in the place of the next one no longer drives the run.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use anyhow::{Context, anyhow};
use aws::{batch::Client, s3::S3Store};
use bytes::Bytes;
use datastore::{ObjectStore, PutMode, PutOptions, PutOutcome};
use model::{
    FlowName, Plan, RunId, Timestamp,
    launch_record::{self, Header, LaunchRecord, LocalMember, Planned, SpecPlace},
    layout,
    opening::{OPENING_VERSION, Opening},
    run_record::Launcher,
    spec::{PackageRef, TaskSpec},
};
use scheduler::Turn;
use tokio::sync::Mutex;

use super::{
    Cancellation,
    fence::{self, Fenced},
    oom::Raises,
};
use crate::{failpoint, trouble::Trouble};

/// What the driver's core was told and asked, and no record has yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Rc<RefCell<Vec<Turn>>>);

impl Turns {
    /// Keeps one for the next record.
    pub(crate) fn push(&self, turn: Turn) {
        self.0.borrow_mut().push(turn);
    }

    fn text(&self) -> serde_json::Result<String> {
        let turns = self.0.borrow();
        if turns.is_empty() {
            return Ok(String::new());
        }
        serde_json::to_string(&*turns)
    }

    /// Those that were there when a text of so many was made.
    fn forget(&self, count: usize) {
        self.0.borrow_mut().drain(..count);
    }

    fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

/// What a chain is written with.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) client: Client,
    pub(super) store: Arc<S3Store>,
    pub(super) datastore: Rc<Trouble>,
    pub(super) cancellation: Rc<Cancellation>,
    pub(super) holder: String,
    pub(super) turns: Turns,
    pub(super) raises: Rc<Raises>,
}

/// The end of the chain, as this launcher knows it.
#[derive(Debug)]
pub(super) struct Chain {
    links: Links,
    flow: FlowName,
    run: RunId,
    /// Held while a record is being written: they go out one after the other.
    next: Mutex<Next>,
}

#[derive(Debug)]
struct Next {
    seq: u64,
    /// What is written before the first job.
    opening: Option<Box<Opening>>,
}

/// A record that is in the store.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) key: String,
    pub(super) places: Vec<SpecPlace>,
    pub(super) planned: Vec<Planned>,
}

impl Chain {
    /// The chain of a run from `seq` on: 0 where it begins, later where it was taken over.
    pub(super) fn new(links: Links, plan: &Plan, launcher: Launcher, seq: u64) -> Self {
        let opening = (seq == 0).then(|| {
            Box::new(Opening {
                version: OPENING_VERSION,
                plan: plan.clone(),
                launcher,
                // Known with the first job.
                package: PackageRef::default(),
            })
        });
        Self {
            links,
            flow: plan.flow.clone(),
            run: plan.run.clone(),
            next: Mutex::new(Next { seq, opening }),
        }
    }

    /// Writes what attempts on this machine are about to be.
    pub(super) async fn append_local(&self, local: Vec<LocalMember>) -> anyhow::Result<()> {
        let no_spec = |_, _| Err(anyhow!("nothing is submitted"));
        let written = self.append(local, |_| Ok(Vec::new()), no_spec).await;
        written.map(drop)
    }

    /// Writes what is about to be submitted, with this code: `planned` for its place in the chain, `spec` of each member.
    pub(super) async fn append_jobs(
        &self,
        package: &PackageRef,
        planned: impl FnOnce(u64) -> anyhow::Result<Vec<Planned>>,
        spec: impl Fn(usize, usize) -> anyhow::Result<TaskSpec>,
    ) -> anyhow::Result<Written> {
        self.open(package).await?;
        self.append(Vec::new(), planned, spec).await
    }

    /// Nobody can take over before there is a job, because nobody knows the code.
    async fn open(&self, package: &PackageRef) -> anyhow::Result<()> {
        let mut next = self.next.lock().await;
        let Some(opening) = &mut next.opening else {
            return Ok(());
        };
        opening.package = package.clone();
        let key = layout::opening(&self.flow, &self.run);
        let body = serde_json::to_vec(opening).context("cannot write the run's opening down")?;
        let body = Bytes::from(body);
        let writing = async || {
            let put = self
                .links
                .store
                .put(&key, body.clone(), PutOptions::default());
            put.await.context("cannot write the run's opening")?;
            Ok(())
        };
        self.outlast(writing).await?;
        next.opening = None;
        failpoint::reach("opened");
        Ok(())
    }

    async fn outlast(
        &self,
        writing: impl AsyncFnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Links {
            datastore,
            cancellation,
            ..
        } = &self.links;
        datastore.outlast(|| cancellation.gives_up(), writing).await
    }

    async fn append(
        &self,
        local: Vec<LocalMember>,
        planned: impl FnOnce(u64) -> anyhow::Result<Vec<Planned>>,
        spec: impl Fn(usize, usize) -> anyhow::Result<TaskSpec>,
    ) -> anyhow::Result<Written> {
        let mut next = self.next.lock().await;
        let planned = planned(next.seq)?;
        let told = self.links.turns.len();
        let raises = self.links.raises.unwritten();
        let raised = raises.len();
        let header = Header {
            seq: next.seq,
            holder: self.links.holder.clone(),
            at: now(),
            local,
            turns: self
                .links
                .turns
                .text()
                .context("cannot write the run down")?,
            raises,
            taken_from: None,
        };
        let (object, places) = launch_record::encode(header, &planned, spec)
            .context("cannot write down what is to be launched")?;
        let key = layout::launch_record(&self.flow, &self.run, next.seq);
        let object = object.into();
        failpoint::reach("record");
        // The same bytes at each try: one that was not answered may have arrived.
        let doubt = Cell::new(None);
        let in_doubt = || doubt.set(Some(self.links.client.hold()));
        let writing = async || write(&self.links.store, &key, &object, in_doubt).await;
        let written = self.outlast(writing).await;
        fence::heed(&self.links.client, written)?;
        failpoint::reach("recorded");
        self.links.turns.forget(told);
        self.links.raises.forget(raised);
        next.seq += 1;
        Ok(Written {
            key,
            places,
            planned,
        })
    }
}

/// Takes the chain over from `holder`: the next record, from now on, is ours. Tells where the chain goes on.
pub(super) async fn take_over(
    store: &S3Store,
    plan: &Plan,
    holder: &str,
    from: &str,
    seq: u64,
) -> anyhow::Result<u64> {
    let header = Header {
        seq,
        holder: holder.to_owned(),
        at: now(),
        taken_from: Some(from.to_owned()),
        ..Header::default()
    };
    let no_spec = |_, _| Err(anyhow!("nothing is submitted"));
    let (object, _) = launch_record::encode(header, &[], no_spec)?;
    let key = layout::launch_record(&plan.flow, &plan.run, seq);
    write(store, &key, &object.into(), || {}).await?;
    Ok(seq + 1)
}

/// A record that is there already, and is not byte for byte ours, was written by somebody else. A write whose reply was lost
/// is found again as one's own. `in_doubt` is called before it is known whose it is.
async fn write(
    store: &S3Store,
    key: &str,
    object: &Bytes,
    in_doubt: impl Fn(),
) -> anyhow::Result<()> {
    let options = PutOptions {
        mode: PutMode::CreateOnly,
        user_metadata: None,
    };
    let written = store.put(key, object.clone(), options).await;
    let written = written.with_context(|| format!("cannot write the launch record `{key}`"))?;
    if written == PutOutcome::Written {
        return Ok(());
    }
    in_doubt();
    let there = store.get(key).await?.map(|there| there.body);
    let there = there.ok_or_else(|| anyhow!("the launch record `{key}` has gone"))?;
    if there == *object {
        return Ok(());
    }
    let by = LaunchRecord::read(&there).map_or_else(|_| "somebody".to_owned(), |it| it.holder);
    let why = format!("another one ({by}) has written the launch record `{key}`");
    Err(Fenced { why }.into())
}

pub(super) fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
