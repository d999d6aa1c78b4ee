//! Guests of another architecture than this host's: the tools that build and emulate them, their VM image, and
//! programs to run in them.

use std::path::Path;
use std::process::Command;

use crate::apt;
use crate::error::Error;
use crate::process::{note, run, step};
use crate::project::Project;
use crate::{setup, vm_image};

/// The architecture that is tested by emulation on the others.
pub const ARCH: &str = "aarch64";

/// Debian's names of the architectures whose programs such a guest runs.
const DEBIAN_ARCHITECTURES: &[&str] = &["arm64", "armhf"];

/// Suite that the programs come from; its busybox is that of the x86_64 tests where these run on the same Debian.
const SUITE: &str = "bookworm";

/// Whether there are tests of emulated guests on this host.
pub fn is_foreign() -> bool {
    ARCH != std::env::consts::ARCH
}

/// Makes everything ready, or says why these tests are skipped: `false` where the tools cannot be had.
pub fn prepare(project: &Project) -> Result<bool, Error> {
    let tools = setup::cross(ARCH).and_then(|()| {
        step(&format!("programs for {ARCH}"));
        DEBIAN_ARCHITECTURES
            .iter()
            .try_for_each(|architecture| busybox(project, architecture))
    });
    if let Err(error) = tools {
        note(&format!(
            "skipped: tests of {ARCH} guests, whose tools cannot be had here: {error}"
        ));
        return Ok(false);
    }
    vm_image::build(project, ARCH)?;
    Ok(true)
}

/// Fetches Debian's static busybox of an architecture into `target/foreign/<architecture>/busybox`.
fn busybox(project: &Project, architecture: &str) -> Result<(), Error> {
    let folder = project.target().join("foreign").join(architecture);
    let program = folder.join("busybox");
    if program.is_file() {
        note(&format!("busybox for {architecture} is there"));
        return Ok(());
    }
    note(&format!("fetching busybox for {architecture}"));
    let work = folder.join("apt");
    std::fs::create_dir_all(&work).map_err(Error::file("create", &work))?;
    let archive = apt::Archive {
        suite: SUITE,
        architecture: Some(architecture),
        folder: &work,
    };
    archive.download(&["busybox-static"])?;
    let unpacked = folder.join("unpacked");
    for package in apt::packages_in(&work)? {
        let mut unpack = Command::new("dpkg-deb");
        run(
            "unpacking busybox",
            unpack.arg("-x").arg(&package).arg(&unpacked),
        )?;
    }
    let found = ["bin/busybox", "usr/bin/busybox"]
        .map(|path| unpacked.join(path))
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| Error::Missing {
            what: format!("Debian's busybox-static for {architecture} holds no busybox"),
            hint: "look into the package: its layout has changed".to_owned(),
        })?;
    std::fs::rename(&found, &program).map_err(Error::file("create", &program))?;
    for left in [&work, &unpacked] {
        remove(left)?;
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<(), Error> {
    std::fs::remove_dir_all(folder).map_err(Error::file("remove", folder))
}
