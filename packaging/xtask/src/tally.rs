//! Counts what tests say of themselves: the output of the Rust test harness, and the last line of other runners.

/// How many tests ended how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that could not be run here.
    pub skipped: usize,
}

impl Tally {
    /// A part that could not be run here.
    pub const SKIPPED: Self = Self {
        passed: 0,
        failed: 0,
        skipped: 1,
    };

    /// Adds another part's counts.
    pub fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Reads back the line that [`Display`](std::fmt::Display) writes.
    pub fn parse(line: &str) -> Option<Self> {
        let mut numbers = line
            .trim()
            .split(", ")
            .zip(["passed", "failed", "skipped"])
            .map(|(part, word)| part.strip_suffix(word)?.trim().parse().ok());
        let tally = Self {
            passed: numbers.next()??,
            failed: numbers.next()??,
            skipped: numbers.next()??,
        };
        (line.matches(", ").count() == 2).then_some(tally)
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// Follows the harness's output, which must have been asked for with `--show-output`. A test that printed a line
/// beginning with `skipped:` and passed counts as skipped.
#[derive(Default)]
pub struct Harness {
    tally: Tally,
    section: Section,
}

#[derive(Default, PartialEq, Eq)]
enum Section {
    /// Between tests.
    #[default]
    Results,
    /// Among the outputs of tests that passed.
    Successes,
    /// In the output of one of them, which has already been counted as skipped.
    SkippedSuccess,
    /// Among the outputs of tests that failed.
    Failures,
}

/// What the terminal gets to see of a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown {
    /// The line is worth seeing.
    Yes,
    /// A test that passed.
    Passed,
    /// Output of a test that passed.
    No,
}

impl Harness {
    /// Takes one line.
    pub fn line(&mut self, line: &str) -> Shown {
        match line {
            "successes:" => self.section = Section::Successes,
            "failures:" => self.section = Section::Failures,
            _ if line.starts_with("test result: ") || line.starts_with("running ") => {
                self.section = Section::Results;
            }
            _ if line.starts_with("---- ") && self.section == Section::SkippedSuccess => {
                self.section = Section::Successes;
            }
            _ if line.starts_with("skipped:") && self.section == Section::Successes => {
                self.section = Section::SkippedSuccess;
                self.tally.passed = self.tally.passed.saturating_sub(1);
                self.tally.skipped += 1;
                return Shown::Yes;
            }
            _ if self.section == Section::Results => return self.result(line),
            _ => {}
        }
        let quiet = matches!(self.section, Section::Successes | Section::SkippedSuccess);
        if quiet { Shown::No } else { Shown::Yes }
    }

    fn result(&mut self, line: &str) -> Shown {
        let Some(test) = line.strip_prefix("test ") else {
            return Shown::Yes;
        };
        if test.ends_with(" ... ok") {
            self.tally.passed += 1;
            return Shown::Passed;
        }
        if test.ends_with(" ... FAILED") {
            self.tally.failed += 1;
        } else if test.contains(" ... ignored") {
            self.tally.skipped += 1;
        }
        Shown::Yes
    }

    /// The counts, once the harness ended. One that ended badly and told of no failure did fail.
    pub fn finish(mut self, success: bool) -> Tally {
        if !success && self.tally.failed == 0 {
            self.tally.failed = 1;
        }
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
running 4 tests
test a ... ok
test b ... ok
test c ... FAILED
test d ... ignored, needs a Mac

successes:

---- a stdout ----
skipped: no `umoci`
skipped: really

---- b stdout ----
some words

successes:
    a
    b

failures:

---- c stdout ----
skipped: this line means nothing in a failure

failures:
    c

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn test_that_says_it_was_skipped_is_not_counted_as_passed() {
        let mut harness = Harness::default();
        for line in OUTPUT.lines() {
            harness.line(line);
        }
        let tally = harness.finish(false);
        assert_eq!(
            tally,
            Tally {
                passed: 1,
                failed: 1,
                skipped: 2
            }
        );
        assert_eq!(tally.to_string(), "1 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn harness_that_dies_silently_counts_as_a_failure() {
        let mut harness = Harness::default();
        harness.line("test a ... ok");
        assert_eq!(harness.finish(false).failed, 1);
    }

    #[test]
    fn line_of_totals_is_read_back() {
        let tally = Tally {
            passed: 1,
            failed: 2,
            skipped: 3,
        };
        assert_eq!(Tally::parse(&tally.to_string()), Some(tally));
        assert_eq!(Tally::parse("1 passed, 2 failed"), None);
        assert_eq!(Tally::parse("all is well"), None);
    }
}
