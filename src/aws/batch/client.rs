//! What all Batch calls share.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use model::run_record::ApiCalls;

use super::{CallsPerSecond, Hold, JobQueue, budget::Limits};
use crate::{Aws, ConfigError, Patience};

/// A client of AWS Batch with its budgets and what it has looked up. Cheap to clone; clones share
/// all of that, so a process needs one.
#[derive(Clone)]
pub struct Client {
    pub(super) sdk: aws_sdk_batch::Client,
    pub(super) limits: Arc<Limits>,
    pub(super) patience: Patience,
    known: Arc<Mutex<Known>>,
}

/// What was looked up. It holds for a run: a queue or definition that changes meanwhile does not
/// change under running tasks.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// ARN of the pinned revision, by name.
    pub(super) definitions: HashMap<String, String>,
    /// Queues, by the name that was asked for; `None` is the default one.
    pub(super) queues: HashMap<Option<String>, JobQueue>,
}

impl Client {
    /// A client for the configured region, with the usual budget.
    pub fn new(aws: &Aws) -> Result<Self, ConfigError> {
        Self::with_budget(aws, CallsPerSecond::default())
    }

    /// A client for the configured region that makes no more calls than this.
    pub fn with_budget(aws: &Aws, all: CallsPerSecond) -> Result<Self, ConfigError> {
        Ok(Self {
            sdk: aws.batch_client()?,
            limits: Arc::new(Limits::new(all)),
            patience: aws.patience(),
            known: Arc::default(),
        })
    }

    /// From now on makes no call any more, in any clone: whoever asks for one waits for ever.
    pub fn close(&self) {
        self.limits.close();
    }

    /// Holds the calls of all clones off until the answer is dropped: while it is not known whether there may be any.
    pub fn hold(&self) -> Hold {
        self.limits.hold()
    }

    /// What calls were made so far, by action.
    pub fn calls_so_far(&self) -> BTreeMap<String, ApiCalls> {
        self.limits.calls_so_far()
    }

    /// Counts that the caller makes a call once more, of an action that nothing here repeats.
    pub fn repeats(&self, action: &'static str) {
        self.limits.repeats(action);
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("known", &self.known())
            .finish_non_exhaustive()
    }
}
