//! `kiln` for a target: compiled, on macOS signed, and then checked.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cross::{System, Target, Zig};
use crate::dist::macho;
use crate::error::Error;
use crate::process::{self, note, run, run_logged};
use crate::project::Project;

/// The signer; compiling it takes minutes, so it is done for macOS targets only, and once.
const SIGNER: (&str, &str) = ("apple-codesign", "0.29.0");

/// Name of the program inside its signature.
const IDENTIFIER: &str = "dev.kiln.kiln";

/// Builds it and returns the finished file.
pub fn build(
    project: &Project,
    zig: &Zig,
    target: &Target,
    profile: &str,
) -> Result<PathBuf, Error> {
    let mut cargo = zig.cargo(project, target, "build")?;
    cargo.args(["--profile", profile, "-p", "kiln"]);
    run("building kiln", &mut cargo)?;
    let built = project
        .target()
        .join(target.triple)
        .join(profile)
        .join(target.program("kiln"));
    if target.system != System::MacOs {
        return Ok(built);
    }
    let signed = sign(project, &built)?;
    check_macos(project, &signed, target.arch)?;
    Ok(signed)
}

/// A signed copy. A signature covers every byte, so nothing may touch the file afterwards.
fn sign(project: &Project, built: &Path) -> Result<PathBuf, Error> {
    let signer = signer(project)?;
    let signed = built.with_file_name("signed").join("kiln");
    let folder = signed.parent().expect("it was joined");
    std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    let mut sign = Command::new(signer);
    sign.args(["sign", "--binary-identifier", IDENTIFIER])
        .args(["--code-signature-flags", "runtime"])
        .arg("--entitlements-xml-file")
        .arg(entitlements(project))
        .arg(built)
        .arg(&signed);
    run_logged("signing", &mut sign, &folder.join("sign.log"))?;
    Ok(signed)
}

fn entitlements(project: &Project) -> PathBuf {
    project.root.join("packaging/macos/entitlements.plist")
}

/// Fails unless a macOS binary loads only what it may and its signature is whole.
fn check_macos(project: &Project, binary: &Path, arch: &str) -> Result<(), Error> {
    let bytes = std::fs::read(binary).map_err(Error::file("read", binary))?;
    let facts = checked(project, &bytes, arch)?.map_err(|fault| Error::Found {
        what: format!("{} cannot be released: {fault}", binary.display()),
    })?;
    note(&format!(
        "{} symbols from {}; {} pages signed as {}",
        facts.symbols,
        facts.libraries.join(", "),
        facts.signature.pages,
        facts.signature.identifier
    ));
    Ok(())
}

/// What the check says of a binary's bytes.
pub fn check_bytes(
    project: &Project,
    bytes: &[u8],
    arch: &str,
) -> Result<Result<(), macho::Fault>, Error> {
    Ok(checked(project, bytes, arch)?.map(drop))
}

fn checked(
    project: &Project,
    bytes: &[u8],
    arch: &str,
) -> Result<Result<macho::Facts, macho::Fault>, Error> {
    let path = entitlements(project);
    let wanted = std::fs::read(&path).map_err(Error::file("read", &path))?;
    Ok(macho::check(bytes, arch, &wanted))
}

fn signer(project: &Project) -> Result<PathBuf, Error> {
    let (name, version) = SIGNER;
    let folder = project
        .target()
        .join("tools")
        .join(format!("rcodesign-{version}"));
    let program = folder.join("bin/rcodesign");
    if program.is_file() {
        return Ok(program);
    }
    note(&format!("compiling {name} {version} (minutes, once)"));
    std::fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
    let mut install = process::cargo();
    install
        .current_dir(&project.root)
        .args(["install", name, "--version", version])
        .args(["--locked", "--no-default-features", "--root"])
        .arg(&folder)
        // It signs a few megabytes: compiling it quickly saves more than it costs.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    run_logged("cargo install", &mut install, &folder.join("install.log"))?;
    Ok(program)
}
