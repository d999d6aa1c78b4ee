//! Points in time as people read them, all in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

pub use kiln_oci::{parse_rfc3339, to_rfc3339};

use super::duration;

/// Seconds since 1970, negative before it.
#[must_use]
pub fn now() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    }
}

/// `2024-02-03 04:05:06 +0000 UTC`, as `{{.CreatedAt}}` of docker.
#[must_use]
pub fn in_utc(seconds: i64) -> String {
    to_rfc3339(seconds)
        .replace('T', " ")
        .replace('Z', " +0000 UTC")
}

/// `2 minutes ago`; a time in the future counts as now.
#[must_use]
pub fn ago(then: i64, now: i64) -> String {
    format!(
        "{} ago",
        duration::in_words(u64::try_from(now.saturating_sub(then)).unwrap_or(0))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn created_at_reads_as_dockers() {
        assert_eq!(in_utc(1_709_210_096), "2024-02-29 12:34:56 +0000 UTC");
    }

    #[test]
    fn the_future_is_now() {
        assert_eq!(ago(100, 50), "Less than a second ago");
        assert_eq!(ago(0, 130), "2 minutes ago");
    }
}
