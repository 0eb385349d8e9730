//! The line format of Metaflow's logs, on bytes: what user code prints need not be UTF-8.
//!
//! `[MFLOG|0|2024-01-31T10:20:30.123456Z|task|<id>]message`, with `[!` in front while the
//! receiver is asked to persist the line (metaflow/mflog/mflog.py). Nothing here reads a clock
//! or mints an id; both come from the caller.

const PREFIX: &[u8] = b"[MFLOG|";
const PERSIST_PREFIX: &[u8] = b"[![MFLOG|";
const PERSIST_MARKER: &[u8] = b"[!";
const VERSION: &[u8] = b"0|";

/// A line in Metaflow's format, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Whether the receiver is asked to persist the line.
    pub should_persist: bool,
    /// UTC time as `%Y-%m-%dT%H:%M:%S.%f`, without the `Z`.
    pub utc_timestamp: &'a str,
    /// Who minted the timestamp: `task` or `runtime` in practice.
    pub source: &'a [u8],
    /// Identity of the line: a uuid, or in lines made by bash the timestamp.
    pub id: &'a [u8],
    /// The text, without the newline.
    pub message: &'a [u8],
}

/// Whether the line claims to be in Metaflow's format (`is_structured`). It may still not parse.
pub fn is_structured(line: &[u8]) -> bool {
    line.starts_with(PREFIX) || line.starts_with(PERSIST_PREFIX)
}

/// Takes a line apart; `None` where Metaflow's `parse` gives none: another format, another
/// version, an empty field, or a time that does not exist.
pub fn parse(line: &[u8]) -> Option<Line<'_>> {
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or(line);
    let (should_persist, rest) = match line.strip_prefix(PERSIST_MARKER) {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let rest = rest.strip_prefix(PREFIX)?.strip_prefix(VERSION)?;
    let (timestamp, rest) = field(rest, b"Z|")?;
    let utc_timestamp = std::str::from_utf8(timestamp)
        .ok()
        .filter(|text| is_timestamp(text))?;
    let (source, rest) = field(rest, b"|")?;
    let (id, message) = field(rest, b"]")?;
    Some(Line {
        should_persist,
        utc_timestamp,
        source,
        id,
        message,
    })
}

/// The line without the marker that asks for it to be persisted (`unset_should_persist`).
pub fn unset_should_persist(line: &[u8]) -> &[u8] {
    if line.starts_with(PERSIST_PREFIX) {
        &line[PERSIST_MARKER.len()..]
    } else {
        line
    }
}

/// Puts a message into Metaflow's format (`decorate`). `utc_timestamp` is UTC as
/// `%Y-%m-%dT%H:%M:%S.%f`, without the `Z`; a newline at the end of `message` is kept.
pub fn format(source: &str, utc_timestamp: &str, id: &str, message: &[u8]) -> Vec<u8> {
    let mut line = format!("[MFLOG|0|{utc_timestamp}Z|{source}|{id}]").into_bytes();
    line.extend_from_slice(message);
    line
}

/// Splits at the first `end` that leaves at least one byte before it: `(.+?)` of the regular
/// expression. Later ones need not be tried, since the fields after it would only get shorter.
fn field<'a>(bytes: &'a [u8], end: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = 1 + bytes
        .get(1..)?
        .windows(end.len())
        .position(|window| window == end)?;
    Some((&bytes[..at], &bytes[at + end.len()..]))
}

/// Whether Python's `strptime` reads the text: digits may be missing on the left of a number
/// but for the year's, the fraction has one to six digits, and the day exists.
fn is_timestamp(text: &str) -> bool {
    timestamp_fields(text).is_some_and(|[year, month, day, hour, minute, second]| {
        year >= 1
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60
    })
}

fn timestamp_fields(text: &str) -> Option<[u32; 6]> {
    let (date, time) = text.split_once(['T', 't'])?;
    let (year, month_day) = date.split_once('-')?;
    let (month, day) = month_day.split_once('-')?;
    let (hour, minute_second) = time.split_once(':')?;
    let (minute, seconds) = minute_second.split_once(':')?;
    let (second, fraction) = seconds.split_once('.')?;
    number(fraction, 1, 6)?;
    Some([
        number(year, 4, 4)?,
        number(month, 1, 2)?,
        number(day, 1, 2)?,
        number(hour, 1, 2)?,
        number(minute, 1, 2)?,
        number(second, 1, 2)?,
    ])
}

fn number(digits: &str, at_least: usize, at_most: usize) -> Option<u32> {
    let fits = (at_least..=at_most).contains(&digits.len());
    (fits && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = b"[MFLOG|0|2026-11-23T22:51:50.110982Z|runtime|0746d0cd|x]hello";

    #[test]
    fn a_line_is_taken_apart_and_put_together() {
        let line = parse(LINE).unwrap();
        assert_eq!(
            line,
            Line {
                should_persist: false,
                utc_timestamp: "2026-11-23T22:51:50.110982",
                source: b"runtime",
                id: b"0746d0cd|x",
                message: b"hello",
            }
        );
        assert_eq!(
            format("runtime", line.utc_timestamp, "0746d0cd|x", b"hello"),
            LINE
        );
    }

    #[test]
    fn the_marker_comes_off() {
        let marked = [b"[!", LINE].concat();
        assert!(is_structured(&marked) && is_structured(LINE));
        assert!(parse(&marked).unwrap().should_persist);
        assert_eq!(unset_should_persist(&marked), LINE);
        assert_eq!(unset_should_persist(LINE), LINE);
        assert_eq!(unset_should_persist(b"[!x"), b"[!x");
    }

    #[test]
    fn messages_are_any_bytes_up_to_the_newline() {
        let message = |line: &[u8]| parse(line).unwrap().message.to_vec();
        let header = b"[MFLOG|0|2026-11-23T22:51:50.1Z|task|1]";
        assert_eq!(
            message(&[&header[..], b"\xff]\0|\r\nrest"].concat()),
            b"\xff]\0|\r"
        );
        assert_eq!(message(header), b"");
    }

    /// Each pair was checked against `metaflow.mflog.mflog.parse` of 2.19.39.
    #[test]
    fn lines_that_upstream_does_and_does_not_parse() {
        for good in [
            "[MFLOG|0|2024-2-29T1:2:3.5Z|task|1]",
            "[MFLOG|0|2026-11-23t22:51:50.110982Z|task|1]",
            "[MFLOG|0|2026-11-23T22:51:50.1Z||s|1]m",
            "[MFLOG|0|2026-11-23T22:51:50.1Z|s|]]m",
        ] {
            assert!(parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            "hello",
            "[MFLOG|",
            "[MFLOG|1|2026-11-23T22:51:50.1Z|task|1]",
            "x[MFLOG|0|2026-11-23T22:51:50.1Z|task|1]",
            "[MFLOG|0|2026-11-23T22:51:50Z|task|1]",
            "[MFLOG|0|2026-11-23T22:51:50.1234567Z|task|1]",
            "[MFLOG|0|2023-02-29T22:51:50.1Z|task|1]",
            "[MFLOG|0|0000-01-01T22:51:50.1Z|task|1]",
            "[MFLOG|0|2026-11-23T24:00:00.1Z|task|1]",
            "[MFLOG|0|2026-11-23T22:51:60.1Z|task|1]",
            "[MFLOG|0|2026-11-23T22:51:50.1Z|task|]",
            "[MFLOG|0|2026-11-23T22:51:50.1Z|]m",
            "[MFLOG|0|2026-11-23T22:51:50.1Z|task|1\n]m",
            "[MFLOG|0|2026-+1-23T22:51:50.1Z|task|1]",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
