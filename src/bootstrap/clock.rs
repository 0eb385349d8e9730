//! The time of day in the forms that are written down.

use std::time::{SystemTime, UNIX_EPOCH};

const SECONDS_PER_DAY: u64 = 86_400;

/// Milliseconds since the epoch.
pub(crate) fn milliseconds(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

/// UTC as `%Y-%m-%dT%H:%M:%S.%f`.
pub(crate) fn utc_timestamp(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = civil_date(since.as_secs() / SECONDS_PER_DAY);
    let second = since.as_secs() % SECONDS_PER_DAY;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_micros()
    )
}

/// Seconds since the epoch of a UTC time as `%Y-%m-%dT%H:%M:%S`, whatever follows.
pub(crate) fn parse_utc(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    Some(days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second)
}

/// Seconds since the epoch of a time as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7). Its two obsolete
/// forms are not read: no store of today sends them.
pub(crate) fn parse_http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, date) = text.strip_suffix(" GMT")?.split_once(", ")?;
    let mut words = date.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    parse_utc(&format!("{year}-{month:02}-{day}T{time}"))
}

/// Year, month and day of a day counted from the epoch, by the usual arithmetic on years that
/// begin in March.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_metaflow_does() {
        let at = UNIX_EPOCH + Duration::new(1_709_210_096, 5_000);
        assert_eq!(utc_timestamp(at), "2024-02-29T12:34:56.000005");
        assert_eq!(utc_timestamp(UNIX_EPOCH), "1970-01-01T00:00:00.000000");
    }

    #[test]
    fn times_are_read_back() {
        for second in (0..4_102_444_800).step_by(999_983) {
            let text = utc_timestamp(UNIX_EPOCH + Duration::from_secs(second));
            assert_eq!(parse_utc(&format!("{text}Z")), Some(second), "{text}");
        }
        assert_eq!(parse_utc("2024-02"), None);
        let date = "Thu, 29 Feb 2024 12:34:56 GMT";
        assert_eq!(parse_http_date(date), Some(1_709_210_096));
        for bad in [
            "",
            "Thursday, 29-Feb-24 12:34:56 GMT",
            "Thu Feb 29 12:34:56 2024",
            "Thu, 29 feb 2024 12:34:56 GMT",
            "Thu, 29 Feb 2024 12:34:56 CET",
        ] {
            assert_eq!(parse_http_date(bad), None, "{bad}");
        }
        assert_eq!(parse_utc("2024-13-01T00:00:00Z"), None);
    }
}
