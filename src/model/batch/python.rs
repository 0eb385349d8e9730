//! Numbers as Python reads and prints them: upstream hands option values around as text.

/// `float(text)`; `None` where Python raises.
pub(super) fn float(text: &str) -> Option<f64> {
    without_underscores(text)?.parse().ok()
}

/// `int(text)`; `None` where Python raises or where the number does not fit.
pub(super) fn int(text: &str) -> Option<i32> {
    without_underscores(text)?.parse().ok()
}

/// `int(float(text))`; `None` where Python raises or where the number does not fit.
pub(super) fn int_of_float(text: &str) -> Option<i32> {
    let value = float(text)?.trunc();
    (value.abs() <= f64::from(i32::MAX)).then_some(value as i32)
}

/// `str(int(value))`, for a finite value.
pub(super) fn integer_part(value: f64) -> String {
    // Adding zero turns the -0 that truncation leaves into 0.
    format!("{:.0}", value.trunc() + 0.0)
}

/// `"%g" % value`: six significant digits, without zeros at the end.
pub(super) fn format_g(value: f64) -> String {
    const DIGITS: i32 = 6;
    let scientific = format!("{value:.*e}", DIGITS as usize - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific; // inf and nan
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..DIGITS).contains(&exponent) {
        let decimals = (DIGITS - 1 - exponent) as usize;
        trimmed(&format!("{value:.decimals$}")).to_owned()
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
    }
}

fn trimmed(digits: &str) -> &str {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    }
}

/// Python allows blanks around a number and single underscores between digits.
fn without_underscores(text: &str) -> Option<String> {
    let text = text.trim();
    let bytes = text.as_bytes();
    for (at, _) in text.match_indices('_') {
        let digit = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_digit);
        if at == 0 || !digit(at - 1) || !digit(at + 1) {
            return None;
        }
    }
    Some(text.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g_is_pythons() {
        // From `"%g" % x` of CPython 3.11.
        for (value, text) in [
            (1.0, "1"),
            (0.25, "0.25"),
            (2.5, "2.5"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123_456.0, "123456"),
            (123_456.7, "123457"),
            (999_999.5, "1e+06"),
            (1_234_567.0, "1.23457e+06"),
            (100_000.0, "100000"),
            (1.0 / 3.0, "0.333333"),
            (96.0, "96"),
        ] {
            assert_eq!(format_g(value), text, "{value}");
        }
    }

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        assert_eq!(float(" 1_000.5 "), Some(1000.5));
        assert_eq!(float("1__0"), None);
        assert_eq!(float("_1"), None);
        assert_eq!(int("60.0"), None);
        assert_eq!(int("+6_0"), Some(60));
        assert_eq!(int_of_float("4096.9"), Some(4096));
        assert_eq!(int_of_float("nan"), None);
        assert_eq!(int_of_float("inf"), None);
        assert_eq!(integer_part(-0.5), "0");
        assert_eq!(integer_part(8000.9), "8000");
    }
}
