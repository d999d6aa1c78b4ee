//! Runs the cases, two at a time, and reports each.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::base;
use crate::case::{Case, Outcome};
use crate::error::Error;
use crate::kiln::Kiln;
use crate::known::KnownFailures;

/// Cases at the same time: their builds share one store, which is part of what is tested.
const JOBS: usize = 2;

/// Lines of an explanation that are shown.
const SHOWN_LINES: usize = 12;

/// Exit codes from here on are Kiln's own bugs or signals; no case asks for one.
const FIRST_BUG_CODE: i32 = 70;

/// How many cases ended how.
#[derive(Debug, Default)]
pub struct Summary {
    pub passed: usize,
    /// Failed and not listed, or listed and passed.
    pub failed: usize,
    /// Failed as listed.
    pub known: usize,
}

/// What a case came to.
struct Verdict {
    name: String,
    time: Duration,
    /// Why it failed.
    failure: Option<String>,
}

/// Runs all cases.
pub fn run(corpus: &Path, cases: Vec<Case>, known: &KnownFailures) -> Result<Summary, Error> {
    let work = tempfile::Builder::new()
        .prefix("kiln-conformance-")
        .tempdir();
    let work = work.map_err(Error::file("create a folder in", &std::env::temp_dir()))?;
    let data = work.path().join("data");
    std::fs::create_dir_all(&data).map_err(Error::file("create", &data))?;
    let kiln = Kiln::find(data);
    let base = base::import(&kiln, corpus, work.path())?;
    let runner = Runner {
        corpus,
        kiln: &kiln,
        base: &base,
        work: work.path(),
    };
    let queue = Mutex::new(cases.into_iter());
    let (sender, verdicts) = mpsc::channel();
    let mut summary = Summary::default();
    std::thread::scope(|scope| {
        for _ in 0..JOBS {
            let sender = sender.clone();
            let (queue, runner) = (&queue, &runner);
            scope.spawn(move || {
                while let Some(case) = next(queue) {
                    if sender.send(runner.judge(&case)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for verdict in verdicts {
            report(&verdict, known.reason(&verdict.name), &mut summary);
        }
    });
    Ok(summary)
}

fn next(queue: &Mutex<std::vec::IntoIter<Case>>) -> Option<Case> {
    queue
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .next()
}

fn report(verdict: &Verdict, reason: Option<&str>, summary: &mut Summary) {
    let word = match (&verdict.failure, reason) {
        (None, None) => {
            summary.passed += 1;
            "ok".to_owned()
        }
        (Some(_), Some(reason)) => {
            summary.known += 1;
            format!("known failure: {reason}")
        }
        (None, Some(_)) => {
            summary.failed += 1;
            "PASSED, but stands in known-failures.txt: take it out".to_owned()
        }
        (Some(_), None) => {
            summary.failed += 1;
            "FAILED".to_owned()
        }
    };
    println!(
        "{} ... {word} ({:.1} s)",
        verdict.name,
        verdict.time.as_secs_f64()
    );
    if let (Some(failure), None) = (&verdict.failure, reason) {
        for line in failure.lines().take(SHOWN_LINES) {
            println!("    {line}");
        }
    }
    let _ = std::io::stdout().flush();
}

struct Runner<'a> {
    corpus: &'a Path,
    kiln: &'a Kiln,
    base: &'a Path,
    work: &'a Path,
}

impl Runner<'_> {
    fn judge(&self, case: &Case) -> Verdict {
        let started = Instant::now();
        let work = self.work.join(&case.recipe.name);
        let failure = std::fs::create_dir_all(&work)
            .map_err(|error| error.to_string())
            .and_then(|()| self.failure(case, &work))
            .unwrap_or_else(Some);
        let _ = std::fs::remove_dir_all(&work);
        Verdict {
            name: case.recipe.name.clone(),
            time: started.elapsed(),
            failure,
        }
    }

    /// Why the case fails, if it does; an error is a step that could not be taken.
    fn failure(&self, case: &Case, work: &Path) -> Result<Option<String>, String> {
        let context = work.join("context");
        let mut materialize = self.tool("materialize.py");
        expect_success(materialize.arg(&case.folder).arg(&context).output())?;
        let built = self
            .kiln
            .build(case, &context, work)
            .map_err(|error| error.to_string())?;
        let stderr = String::from_utf8_lossy(&built.stderr).into_owned();
        let code = built.status.code().unwrap_or(FIRST_BUG_CODE);
        match case.expected.outcome {
            _ if code >= FIRST_BUG_CODE => Ok(Some(format!("{}\n{}", built.status, tail(&stderr)))),
            Outcome::Ok if code != 0 => Ok(Some(tail(&stderr))),
            Outcome::Ok => self.compare(case, work),
            Outcome::Error if code == 0 => Ok(Some("the build should fail".to_owned())),
            Outcome::Error => Ok(wrong_error(
                case.expected.error_contains.as_deref(),
                &stderr,
            )),
        }
    }

    /// What differs from the expected image.
    fn compare(&self, case: &Case, work: &Path) -> Result<Option<String>, String> {
        let archive = work.join("image.tar");
        expect_success(self.kiln.save(case, &archive))?;
        let mut record = self.tool("record.py");
        record
            .arg(&archive)
            .arg("--base")
            .arg(self.base)
            .arg("--compare")
            .arg(&case.expected_file);
        let output = record.output().map_err(|error| error.to_string())?;
        let differences = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.code() {
            Some(0) => Ok(None),
            Some(1) if !differences.is_empty() => Ok(Some(differences)),
            _ => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new("python3");
        // The corpus may be read-only.
        command.arg("-B").arg(self.corpus.join("tools").join(name));
        command
    }
}

fn wrong_error(words: Option<&str>, stderr: &str) -> Option<String> {
    let words = words?;
    (!stderr.contains(words))
        .then(|| format!("the error does not say `{words}`:\n{}", tail(stderr)))
}

fn expect_success(output: std::io::Result<Output>) -> Result<(), String> {
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(tail(&String::from_utf8_lossy(&output.stderr)))
}

/// The end of a long text, where errors stand.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_is_asked_for_the_expected_words_only_where_there_are_some() {
        assert_eq!(wrong_error(None, "anything"), None);
        assert_eq!(wrong_error(Some("line 3"), "failed at line 3"), None);
        assert!(wrong_error(Some("line 3"), "failed at line 4").is_some());
    }

    #[test]
    fn only_unlisted_failures_and_listed_passes_fail_the_run() {
        let mut summary = Summary::default();
        let verdict = |failure: Option<&str>| Verdict {
            name: "a".to_owned(),
            time: Duration::ZERO,
            failure: failure.map(str::to_owned),
        };
        report(&verdict(None), None, &mut summary);
        report(&verdict(Some("x")), Some("why"), &mut summary);
        assert_eq!((summary.passed, summary.failed, summary.known), (1, 0, 1));
        report(&verdict(Some("x")), None, &mut summary);
        report(&verdict(None), Some("why"), &mut summary);
        assert_eq!(summary.failed, 2);
    }
}
