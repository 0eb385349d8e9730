//! GetLogEvents. Tokens are `f/` or `b/` and the offset from which, or before which, the next page is read.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use serde_json::{Map, Value, json};

use super::{
    Logs,
    service::{integer, refusal, unreadable},
    stream::LogEvent,
};
use crate::{ApiError, Reply};

/// Events and bytes in one answer (API reference, GetLogEvents).
const MAX_EVENTS: i64 = 10_000;
const MAX_BYTES: u64 = 1 << 20;
/// What an event costs beside its text.
const EVENT_OVERHEAD: u64 = 26;

/// From where a page is read.
#[derive(Debug, Clone, Copy)]
enum From {
    Start(u64),
    Before(u64),
}

/// Part of a stream.
#[derive(Debug, Default)]
struct Page {
    events: Vec<LogEvent>,
    start: u64,
    end: u64,
}

impl Logs {
    /// A page of a stream: the newest events, or with `startFromHead` the oldest.
    pub(super) fn get_log_events(&self, request: &Map<String, Value>) -> Reply {
        self.check_group(request)?;
        let text = |name: &str| request.get(name).and_then(Value::as_str);
        let Some(name) = text("logStreamName") else {
            return Err(refusal(
                "InvalidParameterException",
                "logStreamName is required".to_owned(),
            ));
        };
        let limit = integer(request, "limit").unwrap_or(MAX_EVENTS);
        if !(1..=MAX_EVENTS).contains(&limit) {
            let text = format!("limit must be between 1 and {MAX_EVENTS}");
            return Err(refusal("InvalidParameterException", text));
        }
        let path = self.file(name)?;
        let from_head = request
            .get("startFromHead")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        let from = match text("nextToken") {
            Some(token) => from_token(token)?,
            None if from_head => From::Start(0),
            None => From::Before(u64::MAX),
        };
        let range = integer(request, "startTime").unwrap_or(0)
            ..integer(request, "endTime").unwrap_or(i64::MAX);
        let wanted = |event: &LogEvent| range.contains(&event.at);
        let page = read(&path, from, limit as usize, wanted).map_err(|error| unreadable(&error))?;
        let events: Vec<Value> = page
            .events
            .iter()
            .map(|event| json!({"timestamp": event.at, "message": event.message, "ingestionTime": event.at}))
            .collect();
        Ok(json!({
            "events": events,
            "nextForwardToken": format!("f/{:032x}", page.end),
            "nextBackwardToken": format!("b/{:032x}", page.start),
        }))
    }
}

fn from_token(token: &str) -> Result<From, ApiError> {
    let offset = |text: &str| u64::from_str_radix(text.trim_start_matches("/s").trim(), 16).ok();
    let parsed = match token.split_once('/') {
        Some(("f", text)) => offset(text).map(From::Start),
        Some(("b", text)) => offset(text).map(From::Before),
        _ => None,
    };
    parsed.ok_or_else(|| {
        refusal(
            "InvalidParameterException",
            "The specified nextToken is invalid.".to_owned(),
        )
    })
}

fn read(
    path: &Path,
    from: From,
    limit: usize,
    wanted: impl Fn(&LogEvent) -> bool,
) -> io::Result<Page> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    match from {
        From::Start(offset) => {
            let offset = offset.min(length);
            file.seek(SeekFrom::Start(offset))?;
            forward(BufReader::new(file), offset, limit, wanted)
        }
        From::Before(offset) => backward(file, offset.min(length), limit, wanted),
    }
}

/// The next events from an offset.
fn forward(
    mut file: impl BufRead,
    offset: u64,
    limit: usize,
    wanted: impl Fn(&LogEvent) -> bool,
) -> io::Result<Page> {
    let mut page = Page {
        start: offset,
        end: offset,
        ..Page::default()
    };
    let mut bytes = 0;
    let mut line = Vec::new();
    while page.events.len() < limit && bytes < MAX_BYTES {
        line.clear();
        let length = file.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            break;
        }
        page.end += length as u64;
        if let Ok(event) = serde_json::from_slice::<LogEvent>(&line)
            && wanted(&event)
        {
            bytes += event.message.len() as u64 + EVENT_OVERHEAD;
            page.events.push(event);
        }
    }
    Ok(page)
}

/// The last events before an offset. Blocks are read from there backwards until there is enough.
fn backward(
    mut file: File,
    end: u64,
    limit: usize,
    wanted: impl Fn(&LogEvent) -> bool,
) -> io::Result<Page> {
    let mut block = MAX_BYTES;
    loop {
        let start = end.saturating_sub(block);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        Read::by_ref(&mut file)
            .take(end - start)
            .read_to_end(&mut bytes)?;
        // The first line may be cut off, the last one not yet whole.
        let skipped = match start {
            0 => 0,
            _ => bytes
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(bytes.len(), |at| at + 1),
        };
        let mut events = Vec::new();
        let mut at = start + skipped as u64;
        for line in bytes[skipped..].split_inclusive(|byte| *byte == b'\n') {
            let (line_start, line_end) = (at, at + line.len() as u64);
            at = line_end;
            if line.last() == Some(&b'\n')
                && let Ok(event) = serde_json::from_slice::<LogEvent>(line)
                && wanted(&event)
            {
                events.push((line_start, line_end, event));
            }
        }
        if events.len() < limit && start > 0 && block < (MAX_BYTES << 6) {
            block *= 4;
            continue;
        }
        let mut bytes = 0;
        let kept = events.iter().rev().take(limit).take_while(|(_, _, event)| {
            bytes += event.message.len() as u64 + EVENT_OVERHEAD;
            bytes <= MAX_BYTES
        });
        let first = events.len() - kept.count();
        let kept = events.split_off(first);
        return Ok(Page {
            start: kept.first().map_or(start, |(start, ..)| *start),
            end: kept.last().map_or(end, |(_, end, _)| *end),
            events: kept.into_iter().map(|(_, _, event)| event).collect(),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn stream(count: i64) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for at in 0..count {
            writeln!(file, "{}", json!({"t": at, "m": format!("line {at}")})).unwrap();
        }
        file.write_all(b"{\"t\": 9").unwrap();
        file
    }

    fn times(page: &Page) -> Vec<i64> {
        page.events.iter().map(|event| event.at).collect()
    }

    #[test]
    fn pages_forward_meet_each_event_once_and_stay_at_the_end() {
        let file = stream(7);
        let mut seen = Vec::new();
        let mut offset = 0;
        for expected in [3, 3, 1, 0] {
            let page = read(file.path(), From::Start(offset), 3, |_| true).unwrap();
            assert_eq!(page.events.len(), expected);
            seen.extend(times(&page));
            offset = page.end;
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn pages_backward_begin_with_the_newest() {
        let file = stream(7);
        let newest = read(file.path(), From::Before(u64::MAX), 3, |_| true).unwrap();
        assert_eq!(times(&newest), [4, 5, 6]);
        let older = read(file.path(), From::Before(newest.start), 3, |_| true).unwrap();
        assert_eq!(times(&older), [1, 2, 3]);
        let oldest = read(file.path(), From::Before(older.start), 3, |event| {
            event.at > 0
        })
        .unwrap();
        assert!(oldest.events.is_empty());
        let forward = read(file.path(), From::Start(newest.end), 3, |_| true).unwrap();
        assert!(forward.events.is_empty());
    }
}
