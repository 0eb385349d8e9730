//! FilterLogEvents. Patterns are plain terms, all of which must be in the text; AWS's other syntax is refused.

use std::{
    fs::File,
    io::{BufRead, BufReader},
};

use serde_json::{Map, Value, json};

use super::{
    Logs,
    service::{integer, refusal, unreadable},
    stream::LogEvent,
};
use crate::Reply;

/// API reference, FilterLogEvents.
const MAX_EVENTS: i64 = 10_000;

impl Logs {
    /// Events of several streams, stream by stream.
    pub(super) fn filter_log_events(&self, request: &Map<String, Value>) -> Reply {
        self.check_group(request)?;
        let text = |name: &str| request.get(name).and_then(Value::as_str);
        let pattern = text("filterPattern").unwrap_or_default();
        if pattern.contains(['{', '[', '?', '%']) {
            let text = "the embedded stack knows only plain terms in filterPattern".to_owned();
            return Err(refusal("InvalidParameterException", text));
        }
        let terms: Vec<String> = pattern
            .split_whitespace()
            .map(|term| term.trim_matches('"').to_owned())
            .collect();
        let names = request.get("logStreamNames").and_then(Value::as_array);
        let names: Option<Vec<&str>> =
            names.map(|names| names.iter().filter_map(Value::as_str).collect());
        let limit = integer(request, "limit")
            .unwrap_or(MAX_EVENTS)
            .clamp(1, MAX_EVENTS) as usize;
        let range = integer(request, "startTime").unwrap_or(0)
            ..integer(request, "endTime").unwrap_or(i64::MAX);
        let skipped: usize = match text("nextToken").map(str::parse) {
            None => 0,
            Some(Ok(skipped)) => skipped,
            Some(Err(_)) => {
                let text = "The specified nextToken is invalid.".to_owned();
                return Err(refusal("InvalidParameterException", text));
            }
        };
        let mut found = Vec::new();
        let streams = self.streams(text("logStreamNamePrefix").unwrap_or_default());
        let asked = |name: &str| names.as_ref().is_none_or(|names| names.contains(&name));
        'streams: for stream in streams.iter().filter(|stream| asked(&stream.name)) {
            let file = File::open(&stream.path).map_err(|error| unreadable(&error))?;
            for (line, number) in BufReader::new(file)
                .lines()
                .map_while(Result::ok)
                .zip(0_u64..)
            {
                let Ok(event) = serde_json::from_str::<LogEvent>(&line) else {
                    continue;
                };
                if range.contains(&event.at)
                    && terms.iter().all(|term| event.message.contains(term))
                {
                    found.push(json!({
                        "logStreamName": stream.name, "timestamp": event.at, "message": event.message,
                        "ingestionTime": event.at, "eventId": format!("{}-{number}", stream.name),
                    }));
                }
                if found.len() > skipped + limit {
                    break 'streams;
                }
            }
        }
        let more = found.len() > skipped + limit;
        let page: Vec<Value> = found.into_iter().skip(skipped).take(limit).collect();
        let mut answer = json!({"events": page, "searchedLogStreams": []});
        if more {
            answer["nextToken"] = (skipped + limit).to_string().into();
        }
        Ok(answer)
    }
}
