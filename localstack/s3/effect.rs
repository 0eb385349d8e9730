//! What a write does to objects, for the history.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    index::{Index, Record},
    object::Object,
    send::Reader,
};
use crate::Context;

/// Objects below a folder of this name are Ferroflow's own, and the history has the first line of those that are JSON there:
/// it says what a launcher or a job wants.
const OWN_FOLDER: &str = ".ferroflow/";
/// A first line that is longer is not written down.
const MAX_HEAD: usize = 1 << 20;

impl Record {
    /// Writes down what this change, which is about to be made, does to an object. Called under the lock of the index, so
    /// that the history has changes in their order.
    pub(super) fn tell(&self, context: &Context, index: &Index, by: &Value) {
        let (bucket, key, object) = match self {
            Self::PutObject {
                bucket,
                key,
                object,
            }
            | Self::CompleteUpload {
                bucket,
                key,
                object,
                ..
            } => (bucket, key, Some(object)),
            Self::DeleteObject { bucket, key } => (bucket, key, None),
            _ => return,
        };
        let before = index.buckets.get(bucket);
        let before = before.and_then(|bucket| bucket.objects.get(key));
        let kind = match (before, object) {
            (_, None) => "object.deleted",
            (None, Some(_)) => "object.created",
            (Some(_), Some(_)) => "object.replaced",
        };
        let mut detail = json!({"bucket": bucket, "key": key, "by": by});
        if let Some(object) = object {
            detail["etag"] = (*object.etag).into();
            detail["size"] = object.size.into();
            if key.starts_with(OWN_FOLDER) || key.contains(&format!("/{OWN_FOLDER}")) {
                detail["head"] = head(object).unwrap_or_default();
            }
        }
        context.record(kind, detail);
    }
}

/// The first line, if it is JSON.
fn head(object: &Arc<Object>) -> Option<Value> {
    let mut reader = Reader::new(Arc::clone(object), 0..object.size);
    let mut line = Vec::new();
    loop {
        let chunk = reader.next().ok()?;
        let Some(chunk) = chunk else { break };
        let first = chunk.split(|byte| *byte == b'\n').next()?;
        line.extend_from_slice(first);
        if first.len() < chunk.len() {
            break;
        }
        if line.len() > MAX_HEAD || line.first() != Some(&b'{') {
            return None;
        }
    }
    serde_json::from_slice(&line).ok()
}
