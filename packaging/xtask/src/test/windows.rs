//! The part `wine`: kiln for Windows, built here and run under wine, and the unit tests of every crate of the host.

use std::process::Command;

use crate::cross::{Target, Wine, Zig, target, variable};
use crate::error::Error;
use crate::process::{cargo, note, run, step};
use crate::project::Project;
use crate::tally::Tally;
use crate::test::{harness, with_kiln, zig_or_why};

/// What the names of the end-to-end tests begin with that only this part runs.
pub const TESTS: &str = "wine_";

const TARGET: Target = target::WINDOWS;

/// Every crate that runs on the host, and those shared with the guest.
const PACKAGES: &[&str] = &[
    "kiln",
    "kiln-agent-client",
    "kiln-config",
    "kiln-context",
    "kiln-dockerfile",
    "kiln-engine",
    "kiln-erofs",
    "kiln-layer",
    "kiln-mux",
    "kiln-oci",
    "kiln-plan",
    "kiln-platform",
    "kiln-protocol",
    "kiln-rootfs",
    "kiln-share",
    "kiln-store",
    "kiln-vmm",
];

/// Tests that are left out, with the reason; docs/platforms.md has the same list, with those that `cfg` leaves out.
const LEFT_OUT: &[(&str, &str)] = &[
    (
        "very_deep_folders_need_no_deep_stack",
        "passes, but wine needs two minutes to make 1000 folders in each other",
    ),
    (
        "doctor_asks_a_real_registry",
        "the registry is this host's, to which a Windows path means nothing",
    ),
];

/// Builds and runs everything of it.
pub fn test(project: &Project) -> Result<Tally, Error> {
    step("Windows, under wine");
    let Some(zig) = zig_or_why(project) else {
        return Ok(Tally::SKIPPED);
    };
    let Some(wine) = Wine::get(project, &zig)? else {
        return Ok(Tally::SKIPPED);
    };
    let mut build = zig.cargo(project, &TARGET, "build")?;
    build.args(["--profile", "cross", "-p", "kiln"]);
    run("building kiln.exe", &mut build)?;
    let mut total = whole(project, &wine)?;
    total.add(&units(project, &zig, &wine)?);
    Ok(total)
}

/// `kiln.exe` beside the `kiln` of this host.
fn whole(project: &Project, wine: &Wine) -> Result<Tally, Error> {
    step("kiln.exe");
    let mut command = cargo();
    command.args(["test", "--locked", "-p", "kiln-e2e", "--test", "wine"]);
    command.args(["--no-fail-fast", "--", "--show-output"]);
    let exe = project.target().join(TARGET.triple).join("cross/kiln.exe");
    command
        .env("KILN_EXE", exe)
        .env("KILN_WINE", wine.program());
    wine.in_prefix(&mut command);
    harness(with_kiln(command, project), "tests of kiln.exe", true)
}

/// `cargo test` of each crate, for Windows.
fn units(project: &Project, zig: &Zig, wine: &Wine) -> Result<Tally, Error> {
    step("unit tests for Windows");
    for (name, reason) in LEFT_OUT {
        note(&format!("left out: {name}: {reason}"));
    }
    let mut command: Command = zig.cargo(project, &TARGET, "test")?;
    command.args(["--profile", "cross", "--no-fail-fast"]);
    for package in PACKAGES {
        command.args(["-p", package]);
    }
    command.args(["--lib", "--bins", "--tests", "--", "--show-output"]);
    for (name, _) in LEFT_OUT {
        command.args(["--skip", name]);
    }
    command.env(variable(&TARGET, "RUNNER"), wine.program());
    wine.in_prefix(&mut command);
    harness(command, "unit tests for Windows", false)
}
