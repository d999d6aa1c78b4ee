//! The task `check`: everything about the project that can be known without running it.

mod arrows;
pub mod cross;
mod licences;
mod rust_source;
mod sources;

use crate::error::Error;
use crate::process::{cargo, note, run as run_command, step};
use crate::project::Project;

const PARTS: &str = "format, clippy, lint, licences, cross";

/// Runs one part, or all of them.
pub fn run(project: &Project, only: Option<&str>) -> Result<(), Error> {
    match only {
        None => {
            for part in [format, clippy, lint, licences, cross] {
                part(project)?;
            }
            step("every check passed");
            Ok(())
        }
        Some("format") => format(project),
        Some("clippy") => clippy(project),
        Some("lint") => lint(project),
        Some("licences") => licences(project),
        Some("cross") => cross(project),
        Some(part) => Err(Error::UnknownPart {
            part: part.to_owned(),
            known: PARTS,
        }),
    }
}

fn format(project: &Project) -> Result<(), Error> {
    step("formatting");
    run_command(
        "cargo fmt --check",
        cargo()
            .args(["fmt", "--all", "--check"])
            .current_dir(&project.root),
    )
}

fn clippy(project: &Project) -> Result<(), Error> {
    step("clippy");
    let mut clippy = cargo();
    clippy.args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]);
    run_command("clippy", clippy.current_dir(&project.root))
}

fn lint(project: &Project) -> Result<(), Error> {
    step("rules of the design");
    let mut findings = arrows::check(project)?;
    let sources = sources::check(project)?;
    findings.extend(sources.findings);
    for long in &sources.long {
        note(&format!("long: {long}"));
    }
    if findings.is_empty() {
        return Ok(());
    }
    for finding in &findings {
        note(finding);
    }
    Err(Error::Found {
        what: format!("{} rules of the design are broken", findings.len()),
    })
}

fn licences(project: &Project) -> Result<(), Error> {
    step("licences and sources of dependencies");
    licences::check(project)
}

fn cross(project: &Project) -> Result<(), Error> {
    step("types on macOS and Windows");
    cross::check(project)
}
