//! DescribeLogStreams.

use std::{fs, path::PathBuf, time::UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::{
    GROUP, Logs,
    service::{integer, refusal},
    stream,
};
use crate::Reply;

/// API reference, DescribeLogStreams.
const MAX_STREAMS: i64 = 50;

/// A stream that is there.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) path: PathBuf,
    created: i64,
    changed: i64,
    bytes: u64,
}

impl Logs {
    /// Streams by name, or by the time of their last event.
    pub(super) fn describe_log_streams(&self, request: &Map<String, Value>) -> Reply {
        self.check_group(request)?;
        let text = |name: &str| request.get(name).and_then(Value::as_str);
        let mut streams = self.streams(text("logStreamNamePrefix").unwrap_or_default());
        if text("orderBy") == Some("LastEventTime") {
            streams.sort_by_key(|stream| stream.changed);
        }
        if request.get("descending").and_then(Value::as_bool) == Some(true) {
            streams.reverse();
        }
        let limit = integer(request, "limit")
            .unwrap_or(MAX_STREAMS)
            .clamp(1, MAX_STREAMS) as usize;
        let start = match text("nextToken").map(str::parse::<usize>) {
            None => 0,
            Some(Ok(start)) => start,
            Some(Err(_)) => {
                let text = "The specified nextToken is invalid.".to_owned();
                return Err(refusal("InvalidParameterException", text));
            }
        };
        let page: Vec<Value> = streams
            .iter()
            .skip(start)
            .take(limit)
            .map(|stream| self.described(stream))
            .collect();
        let next = start + page.len();
        let mut answer = json!({"logStreams": page});
        if next < streams.len() {
            answer["nextToken"] = next.to_string().into();
        }
        Ok(answer)
    }

    /// Streams whose names begin so, by name.
    pub(super) fn streams(&self, prefix: &str) -> Vec<Stream> {
        let folder = stream::folder(&self.context.folder);
        let definitions = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut streams = Vec::new();
        for definition in definitions {
            let name = definition.file_name().to_string_lossy().into_owned();
            for file in fs::read_dir(definition.path())
                .into_iter()
                .flatten()
                .flatten()
            {
                let file_name = file.file_name().to_string_lossy().into_owned();
                let Some(task) = file_name.strip_suffix(".jsonl") else {
                    continue;
                };
                let name = stream::stream_name(&name, task);
                if let Ok(metadata) = file.metadata()
                    && name.starts_with(prefix)
                {
                    let milliseconds = |time: std::io::Result<std::time::SystemTime>| {
                        let since = time
                            .ok()
                            .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                        since.unwrap_or_default().as_millis() as i64
                    };
                    streams.push(Stream {
                        name,
                        path: file.path(),
                        created: milliseconds(metadata.created().or_else(|_| metadata.modified())),
                        changed: milliseconds(metadata.modified()),
                        bytes: metadata.len(),
                    });
                }
            }
        }
        streams.sort_by(|a, b| a.name.cmp(&b.name));
        streams
    }

    fn described(&self, stream: &Stream) -> Value {
        let arn = self.context.arn(
            "logs",
            &format!("log-group:{GROUP}:log-stream:{}", stream.name),
        );
        let mut described = json!({
            "logStreamName": stream.name, "creationTime": stream.created, "arn": arn, "storedBytes": 0,
        });
        if stream.bytes > 0 {
            for name in [
                "firstEventTimestamp",
                "lastEventTimestamp",
                "lastIngestionTime",
            ] {
                let is_first = name == "firstEventTimestamp";
                described[name] = if is_first {
                    stream.created
                } else {
                    stream.changed
                }
                .into();
            }
        }
        described
    }
}
