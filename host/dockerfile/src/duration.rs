//! Durations as Go writes them: `1h2m3.5s`, `500ms`.

/// Nanoseconds of `text`; `None` when it is no duration or too long for 64 bits.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let (amount, next) = amount(rest)?;
        total = total.checked_add(amount)?;
        rest = next;
    }
    Some(if negative { -total } else { total })
}

/// One number with its unit, and what follows.
fn amount(text: &str) -> Option<(i64, &str)> {
    let number_len = text.find(|ch: char| !ch.is_ascii_digit() && ch != '.')?;
    let (number, rest) = text.split_at(number_len);
    let unit_len = rest
        .find(|ch: char| ch.is_ascii_digit() || ch == '.')
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_len);
    let unit: i64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: i64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut nanoseconds = whole.checked_mul(unit)?;
    let mut scale = unit;
    for digit in fraction.bytes() {
        scale /= 10;
        nanoseconds = nanoseconds.checked_add(scale * i64::from(digit - b'0'))?;
    }
    Some((nanoseconds, rest))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn durations_are_read_as_in_go() {
        let cases = [
            ("0", Some(0)),
            ("5s", Some(5_000_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("-2ms", Some(-2_000_000)),
            ("1us", Some(1_000)),
            ("", None),
            ("5", None),
            ("s", None),
            (".s", None),
            ("1.2.3s", None),
            ("1d", None),
            ("99999999999h", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
