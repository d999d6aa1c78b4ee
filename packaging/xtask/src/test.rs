//! The task `test`: builds what the tests run, then unit tests, end-to-end tests and the conformance corpus, the last two
//! on each way to reach a guest.
//!
//! Its last line is plain and always the same: `N passed, N failed, N skipped`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::cross::Zig;
use crate::error::Error;
use crate::process::{cargo, note, run as run_command, step};
use crate::project::Project;
use crate::setup::{self, Scope};
use crate::tally::{Harness, Shown, Tally};
use crate::{foreign, vm_image};

mod macos;
mod windows;

const PARTS: &str = "unit, e2e, aarch64, conformance, serial, krun, wine, dist";

/// The back-end whose guest is reached as on every system.
const SERIAL: &str = "qemu-serial";

/// What the names of tests of emulated ARM guests begin with; their part runs them, that of the other tests does not.
const FOREIGN_TESTS: &str = "arm_guest_";

/// The back-end that is a library.
const KRUN: &str = "krun";

/// Runs one part, or all of them.
pub fn run(project: &Project, only: Option<&str>) -> Result<(), Error> {
    let parts: &[Part] = match only {
        None => &[
            unit,
            end_to_end,
            aarch64,
            conformance,
            serial,
            krun,
            windows::test,
            macos::test,
        ],
        Some("unit") => &[unit],
        Some("e2e") => &[end_to_end],
        Some("aarch64") => &[aarch64],
        Some("conformance") => &[conformance],
        Some("serial") => &[serial],
        Some("krun") => &[krun],
        Some("dist") => &[macos::test],
        Some("wine") => &[windows::test],
        Some(part) => {
            return Err(Error::UnknownPart {
                part: part.to_owned(),
                known: PARTS,
            });
        }
    };
    setup::run(project, Scope::Everything)?;
    vm_image::build(project, std::env::consts::ARCH)?;
    build_kiln(project)?;
    let mut total = Tally::default();
    for part in parts {
        let started = Instant::now();
        let tally = part(project)?;
        note(&format!("{tally} in {} s", started.elapsed().as_secs()));
        total.add(&tally);
    }
    println!("{total}");
    if total.failed == 0 {
        return Ok(());
    }
    Err(Error::Found {
        what: format!("{} tests failed", total.failed),
    })
}

type Part = fn(&Project) -> Result<Tally, Error>;

/// Builds the program as it is released: tests of the whole and measurements are about that one.
pub fn build_kiln(project: &Project) -> Result<(), Error> {
    step("building kiln");
    let mut build = cargo();
    build
        .args(["build", "--locked", "--release", "-p", "kiln"])
        .current_dir(&project.root);
    run_command("building kiln", &mut build)
}

/// A command that tests may start `kiln` from.
pub fn with_kiln(mut command: Command, project: &Project) -> Command {
    command
        .current_dir(&project.root)
        .env("KILN_BIN", project.kiln())
        .env("KILN_VM_IMAGE", project.vm_images());
    command
}

fn unit(project: &Project) -> Result<Tally, Error> {
    step("unit tests");
    let mut command = cargo();
    command.args([
        "test",
        "--locked",
        "--workspace",
        "--exclude",
        "kiln-e2e",
        "--no-fail-fast",
    ]);
    command.args(["--lib", "--bins", "--tests", "--", "--show-output"]);
    harness(with_kiln(command, project), "unit tests", false)
}

fn end_to_end(project: &Project) -> Result<Tally, Error> {
    step("end-to-end tests");
    end_to_end_on(project, None)
}

/// The tests of the whole once more, with the guest reached over serial ports, as on Windows and macOS.
fn serial(project: &Project) -> Result<Tally, Error> {
    step("end-to-end tests over serial ports");
    let mut tally = end_to_end_on(project, Some(SERIAL))?;
    step("conformance over serial ports");
    tally.add(&conformance_on(project, Some(SERIAL))?);
    Ok(tally)
}

/// The tests of the whole once more on libkrun, where it runs guests.
fn krun(project: &Project) -> Result<Tally, Error> {
    step("end-to-end tests on krun");
    let mut doctor = with_kiln(Command::new(project.kiln()), project);
    let report = doctor.args(["doctor", "--json"]).stderr(Stdio::inherit());
    // It fails for reasons of its own; what it says counts.
    let said = report.output().map(|output| output.stdout);
    if let Some(reason) = backend_fails(&said.unwrap_or_default(), KRUN) {
        note(&format!("skipped: {KRUN}: {reason}"));
        return Ok(Tally::SKIPPED);
    }
    let mut tally = end_to_end_on(project, Some(KRUN))?;
    step("conformance on krun");
    tally.add(&conformance_on(project, Some(KRUN))?);
    Ok(tally)
}

/// Why a back-end does not work, by the report of `kiln doctor --json`; `None` when it does.
fn backend_fails(report: &[u8], backend: &str) -> Option<String> {
    let report: serde_json::Value = serde_json::from_slice(report).unwrap_or_default();
    let findings = report["findings"].as_array();
    let found = findings.into_iter().flatten().find(|finding| {
        let name = finding["name"].as_str();
        name.and_then(|name| name.strip_prefix("back-end ")) == Some(backend)
    });
    match found {
        Some(finding) if finding["state"] == "ok" => None,
        Some(finding) => Some(finding["detail"].as_str().unwrap_or_default().to_owned()),
        None => Some("kiln doctor does not know it here".to_owned()),
    }
}

/// The end-to-end tests, with this back-end or the best one.
fn end_to_end_on(project: &Project, backend: Option<&str>) -> Result<Tally, Error> {
    let mut command = cargo();
    command.args(["test", "--locked", "-p", "kiln-e2e", "--no-fail-fast"]);
    command.args(["--lib", "--bins", "--tests", "--", "--show-output"]);
    command.args(["--skip", FOREIGN_TESTS, "--skip", windows::TESTS]);
    let mut command = with_kiln(command, project);
    command.envs(backend.map(|name| ("KILN_VMM", name)));
    harness(command, "end-to-end tests", true)
}

/// The core of the end-to-end tests again, in emulated guests.
fn aarch64(project: &Project) -> Result<Tally, Error> {
    step("end-to-end tests in emulated ARM guests");
    if !foreign::is_foreign() {
        note("nothing to emulate: this host is one, and the end-to-end tests ran on it");
        return Ok(Tally::default());
    }
    if !foreign::prepare(project)? {
        return Ok(Tally::SKIPPED);
    }
    let mut command = cargo();
    command.args(["test", "--locked", "-p", "kiln-e2e", "--no-fail-fast"]);
    command.args(["--test", "aarch64", "--", "--show-output", FOREIGN_TESTS]);
    harness(with_kiln(command, project), "tests of ARM guests", true)
}

fn conformance(project: &Project) -> Result<Tally, Error> {
    step("conformance");
    conformance_on(project, None)
}

/// The conformance corpus, with this back-end or the best one.
fn conformance_on(project: &Project, backend: Option<&str>) -> Result<Tally, Error> {
    let corpus = project.conformance_corpus();
    if !corpus.join("cases").is_dir() {
        note(&format!(
            "skipped: the corpus is not in {} (or KILN_CONFORMANCE_DIR)",
            corpus.display()
        ));
        return Ok(Tally::SKIPPED);
    }
    let mut command = cargo();
    command
        .args(["run", "--locked", "--quiet", "-p", "kiln-conformance", "--"])
        .arg(&corpus);
    let mut command = with_kiln(command, project);
    command.envs(backend.map(|name| ("KILN_VMM", name)));
    let mut last = String::new();
    let success = follow(&mut command, "conformance", |line| {
        line.clone_into(&mut last);
        Shown::Yes
    })?;
    let mut tally = Tally::parse(&last).unwrap_or_default();
    if !success && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(tally)
}

/// zig, or a line that says why its tests are skipped.
fn zig_or_why(project: &Project) -> Option<Zig> {
    Zig::get(project)
        .inspect_err(|error| note(&format!("skipped: zig cannot be installed here: {error}")))
        .ok()
}

/// Runs `cargo test` and counts.
fn harness(mut command: Command, what: &str, show_passed: bool) -> Result<Tally, Error> {
    let mut harness = Harness::default();
    let success = follow(&mut command, what, |line| match harness.line(line) {
        Shown::Passed if show_passed => Shown::Yes,
        shown => shown,
    })?;
    Ok(harness.finish(success))
}

/// Runs a program and hands each line of its output to `line`, which decides whether it is shown. Returns whether
/// the program ended well.
fn follow(
    command: &mut Command,
    what: &str,
    mut line: impl FnMut(&str) -> Shown,
) -> Result<bool, Error> {
    let start = |source| Error::Start {
        program: what.to_owned(),
        source,
    };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(start)?;
    let pipe = child.stdout.take().expect("the pipe was asked for");
    for bytes in BufReader::new(pipe).split(b'\n') {
        let bytes = bytes.map_err(start)?;
        let text = String::from_utf8_lossy(&bytes);
        if line(text.trim_end()) == Shown::Yes && !text.trim().is_empty() {
            let mut out = std::io::stdout().lock();
            // A reader that went away is no reason to stop testing.
            let _ = writeln!(out, "    {text}").and_then(|()| out.flush());
        }
    }
    Ok(child.wait().map_err(start)?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_end_fails_unless_doctor_says_that_it_works() {
        let report = |state: &str| {
            format!(
                r#"{{"findings":[{{"name":"disk","state":"ok","detail":"x"}},
                {{"name":"back-end krun","state":"{state}","detail":"no KVM"}}]}}"#
            )
        };
        let reason = |report: &str| backend_fails(report.as_bytes(), "krun");
        assert_eq!(reason(&report("ok")), None);
        assert_eq!(reason(&report("warning")).as_deref(), Some("no KVM"));
        for unknown in [
            "",
            "{}",
            r#"{"findings":[{"name":"back-end krunx","state":"ok"}]}"#,
        ] {
            assert!(reason(unknown).is_some(), "{unknown}");
        }
    }
}
