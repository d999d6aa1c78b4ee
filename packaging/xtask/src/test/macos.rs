//! The part `dist`: kiln for macOS, linked, signed and checked from here, and the proof that the check sees damage.

use crate::cross::target::RELEASED;
use crate::dist;
use crate::error::Error;
use crate::process::{note, step};
use crate::project::Project;
use crate::tally::Tally;
use crate::test::zig_or_why;

/// Builds for Apple silicon, quickly, and checks.
pub fn test(project: &Project) -> Result<Tally, Error> {
    step("macOS: linked, signed and checked");
    let Some(zig) = zig_or_why(project) else {
        return Ok(Tally::SKIPPED);
    };
    let target = RELEASED[0];
    // It fails where the binary is not fit for a release.
    let signed = dist::build_binary(project, &zig, &target, "cross")?;
    let bytes = std::fs::read(&signed).map_err(Error::file("read", &signed))?;
    let mut tally = Tally {
        passed: 1,
        ..Tally::default()
    };
    for (what, damaged) in damages(&bytes) {
        match dist::check_macos_bytes(project, &damaged, target.arch)? {
            Err(fault) => {
                note(&format!("{what}: {fault}"));
                tally.passed += 1;
            }
            Ok(()) => {
                note(&format!("{what}: FAILED, it was not noticed"));
                tally.failed += 1;
            }
        }
    }
    Ok(tally)
}

/// Copies with one thing wrong each.
fn damages(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let flipped = |at: usize| {
        let mut copy = bytes.to_vec();
        copy[at] ^= 1;
        copy
    };
    let replaced = |old: &[u8], new: &[u8]| {
        let mut copy = bytes.to_vec();
        let at = copy.windows(old.len()).position(|window| window == old);
        if let Some(at) = at {
            copy[at..at + new.len()].copy_from_slice(new);
        }
        copy
    };
    vec![
        ("a byte of code changed", flipped(bytes.len() / 2)),
        ("the last page changed", flipped(bytes.len() * 9 / 10)),
        (
            "another library",
            replaced(b"/usr/lib/libSystem.B.dylib", b"/usr/lib/libSystem.C.dylib"),
        ),
        (
            "another entitlement",
            replaced(
                b"com.apple.security.hypervisor",
                b"com.apple.security.hypervisox",
            ),
        ),
        ("cut", bytes[..bytes.len() - 100].to_vec()),
        ("another format", flipped(0)),
    ]
}
