//! What a task registers with the local metadata provider in its container, packed as upstream packs it for the launcher
//! (metaflow/metadata_provider/util.py, `sync_local_metadata_to_datastore`; plugins/metadata_providers/local.py).

use std::io;

use serde_json::{Value, json};
use tar::{Builder, Header};

use super::{Failure, container::Playing, gzip::gzip, nonsense, task_data::Artifacts};

/// Packs the metadata of a task that ends now.
pub(super) fn archive(
    playing: &Playing,
    now: i64,
    artifacts: &Artifacts,
    succeeds: bool,
) -> Result<Vec<u8>, Failure> {
    let task = &playing.task;
    let parts: Vec<_> = task.path.split('/').collect();
    let [run, step, id] = parts.as_slice() else {
        return Err(nonsense(format!("`{}` is no task", task.path)));
    };
    let user = task
        .environment
        .get("METAFLOW_USER")
        .map_or("", String::as_str);
    let common = json!({
        "flow_id": task.flow,
        "run_number": run,
        "step_name": step,
        "task_id": id,
        "user_name": user,
        "ts_epoch": now,
    });
    let with = |more: Value| {
        let mut document = common.clone();
        if let (Value::Object(document), Value::Object(more)) = (&mut document, more) {
            document.extend(more);
        }
        document.to_string()
    };
    let folder = format!(".metaflow/{}/{}/_meta", task.flow, task.path);
    let mut archive = Builder::new(Vec::new());
    let mut add = |name: String, body: String| {
        append(&mut archive, &format!("{folder}/{name}.json"), &body, now)
    };
    let root = task.option("--datastore-root").unwrap_or_default();
    for (name, sha) in &artifacts.objects {
        let document = with(json!({
            "attempt_id": task.attempt,
            "name": name,
            "content_type": "pickle-v4",
            "type": "metaflow.artifact",
            "sha": sha,
            "ds_type": "s3",
            "location": format!(":root:{root}"),
            "tags": [],
            "system_tags": [],
        }));
        add(format!("{}_artifact_{name}", task.attempt), document)?;
    }
    let attempt = task.attempt.to_string();
    let ok = if succeeds { "True" } else { "False" };
    for (field, kind, value) in [
        ("attempt", "attempt", attempt.as_str()),
        ("origin-run-id", "origin-run-id", "None"),
        ("ds-type", "ds-type", "s3"),
        ("ds-root", "ds-root", root),
        ("aws-batch-job-id", "aws-batch-job-id", &playing.job),
        ("aws-batch-job-attempt", "aws-batch-job-attempt", "1"),
        ("attempt_ok", "internal_attempt_status", ok),
        ("attempt-done", "attempt-done", &attempt),
    ] {
        let document = with(json!({
            "field_name": field,
            "type": kind,
            "value": value,
            "tags": [format!("attempt_id:{attempt}")],
        }));
        add(format!("sysmeta_{field}_{now}"), document)?;
    }
    Ok(gzip(&archive.into_inner()?)?)
}

fn append(archive: &mut Builder<Vec<u8>>, path: &str, body: &str, now: i64) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(body.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(u64::try_from(now / 1000).unwrap_or_default());
    archive.append_data(&mut header, path, body.as_bytes())
}
