//! Sizes as `docker` writes and reads them: decimal units when shown, binary ones when given.

const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/// Decimal units with three significant digits: `13.3MB`, as in `docker images`.
#[must_use]
pub fn short(bytes: u64) -> String {
    with_digits(bytes, 3)
}

/// Decimal units with four significant digits: `1.234GB`, as in `docker system df`.
#[must_use]
pub fn long(bytes: u64) -> String {
    with_digits(bytes, 4)
}

fn with_digits(bytes: u64, digits: usize) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    let mut number = significant(value, digits);
    // The rounded number decides: 999.6 kB with three digits is 1 MB, not 1000 kB.
    while number.parse().unwrap_or(value) >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
        number = significant(value, digits);
    }
    format!("{number}{}", UNITS[unit])
}

/// `value` with so many significant digits and no trailing zeros (C's `%.Ng` below 10^N).
fn significant(value: f64, digits: usize) -> String {
    let before_point = if value < 1.0 {
        1
    } else {
        value.log10().floor() as usize + 1
    };
    let text = format!("{value:.*}", digits.saturating_sub(before_point));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Reads `512m`, `2g`, `1.5GiB`, `1048576`: binary units whatever the suffix, as docker's `--memory`.
#[must_use]
pub fn parse_binary(text: &str) -> Option<u64> {
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let number: f64 = number.parse().ok()?;
    let suffix = suffix.trim().to_ascii_lowercase();
    let power = match suffix.trim_end_matches('b').trim_end_matches('i') {
        "" if matches!(suffix.as_str(), "" | "b") => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return None,
    };
    let bytes = number * 1024f64.powi(power);
    (bytes.is_finite() && bytes < u64::MAX as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_significant_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (7, "7B"),
            (999, "999B"),
            (1000, "1kB"),
            (1024, "1.02kB"),
            (13_312_000, "13.3MB"),
            (116_956_123, "117MB"),
            (999_600, "1MB"),
            (1_000_000_000, "1GB"),
            (1_530_000_000, "1.53GB"),
            (u64::MAX, "18.4EB"),
        ] {
            assert_eq!(short(bytes), text);
        }
    }

    #[test]
    fn usage_has_four_digits() {
        assert_eq!(long(16_434_000), "16.43MB");
        assert_eq!(long(1_234_567_890), "1.235GB");
    }

    #[test]
    fn memory_is_read_in_binary_units() {
        for (text, bytes) in [
            ("512m", Some(512 << 20)),
            ("2g", Some(2 << 30)),
            ("2GiB", Some(2 << 30)),
            ("1.5gb", Some(3 << 29)),
            ("4096", Some(4096)),
            ("64b", Some(64)),
            ("", None),
            ("m", None),
            ("12q", None),
            ("-1g", None),
            ("1e9g", None),
            ("12i", None),
        ] {
            assert_eq!(parse_binary(text), bytes, "{text}");
        }
    }
}
