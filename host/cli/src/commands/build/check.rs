//! `kiln build --check`: the findings on stdout, since they are what was asked for.

use kiln_engine::{BuildRequest, Events, Finding};
use kiln_store::Store;

use crate::console::Console;
use crate::escape;
use crate::excerpt;
use crate::failure::{Exit, Failure};

/// Checks, and fails if there is anything to tell.
pub fn run(
    store: &Store,
    request: &BuildRequest,
    events: &dyn Events,
    console: &Console,
) -> Result<(), Failure> {
    let dockerfile = &request.dockerfile;
    let findings = kiln_engine::check(store, request, events)
        .map_err(|error| Failure::of_build(error, Some((&dockerfile.name, &dockerfile.bytes))))?;
    console.data(&report(&findings, &dockerfile.name, &dockerfile.bytes))?;
    if findings.is_empty() {
        return Ok(());
    }
    Err(Failure::silent(Exit::Build))
}

/// docker's first line, then each finding with its rule, message and place.
fn report(findings: &[Finding], name: &str, text: &[u8]) -> String {
    let mut report = match findings.len() {
        0 => "Check complete, no warnings found.\n".to_owned(),
        1 => "Check complete, 1 warning has been found!\n".to_owned(),
        many => format!("Check complete, {many} warnings have been found!\n"),
    };
    for finding in findings {
        report += &format!(
            "\nwarning: {}: {}\n",
            finding.rule,
            escape::line(&finding.message)
        );
        if let Some(span) = &finding.span {
            report += &excerpt::render(name, text, span.clone());
        }
    }
    report
}
