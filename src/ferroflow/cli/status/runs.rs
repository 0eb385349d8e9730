//! Finding and reading records.

use std::{cmp::Reverse, fmt};

use anyhow::{Context, Result, bail};
use datastore::ObjectStore;
use model::{
    FlowName, RunId, layout,
    run_record::{RUN_RECORD_VERSION, RunRecord},
};

use super::MOST;

/// What somebody wants to know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Pathspec {
    Flow(FlowName),
    Run(FlowName, RunId),
}

impl Pathspec {
    pub(in crate::cli) fn parse(text: &str) -> Result<Self> {
        let parts: Vec<_> = text.split('/').collect();
        Ok(match parts[..] {
            [flow] => Self::Flow(FlowName::new(flow)?),
            [flow, run] => Self::Run(FlowName::new(flow)?, RunId::new(run)?),
            _ => bail!("`{text}` names no run\nhint: write MyFlow or MyFlow/1795629404190365"),
        })
    }
}

impl fmt::Display for Pathspec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flow(flow) => write!(f, "a run of {flow}"),
            Self::Run(flow, run) => write!(f, "run {flow}/{run}"),
        }
    }
}

/// The records in a datastore.
#[derive(Debug)]
pub(in crate::cli) struct Runs<'a, S>(pub(in crate::cli) &'a S);

impl<S: ObjectStore> Runs<'_, S> {
    /// The wanted records, the latest run first; without a wish the latest of each flow.
    pub(in crate::cli) async fn find(&self, wanted: Option<&Pathspec>) -> Result<Vec<RunRecord>> {
        let mut found = match wanted {
            Some(Pathspec::Run(flow, run)) => self.record(flow, run).await?.into_iter().collect(),
            Some(Pathspec::Flow(flow)) => self.latest(flow, MOST).await?,
            None => self.latest_of_each_flow().await?,
        };
        found.sort_by_key(|record| Reverse((record.began_at, number(&record.run))));
        found.truncate(MOST);
        Ok(found)
    }

    async fn latest_of_each_flow(&self) -> Result<Vec<RunRecord>> {
        let mut found = Vec::new();
        for name in self.0.folders(layout::OWN_FOLDER).await? {
            if let Ok(flow) = FlowName::new(&name) {
                found.extend(self.latest(&flow, 1).await?);
            }
        }
        Ok(found)
    }

    /// Runs by the order of their ids, which metadata providers give out in the order of time. Some of the latest may
    /// have no record: they were only begun.
    async fn latest(&self, flow: &FlowName, count: usize) -> Result<Vec<RunRecord>> {
        let names = self.0.folders(&layout::flow_folder(flow)).await?;
        let mut runs: Vec<_> = names
            .iter()
            .filter_map(|name| RunId::new(name).ok())
            .collect();
        runs.sort_by_key(|run| Reverse(number(run)));
        let mut found = Vec::new();
        for run in runs.iter().take(count + MOST) {
            found.extend(self.record(flow, run).await?);
            if found.len() == count {
                break;
            }
        }
        Ok(found)
    }

    async fn record(&self, flow: &FlowName, run: &RunId) -> Result<Option<RunRecord>> {
        let key = layout::run_record(flow, run);
        let Some(object) = self.0.get(&key).await? else {
            return Ok(None);
        };
        let unreadable = || format!("the record `{key}` cannot be read");
        let version: Version = serde_json::from_slice(&object.body).with_context(unreadable)?;
        if version.version > RUN_RECORD_VERSION {
            bail!(
                "the record `{key}` is of version {}, which this Ferroflow does not know\nhint: install the Ferroflow that launched the run, or a newer one",
                version.version
            );
        }
        serde_json::from_slice(&object.body)
            .map(Some)
            .with_context(unreadable)
    }
}

#[derive(serde::Deserialize)]
struct Version {
    version: u32,
}

fn number(run: &RunId) -> u64 {
    run.as_str().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use datastore::{PutOptions, local::LocalStore};
    use model::{
        Timestamp,
        run_record::{Launcher, RunState},
    };

    use super::*;

    fn record(flow: &str, run: &str, began_at: i64) -> RunRecord {
        let launcher = Launcher {
            host: "h".to_owned(),
            pid: 1,
            ferroflow: String::new(),
            metaflow: String::new(),
            python: String::new(),
        };
        let (flow, run) = (FlowName::new(flow).unwrap(), RunId::new(run).unwrap());
        RunRecord {
            state: RunState::Done,
            ..RunRecord::begun(flow, run, launcher, Timestamp(began_at))
        }
    }

    async fn put(store: &LocalStore, key: &str, body: Vec<u8>) {
        let put = store.put(key, Bytes::from(body), PutOptions::default());
        put.await.unwrap();
    }

    async fn store(folder: &tempfile::TempDir) -> LocalStore {
        let store = LocalStore::new(folder.path());
        for (flow, run, began_at) in [("A", "9", 1), ("A", "10", 2), ("B", "7", 5)] {
            let record = record(flow, run, began_at);
            let key = layout::run_record(&record.flow, &record.run);
            put(&store, &key, serde_json::to_vec(&record).unwrap()).await;
        }
        put(&store, ".ferroflow/A/11/launch/00000000", Vec::new()).await;
        put(&store, ".ferroflow/bootstrap/00ff", Vec::new()).await;
        store
    }

    fn names(found: &[RunRecord]) -> Vec<String> {
        found
            .iter()
            .map(|r| format!("{}/{}", r.flow, r.run))
            .collect()
    }

    #[tokio::test]
    async fn the_latest_runs_come_first() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let find = async |wanted: Option<&str>| {
            let wanted = wanted.map(|text| Pathspec::parse(text).unwrap());
            names(&Runs(&store).find(wanted.as_ref()).await.unwrap())
        };
        assert_eq!(find(None).await, ["B/7", "A/10"]);
        assert_eq!(find(Some("A")).await, ["A/10", "A/9"]);
        assert_eq!(find(Some("A/9")).await, ["A/9"]);
        assert_eq!(find(Some("A/11")).await, [""; 0]);
        assert_eq!(find(Some("C")).await, [""; 0]);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        for (body, said) in [
            ("{", "the record `.ferroflow/A/12/run.json` cannot be read"),
            (r#"{"version": 9}"#, "is of version 9"),
            (r#"{"version": 1}"#, "cannot be read"),
        ] {
            put(&store, ".ferroflow/A/12/run.json", body.into()).await;
            let wanted = Pathspec::parse("A/12").unwrap();
            let error = Runs(&store).find(Some(&wanted)).await.unwrap_err();
            assert!(error.to_string().contains(said), "{error:#}");
        }
        for bad in ["", "A/", "A/1/start", "A:1"] {
            assert!(Pathspec::parse(bad).is_err(), "{bad}");
        }
    }
}
