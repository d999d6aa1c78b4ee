//! STOPSIGNAL: numbers from one, or names with or without `SIG`.

const NAMES: [&str; 33] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU",
];

pub(super) fn is_valid(text: &str) -> bool {
    if let Ok(number) = text.parse::<i32>() {
        return number > 0;
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.contains(&name) || name == "XFSZ" || is_real_time(name)
}

/// `RTMIN`, `RTMIN+1` to `RTMIN+15`, `RTMAX-14` to `RTMAX`.
fn is_real_time(name: &str) -> bool {
    let offset = |rest: &str, sign: char, most: u32| {
        rest.is_empty()
            || rest
                .strip_prefix(sign)
                .is_some_and(|digits| digits.parse().is_ok_and(|n: u32| (1..=most).contains(&n)))
    };
    name.strip_prefix("RTMIN")
        .is_some_and(|rest| offset(rest, '+', 15))
        || name
            .strip_prefix("RTMAX")
            .is_some_and(|rest| offset(rest, '-', 14))
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn signals_are_known_by_number_and_name() {
        for signal in [
            "9",
            "SIGTERM",
            "term",
            "SIGRTMIN",
            "RTMIN+3",
            "SIGRTMAX-14",
            "sigxfsz",
        ] {
            assert!(is_valid(signal), "{signal}");
        }
        for signal in ["0", "-1", "", "SIG", "NOPE", "RTMIN+16", "RTMAX+1"] {
            assert!(!is_valid(signal), "{signal}");
        }
    }
}
