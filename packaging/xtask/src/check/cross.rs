//! Type checks for macOS and Windows, from Linux, with no SDK and no foreign C compiler.
//!
//! The standard library of each target comes from rustup where rustup can give it; else it is checked from its
//! source (see [`super::rust_source`]). Build scripts that compile C get stub tools: nothing is linked here.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::check::rust_source;
use crate::error::Error;
use crate::process::{cargo, installed, note, run, succeeds};
use crate::project::Project;

/// What is checked: one target for each system that Kiln is written for besides Linux.
const TARGETS: &[&str] = &["aarch64-apple-darwin", "x86_64-pc-windows-gnu"];

/// Every crate that runs on the host, by the one that uses them all, and the crates shared with the guest.
const PACKAGES: &[&str] = &["kiln", "kiln-protocol", "kiln-layer", "kiln-mux"];

/// Names of the C tools that build scripts and rustc ask for.
const TOOLS: &[&str] = &["cc", "c++", "ar", "ranlib", "dlltool", "windres"];

/// A tool that makes an empty archive of every output it is told of, so that what comes after finds one.
const STUB: &str = "#!/bin/sh
for word; do
    case $word in
    *.a | *.o | *.lib) [ -e \"$word\" ] || printf '!<arch>\\n' >\"$word\" ;;
    esac
done
exit 0
";

/// Checks every target.
pub fn check(project: &Project) -> Result<(), Error> {
    let folder = project.target().join("cross");
    let tools = write_stubs(&folder.join("tools"))?;
    for target in TARGETS {
        let command = cargo_for(project, target)?;
        run(
            &format!("type check for {target}"),
            &mut prepared(command, project, target, &tools),
        )?;
    }
    Ok(())
}

fn prepared(mut command: Command, project: &Project, target: &str, tools: &Path) -> Command {
    let underscored = target.replace('-', "_");
    command
        .current_dir(&project.root)
        .args(["check", "--locked", "--keep-going", "--target", target])
        .arg("--target-dir")
        .arg(project.target().join("cross/build"))
        .env("RUSTFLAGS", "-D warnings")
        // Asked for by the C build scripts of Apple targets in place of xcrun.
        .env("SDKROOT", "/")
        .env("MACOSX_DEPLOYMENT_TARGET", "13.0")
        .env(format!("CC_{underscored}"), tools.join("cc"))
        .env(format!("CXX_{underscored}"), tools.join("c++"))
        .env(format!("AR_{underscored}"), tools.join("ar"))
        .env(format!("RANLIB_{underscored}"), tools.join("ranlib"));
    for package in PACKAGES {
        command.args(["-p", package]);
    }
    let inherited = command
        .get_envs()
        .find(|(name, _)| *name == "PATH")
        .and_then(|(_, value)| value);
    let path = inherited.map_or_else(
        || std::env::var_os("PATH").unwrap_or_default(),
        ToOwned::to_owned,
    );
    let dirs = std::env::split_paths(&path).chain([tools.join("windows")]);
    if let Ok(path) = std::env::join_paths(dirs.collect::<Vec<PathBuf>>()) {
        command.env("PATH", path);
    }
    command
}

/// A `cargo` that can build for `target`: this one, if rustup gives the target's standard library, else one that builds
/// the library from its source.
pub fn cargo_for(project: &Project, target: &str) -> Result<Command, Error> {
    if library_installed(target) {
        note(&format!("{target}, with rustup's standard library"));
        return Ok(cargo());
    }
    note(&format!(
        "{target}, with the standard library from its source"
    ));
    rust_source::cargo(project, &project.target().join("cross"))
}

/// Whether this toolchain has the target, after asking rustup for it.
fn library_installed(target: &str) -> bool {
    if !installed("rustup") || std::env::var_os("KILN_CROSS_FROM_SOURCE").is_some() {
        return false;
    }
    succeeds(Command::new("rustup").args(["target", "add", target]))
}

fn write_stubs(folder: &Path) -> Result<PathBuf, Error> {
    let windows = folder.join("windows");
    std::fs::create_dir_all(&windows).map_err(Error::file("create", &windows))?;
    let names = TOOLS.iter().map(|name| folder.join(name));
    let prefixed = TOOLS
        .iter()
        .map(|name| windows.join(format!("x86_64-w64-mingw32-{name}")));
    for path in names.chain(prefixed) {
        std::fs::write(&path, STUB).map_err(Error::file("write", &path))?;
        make_executable(&path)?;
    }
    Ok(folder.to_owned())
}

fn make_executable(path: &Path) -> Result<(), Error> {
    run("chmod", Command::new("chmod").arg("+x").arg(path))
}
