//! Lengths of time: `2 minutes` as `docker` says them, and `1.3s` for steps.

use std::time::Duration;

/// Docker's words for an age, without the `ago`.
#[must_use]
pub fn in_words(seconds: u64) -> String {
    let minutes = seconds / 60;
    // Hours are rounded, the rest is cut off: so does docker.
    let hours = (seconds + 1800) / 3600;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// A step's time: `0.0s`, `1.3s`, `2m03s`.
#[must_use]
pub fn of_step(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    if seconds < 60 {
        // Cut off, not rounded: a ticking timer must not show the next second early.
        format!("{seconds}.{}s", elapsed.subsec_millis() / 100)
    } else if seconds < 3600 {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    } else {
        format!(
            "{}h{:02}m{:02}s",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_dockers_words() {
        const HOUR: u64 = 3600;
        const DAY: u64 = 24 * HOUR;
        for (seconds, words) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (45, "45 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (HOUR, "About an hour"),
            (2 * HOUR, "2 hours"),
            (47 * HOUR, "47 hours"),
            (48 * HOUR, "2 days"),
            (13 * DAY, "13 days"),
            (14 * DAY, "2 weeks"),
            (59 * DAY, "8 weeks"),
            (60 * DAY, "2 months"),
            (729 * DAY, "24 months"),
            (730 * DAY, "2 years"),
        ] {
            assert_eq!(in_words(seconds), words);
        }
    }

    #[test]
    fn step_times_are_short() {
        assert_eq!(of_step(Duration::from_millis(49)), "0.0s");
        assert_eq!(of_step(Duration::from_millis(1390)), "1.3s");
        assert_eq!(of_step(Duration::from_secs(123)), "2m03s");
        assert_eq!(of_step(Duration::from_secs(3723)), "1h02m03s");
    }
}
