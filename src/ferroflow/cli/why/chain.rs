//! What a run has submitted, from its launch chain, and what of it has begun.

use std::collections::{BTreeMap, HashSet};

use anyhow::Result;
use datastore::ObjectStore;
use model::{
    FlowName, RunId, TaskPath,
    launch_record::{Member, Submission},
    layout,
};

use crate::stored_run::header;

/// The latest launch of each task.
#[derive(Debug, Default)]
pub(super) struct Chain {
    launches: Vec<Launch>,
}

/// One task's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Launch {
    pub(super) task: TaskPath,
    pub(super) job_name: String,
    pub(super) queue: String,
    pub(super) definition: String,
    /// Of a child of an array.
    pub(super) index: Option<u32>,
    /// Whether it has claimed its task, has ended, or will never start.
    pub(super) has_begun: bool,
}

impl Chain {
    pub(super) async fn read(
        store: &impl ObjectStore,
        flow: &FlowName,
        run: &RunId,
    ) -> Result<Self> {
        let folder = layout::launch_folder(flow, run);
        let records = store.list(&folder).await?;
        if records.is_empty() {
            return Ok(Self::default());
        }
        let keys = async |folder: String| {
            let entries = store.list(&folder).await?;
            anyhow::Ok(
                entries
                    .into_iter()
                    .map(|entry| entry.key)
                    .collect::<HashSet<_>>(),
            )
        };
        let claims = keys(layout::claim_folder(flow, run)).await?;
        let outcomes = keys(layout::outcomes_folder(flow, run)).await?;
        let mut latest = BTreeMap::new();
        for entry in &records {
            let record = header(store, &entry.key).await?;
            for submission in &record.submissions {
                for (index, member) in (0..).zip(&submission.members) {
                    let claim = layout::claim(flow, &member.task, member.attempt, member.launch);
                    let outcome = layout::outcome(flow, run, record.seq, member.index);
                    let has_begun = claims.contains(&claim) || outcomes.contains(&outcome);
                    let launch = launch(submission, index, member, has_begun);
                    latest.insert(member.task.clone(), launch);
                }
            }
        }
        let launches = latest.into_values().collect();
        Ok(Self { launches })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.launches.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.launches.len()
    }

    pub(super) fn open(&self) -> impl Iterator<Item = &Launch> {
        self.launches.iter().filter(|launch| !launch.has_begun)
    }
}

fn launch(submission: &Submission, index: u32, member: &Member, has_begun: bool) -> Launch {
    Launch {
        task: member.task.clone(),
        job_name: submission.job_name.clone(),
        queue: submission.queue.clone(),
        definition: submission.definition.clone(),
        index: submission.is_array.then_some(index),
        has_begun,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use datastore::{PutOptions, local::LocalStore};
    use model::{Attempt, TaskKey, Timestamp, launch_record::LaunchRecord, spec::SPEC_VERSION};

    use super::*;
    use crate::stored_run::chain::FIRST_BYTES;

    fn member(task: &str, launch: u32, index: u32) -> Member {
        Member {
            key: TaskKey(1),
            task: task.parse().unwrap(),
            attempt: Attempt(0),
            launch,
            index,
        }
    }

    fn record(seq: u64, name: &str, members: Vec<Member>) -> Vec<u8> {
        let record = LaunchRecord {
            version: SPEC_VERSION,
            seq,
            holder: "me".to_owned(),
            at: Timestamp(1),
            submissions: vec![Submission {
                job_name: name.to_owned(),
                queue: "q".to_owned(),
                definition: "d:1".to_owned(),
                is_array: members.len() > 1,
                resources: None,
                members,
            }],
            local: Vec::new(),
            raises: Vec::new(),
            taken_from: None,
        };
        let mut bytes = serde_json::to_vec(&record).unwrap();
        bytes.extend_from_slice(b"\n{}\n");
        bytes
    }

    #[tokio::test]
    async fn what_has_not_begun_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::new(folder.path());
        let (flow, run) = (FlowName::new("F").unwrap(), RunId::new("1").unwrap());
        let put = async |key: String, body: Vec<u8>| {
            let put = store.put(&key, Bytes::from(body), PutOptions::default());
            put.await.unwrap();
        };
        let empty = Chain::read(&store, &flow, &run).await.unwrap();
        assert!(empty.is_empty());
        let array: Vec<_> = (0..1_200)
            .map(|index| member(&format!("1/work/{}", index + 10), 0, index))
            .collect();
        assert!(record(1, "array", array.clone()).len() as u64 > FIRST_BYTES);
        for (seq, bytes) in [
            (0, record(0, "start", vec![member("1/start/1", 0, 0)])),
            (1, record(1, "array", array)),
            (2, record(2, "again", vec![member("1/work/12", 1, 0)])),
        ] {
            put(layout::launch_record(&flow, &run, seq), bytes).await;
        }
        let claimed = layout::claim(&flow, &"1/start/1".parse().unwrap(), Attempt(0), 0);
        put(claimed, Vec::new()).await;
        put(layout::outcome(&flow, &run, 1, 0), Vec::new()).await;
        let chain = Chain::read(&store, &flow, &run).await.unwrap();
        assert_eq!(chain.len(), 1_201);
        let open: BTreeMap<_, _> = chain
            .open()
            .map(|launch| {
                (
                    launch.task.to_string(),
                    (launch.job_name.as_str(), launch.index),
                )
            })
            .collect();
        assert_eq!(open.len(), 1_199);
        assert_eq!(open["1/work/12"], ("again", None));
        assert_eq!(open["1/work/13"], ("array", Some(3)));
        assert!(!open.contains_key("1/start/1") && !open.contains_key("1/work/10"));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::new(folder.path());
        let (flow, run) = (FlowName::new("F").unwrap(), RunId::new("1").unwrap());
        let newer = r#"{"version": 9, "seq": 0, "holder": "", "at": 1, "submissions": []}"#;
        for (body, said) in [
            ("{", "has no header"),
            ("{\n", "cannot be read"),
            (&format!("{newer}\n"), "is of version 9"),
        ] {
            let key = layout::launch_record(&flow, &run, 0);
            let put = store.put(&key, Bytes::from(body.to_owned()), PutOptions::default());
            put.await.unwrap();
            let error = Chain::read(&store, &flow, &run).await.unwrap_err();
            assert!(error.to_string().contains(said), "{error:#}");
        }
    }
}
