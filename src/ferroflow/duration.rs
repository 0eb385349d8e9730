//! Times that users name in variables.

use std::time::Duration;

/// A whole number of seconds, or one with a unit: `90`, `90s`, `30m`, `24h`.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(['s', 'm', 'h']);
    let seconds_each = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let number: u64 = digits.parse().ok()?;
    Some(Duration::from_secs(number.checked_mul(seconds_each)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, seconds) in [("10", 10), ("90s", 90), ("30m", 1800), ("24h", 86_400)] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "h", "1d", "-5s", "1.5h", "ten", "5sm"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
