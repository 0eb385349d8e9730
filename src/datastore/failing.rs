//! A store that fails when told to, for tests.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::{
    Cause, Entry, ErrorKind, Info, Object, ObjectStore, Op, PutOptions, PutOutcome, StoreError,
};

/// Whether a failing operation did its work before it failed, as when an answer gets lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The inner store is not asked.
    NotDone,
    /// The inner store is asked, and its answer dropped.
    Done,
}

/// Some operations that fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The operation.
    pub op: Op,
    /// How many calls of it go through first.
    pub after: u32,
    /// How many calls fail then.
    pub count: u32,
    /// What the error is said to be.
    pub kind: ErrorKind,
    /// Whether the work is done nevertheless.
    pub effect: Effect,
}

/// Passes everything to another store, but fails the calls that its faults choose, and counts.
#[derive(Debug)]
pub struct FailingStore<S> {
    inner: S,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Fault>,
    calls: Vec<(Op, String)>,
}

impl<S: ObjectStore> FailingStore<S> {
    /// Wraps a store; nothing fails yet.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            state: Mutex::default(),
        }
    }

    /// Adds a fault. Calls made so far count for none.
    pub fn fail(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// The keys with which `op` has been called so far, in order.
    pub fn calls(&self, op: Op) -> Vec<String> {
        let state = self.state();
        state
            .calls
            .iter()
            .filter(|call| call.0 == op)
            .map(|call| call.1.clone())
            .collect()
    }

    async fn call<T>(
        &self,
        op: Op,
        key: &str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let Some(fault) = self.note(op, key) else {
            return work.await;
        };
        if fault.effect == Effect::Done {
            drop(work.await);
        }
        let cause = Cause::Service {
            kind: fault.kind,
            code: "InjectedFault".to_owned(),
            message: "a test wants this to fail".to_owned(),
        };
        Err(StoreError::new(op, key, cause))
    }

    /// Counts a call, and says which fault it meets.
    fn note(&self, op: Op, key: &str) -> Option<Fault> {
        let mut state = self.state();
        state.calls.push((op, key.to_owned()));
        let mut met = None;
        for fault in state.faults.iter_mut().filter(|fault| fault.op == op) {
            if fault.after > 0 {
                fault.after -= 1;
            } else if fault.count > 0 && met.is_none() {
                fault.count -= 1;
                met = Some(*fault);
            }
        }
        met
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: ObjectStore> ObjectStore for FailingStore<S> {
    async fn get(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.call(Op::Get, key, self.inner.get(key)).await
    }

    async fn get_range(
        &self,
        key: &str,
        from: u64,
        limit: u64,
    ) -> Result<Option<Bytes>, StoreError> {
        self.call(Op::GetRange, key, self.inner.get_range(key, from, limit))
            .await
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        options: PutOptions,
    ) -> Result<PutOutcome, StoreError> {
        self.call(Op::Put, key, self.inner.put(key, body, options))
            .await
    }

    async fn head(&self, key: &str) -> Result<Option<Info>, StoreError> {
        self.call(Op::Head, key, self.inner.head(key)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.call(Op::List, prefix, self.inner.list(prefix)).await
    }

    async fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        self.call(Op::List, folder, self.inner.folders(folder))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::LocalStore;

    #[tokio::test]
    async fn faults_are_chosen_by_operation_and_count() {
        let folder = tempfile::tempdir().unwrap();
        let store = FailingStore::new(LocalStore::new(folder.path()));
        let fault = Fault {
            op: Op::Put,
            after: 1,
            count: 1,
            kind: ErrorKind::Throttled,
            effect: Effect::Done,
        };
        store.fail(fault);

        let put = async |key| store.put(key, Bytes::new(), PutOptions::default()).await;
        put("a").await.unwrap();
        assert!(put("b").await.unwrap_err().is_transient());
        put("c").await.unwrap();
        assert!(
            store.head("b").await.unwrap().is_some(),
            "the work was done"
        );
        assert_eq!(store.calls(Op::Put), ["a", "b", "c"]);
    }
}
