//! The text that an image's history has for an instruction, as BuildKit writes it.

use kiln_oci::Healthcheck;

use super::State;

/// What BuildKit adds to steps that made a layer with the help of its executor.
pub(super) const SUFFIX: &str = " # buildkit";

/// `ENV a=1 b=2`
pub(super) fn pairs(keyword: &str, pairs: &[(String, String)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| format!(" {name}={value}"));
    std::iter::once(keyword.to_owned()).chain(pairs).collect()
}

/// `RUN |1 ARG=value /bin/sh -c command # buildkit`
pub(super) fn run(state: &State, argv: &[String]) -> String {
    let args = state.args();
    let mut text = "RUN ".to_owned();
    if args.len() > 0 {
        text.push_str(&format!("|{} ", args.len()));
    }
    for (name, value) in args {
        text.push_str(&format!("{name}={value} "));
    }
    text + &argv.join(" ") + SUFFIX
}

/// `["a" "b"]`, as Go prints a list of strings quoted.
pub(super) fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
    format!("[{}]", words.join(" "))
}

fn quote(word: &str) -> String {
    let mut out = "\"".to_owned();
    for ch in word.chars() {
        match ch {
            '"' | '\\' => out.extend(['\\', ch]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            ch if (ch as u32) < 0x20 || ch == '\u{7f}' => {
                out.push_str(&format!("\\x{:02x}", ch as u32))
            }
            ch => out.push(ch),
        }
    }
    out.push('"');
    out
}

/// `HEALTHCHECK {Test:[…] Interval:5s …}`
pub(super) fn healthcheck(check: &Healthcheck) -> String {
    format!(
        "HEALTHCHECK {{Test:[{}] Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        check.test.join(" "),
        duration(check.interval),
        duration(check.timeout),
        duration(check.start_period),
        duration(check.start_interval),
        check.retries
    )
}

/// Nanoseconds as Go prints them: `1m30s`, `500ms`, `0s`.
fn duration(nanoseconds: i64) -> String {
    const SECOND: i64 = 1_000_000_000;
    match nanoseconds {
        0 => "0s".to_owned(),
        time if time < 1_000 => format!("{time}ns"),
        time if time < 1_000_000 => format!("{}µs", decimal(time, 1_000)),
        time if time < SECOND => format!("{}ms", decimal(time, 1_000_000)),
        time => {
            let (minutes, seconds) = (time / (60 * SECOND), decimal(time % (60 * SECOND), SECOND));
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

fn decimal(value: i64, unit: i64) -> String {
    let digits = unit.ilog10() as usize;
    let fraction = format!("{:0digits$}", value % unit);
    let text = format!("{}.{}", value / unit, fraction.trim_end_matches('0'));
    text.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_in_go() {
        let cases = [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (500_000_000, "500ms"),
            (1_500_000_000, "1.5s"),
            (60_000_000_000, "1m0s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
        ];
        for (time, expected) in cases {
            assert_eq!(duration(time), expected);
        }
    }

    #[test]
    fn words_are_quoted_as_in_go() {
        assert_eq!(
            quoted(&["a b".to_owned(), "\"\\\n\u{1}é".to_owned()]),
            "[\"a b\" \"\\\"\\\\\\n\\x01é\"]"
        );
    }
}
