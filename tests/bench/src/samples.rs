//! Samples of one measurement.

use std::time::{Duration, Instant};

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// Of whom.
    pub builder: &'static str,
    /// The samples; empty where it could not be measured.
    pub samples: Vec<Duration>,
    /// Why there are none.
    pub absent: Option<String>,
}

impl Row {
    /// A row of samples.
    pub fn new(name: &str, builder: &'static str, samples: Vec<Duration>) -> Self {
        Self {
            name: name.to_owned(),
            builder,
            samples,
            absent: None,
        }
    }

    /// A row for what could not be measured here.
    pub fn absent(name: &str, builder: &'static str, why: &str) -> Self {
        let why = why.lines().last().unwrap_or_default().to_owned();
        Self {
            name: name.to_owned(),
            builder,
            samples: Vec::new(),
            absent: Some(why),
        }
    }

    /// The middle sample.
    pub fn median(&self) -> Option<Duration> {
        let mut sorted = self.samples.clone();
        sorted.sort();
        sorted.get(sorted.len() / 2).copied()
    }
}

/// How long something takes.
pub fn time(what: impl FnOnce()) -> Duration {
    let started = Instant::now();
    what();
    started.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_sample_and_absent_without_samples() {
        let seconds = |numbers: &[u64]| numbers.iter().map(|n| Duration::from_secs(*n)).collect();
        assert_eq!(
            Row::new("a", "kiln", seconds(&[9, 1, 2])).median(),
            Some(Duration::from_secs(2))
        );
        assert_eq!(Row::absent("a", "kiln", "why").median(), None);
    }
}
