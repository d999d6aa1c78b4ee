//! Builds every Dockerfile of the conformance corpus with `kiln` and compares each image with what independent
//! builders made of it.
//!
//! ```text
//! kiln-conformance CORPUS [FILTER…]        FILTER: part of a case's name
//!   KILN_BIN         the program under test
//!   KILN_VM_IMAGE    handed on to it
//! ```
//!
//! Prints a line for each case, and last the totals: `N passed, N failed, N skipped`. Cases that are known to fail
//! stand in `known-failures.txt` with their reason; one that fails and is not listed fails the run, and so does
//! one that is listed and passes. A corpus that is not there is skipped.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test runner reports to the terminal"
)]

mod base;
mod case;
mod error;
mod kiln;
mod known;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use error::Error;
use known::KnownFailures;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(corpus) = args.next().map(PathBuf::from) else {
        eprintln!("usage: kiln-conformance CORPUS [FILTER…]");
        return ExitCode::from(2);
    };
    let filters: Vec<String> = args.collect();
    match start(&corpus, &filters) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(cause) = std::error::Error::source(&error) {
                eprintln!("  caused by: {cause}");
            }
            ExitCode::from(3)
        }
    }
}

fn start(corpus: &std::path::Path, filters: &[String]) -> Result<bool, Error> {
    let corpus = std::fs::canonicalize(corpus).map_err(Error::file("find", corpus))?;
    let known = KnownFailures::kept()?;
    let cases = case::read_all(&corpus, filters)?;
    let unknown = known.names_without_case(&case::names(&corpus)?);
    let summary = run::run(&corpus, cases, &known)?;
    for name in &unknown {
        println!("known-failures.txt names `{name}`, which is not a case");
    }
    let failed = summary.failed + unknown.len();
    if summary.known > 0 {
        println!(
            "{} cases fail as known-failures.txt says; they count as skipped",
            summary.known
        );
    }
    println!(
        "{} passed, {failed} failed, {} skipped",
        summary.passed, summary.known
    );
    Ok(failed == 0)
}
