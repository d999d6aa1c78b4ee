//! A toolchain that can check any target: a copy of this one beside the standard library's source, which comes
//! from Debian's package `rust-src` of exactly rustc's version.
//!
//! For hosts where rustup has no network. The package is fetched with apt under a configuration of its own, so
//! that the system's sources stay as they are, and is held to the digest kept in `packaging/cross`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::apt;
use crate::digest::of_file;
use crate::error::Error;
use crate::process::{note, output, run, succeeds};
use crate::project::Project;

/// The package, pinned.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    /// Version of rustc that it belongs to.
    rustc: String,
    /// Suite of Debian that has it.
    suite: String,
    /// Version of the package.
    package_version: String,
    /// Digest of the package.
    sha256: String,
}

/// `cargo` of the copied toolchain, told to build the standard library. The unstable option is allowed in this
/// child's environment only.
pub fn cargo(project: &Project, folder: &Path) -> Result<Command, Error> {
    let pin = read_pin(&project.root.join("packaging/cross/rust-src.json"))?;
    let version = output(Command::new("rustc").arg("-vV").current_dir(&project.root))?;
    if release(&version) != Some(&pin.rustc) {
        return Err(Error::Missing {
            what: format!(
                "the kept standard library source is for rustc {}, not for the one here",
                pin.rustc
            ),
            hint: "use that rustc (rust-toolchain.toml), or renew packaging/cross/rust-src.json"
                .to_owned(),
        });
    }
    let toolchain = folder.join(format!("toolchain-{}", pin.rustc));
    if !toolchain.is_dir() {
        let package = fetch(&pin, folder)?;
        make_toolchain(project, &pin, &package, folder, &toolchain)?;
    }
    let bin = toolchain.join("bin");
    let mut path = bin.clone().into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new(bin.join("cargo"));
    command
        .arg("-Zbuild-std=std,panic_abort")
        .env("PATH", path)
        .env("RUSTC", bin.join("rustc"))
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTUP_TOOLCHAIN")
        // Set by the rustup proxy that started this; would load the original's rustc_driver, and so its sysroot.
        .env_remove("LD_LIBRARY_PATH");
    Ok(command)
}

fn read_pin(path: &Path) -> Result<Pin, Error> {
    let text = std::fs::read(path).map_err(Error::file("read", path))?;
    serde_json::from_slice(&text).map_err(|source| Error::Malformed {
        what: path.display().to_string(),
        source,
    })
}

/// `release:` of `rustc -vV`.
fn release(version: &str) -> Option<&str> {
    version
        .lines()
        .find_map(|line| line.strip_prefix("release: "))
}

/// Downloads the package, once.
fn fetch(pin: &Pin, folder: &Path) -> Result<PathBuf, Error> {
    let folder = folder.join("apt");
    std::fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
    if let Some(package) = downloaded(&folder, pin)? {
        return Ok(package);
    }
    note(&format!("fetching rust-src {}", pin.package_version));
    let archive = apt::Archive {
        suite: &pin.suite,
        architecture: None,
        folder: &folder,
    };
    archive.download(&[&format!("rust-src={}", pin.package_version)])?;
    downloaded(&folder, pin)?.ok_or_else(|| Error::Missing {
        what: "the package rust-src that was fetched is not the one that is pinned".to_owned(),
        hint: "compare packaging/cross/rust-src.json with the package".to_owned(),
    })
}

/// The package with the pinned digest among those that lie in `folder`.
fn downloaded(folder: &Path, pin: &Pin) -> Result<Option<PathBuf>, Error> {
    for path in apt::packages_in(folder)? {
        if of_file(&path)? == pin.sha256 {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn make_toolchain(
    project: &Project,
    pin: &Pin,
    package: &Path,
    folder: &Path,
    toolchain: &Path,
) -> Result<(), Error> {
    note("making a toolchain with the standard library's source");
    let unpacked = folder.join("rust-src");
    let mut unpack = Command::new("dpkg-deb");
    run(
        "unpacking rust-src",
        unpack.arg("-x").arg(package).arg(&unpacked),
    )?;
    let sysroot = output(
        Command::new("rustc")
            .args(["--print", "sysroot"])
            .current_dir(&project.root),
    )?;
    let sysroot = PathBuf::from(sysroot.trim());
    let staged = toolchain.with_extension("new");
    run("rm", Command::new("rm").arg("-rf").arg(&staged))?;
    let source = staged.join("lib/rustlib/src/rust");
    std::fs::create_dir_all(&staged).map_err(Error::file("create", &staged))?;
    for part in ["bin", "lib"] {
        // Hard links where both lie on one file system. Symbolic ones would not do: rustc follows its own.
        let from = sysroot.join(part);
        if !succeeds(Command::new("cp").arg("-al").arg(&from).arg(&staged)) {
            run(
                "copying the toolchain",
                Command::new("cp").arg("-a").arg(&from).arg(&staged),
            )?;
        }
    }
    std::fs::create_dir_all(&source).map_err(Error::file("create", &source))?;
    let library = unpacked.join(format!("usr/src/rustc-{}/library", pin.rustc));
    run(
        "cp",
        Command::new("cp").arg("-a").arg(&library).arg(&source),
    )?;
    run("rm", Command::new("rm").arg("-rf").arg(&unpacked))?;
    // Another process may have been quicker; its result is the same.
    if !toolchain.is_dir() {
        std::fs::rename(&staged, toolchain).map_err(Error::file("create", toolchain))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pin_belongs_to_the_toolchain_of_the_checkout() {
        let root = Project::find().root;
        let pin = read_pin(&root.join("packaging/cross/rust-src.json")).unwrap();
        let toolchain = std::fs::read_to_string(root.join("rust-toolchain.toml")).unwrap();
        assert!(toolchain.contains(&format!("\"{}\"", pin.rustc)));
    }
}
