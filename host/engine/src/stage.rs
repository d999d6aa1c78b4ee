//! What a stage has become so far: its layers and its history.

use std::time::{SystemTime, UNIX_EPOCH};

use kiln_oci::{ChainId, DiffId, History, ImageConfig};

/// A stage while it is built, and once it is.
#[derive(Debug, Clone, Default)]
pub struct StageState {
    /// Bottom first.
    pub layers: Vec<DiffId>,
    /// One entry an instruction.
    pub history: Vec<History>,
    /// When the newest step was done, in seconds since 1970.
    pub created: i64,
}

impl StageState {
    /// A stage that starts from an image.
    pub fn from_image(config: &ImageConfig) -> Self {
        Self {
            layers: config.rootfs.diff_ids.clone(),
            history: config.history.clone(),
            created: config.created.as_deref().map_or(0, parse_time),
        }
    }

    /// What the layers so far are together; `None` for an empty root.
    pub fn chain(&self) -> Option<ChainId> {
        ChainId::of(&self.layers)
    }

    /// Adds a step's result.
    pub fn push(&mut self, created_by: &str, layer: Option<DiffId>, created: i64) {
        self.layers.extend(layer);
        self.created = created;
        self.history.push(History {
            created: Some(format_time(created)),
            created_by: Some(created_by.to_owned()),
            comment: Some("kiln".to_owned()),
            empty_layer: layer.is_none(),
            ..History::default()
        });
    }
}

/// Seconds since 1970 as RFC 3339. Times before are 1970.
pub fn format_time(seconds: i64) -> String {
    kiln_oci::to_rfc3339(seconds.max(0))
}

/// Seconds since 1970 of an RFC 3339 time; 0 for anything else and for times before, since configs come from anywhere.
fn parse_time(text: &str) -> i64 {
    kiln_oci::parse_rfc3339(text).unwrap_or(0).max(0)
}

/// Now, in seconds since 1970.
pub fn now() -> i64 {
    seconds(SystemTime::now())
}

/// A time in seconds since 1970; 0 for one before.
pub fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).ok();
    since
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_the_round_trip() {
        assert_eq!(format_time(0), "1970-01-01T00:00:00Z");
        assert_eq!(parse_time(&format_time(1_700_000_000)), 1_700_000_000);
        assert_eq!(parse_time("2024-05-01T00:00:00.123456789Z"), 1_714_521_600);
        assert_eq!(parse_time("yesterday"), 0);
        assert_eq!(format_time(-5), "1970-01-01T00:00:00Z");
        assert!(!format_time(i64::MAX).is_empty());
    }

    #[test]
    fn step_without_a_layer_is_history_only() {
        let mut state = StageState::default();
        state.push("ENV A=b", None, 5);
        assert!(state.layers.is_empty() && state.chain().is_none());
        assert!(state.history[0].empty_layer);
    }
}
