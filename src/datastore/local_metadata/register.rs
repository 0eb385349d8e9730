//! Metadata of the launcher's own, in the form of upstream's local provider
//! (metaflow/plugins/metadata_providers/local.py, `register_metadata`).

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use model::{FlowName, TaskPath, Timestamp, layout, task_metadata::TaskMetadatum};

use super::{LocalMetadataError, archive::MetaFile, install};

/// Mode of the files that upstream writes, under the usual umask.
const MODE: u32 = 0o644;

/// Adds records to the metadata of a task below `local_root`, a `.metaflow` folder.
pub async fn register(
    local_root: &Path,
    flow: &FlowName,
    task: &TaskPath,
    records: Vec<TaskMetadatum>,
    at: Timestamp,
) -> Result<(), LocalMetadataError> {
    if records.is_empty() {
        return Ok(());
    }
    let root = local_root.to_owned();
    let folder = layout::task_metadata(flow, task);
    super::blocking(local_root, move || {
        for record in &records {
            let name = layout::metadatum(record.field_name, at);
            let path = PathBuf::from(&folder).join(name);
            let content =
                serde_json::to_vec(record).map_err(|source| LocalMetadataError::Write {
                    path: root.join(&path),
                    source: source.into(),
                })?;
            let file = MetaFile {
                path,
                mode: MODE,
                modified: SystemTime::now(),
                content,
            };
            install::file(&root, &file)?;
        }
        Ok(())
    })
    .await
}
