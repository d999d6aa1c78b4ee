//! The task `dist`: release archives and packages for every system, from one Linux machine.
//!
//! ```text
//! cargo zigbuild ─► kiln ─► signed (macOS) ─► checked (macOS: load commands, symbols, signature)
//!                              │
//! vm-image/out/<arch> ─────────┼► staged folder ─► kiln-<version>-<target>.tar.gz | .zip
//! completions, manual, licences┘                ├► kiln_<version>_<arch>.deb, kiln-<version>-1.<arch>.rpm (Linux)
//! cargo metadata ─► bill of materials ──────────┘
//! digests of all ─► SHA256SUMS, Homebrew formula, Scoop and winget manifests
//! ```
//!
//! The same inputs give the same bytes: files are sorted, owned by root and of one time, and no archive holds a name or
//! time of the machine. What the compiler makes is not promised to be the same on another machine.

mod archive;
mod binary;
mod licences;
mod linux_packages;
mod macho;
mod manifests;
mod materials;
mod options;
mod signature;
mod staging;

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::cross::{System, Target, Zig};
use crate::digest::of_file;
use crate::error::Error;
use crate::process::{note, step};
use crate::project::Project;
use crate::setup::{self, Scope};
use crate::{test, vm_image};

pub use binary::{build as build_binary, check_bytes as check_macos_bytes};
pub use options::Options;

/// Version of what is released.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where the project is at home, for the metadata of packages.
const HOMEPAGE: &str = "https://github.com/kiln-build/kiln";

/// One line about it.
const SUMMARY: &str = "Builds OCI images from Dockerfiles inside a throw-away Linux microVM";

/// Time of every file: 2026-01-01, so that the same inputs give the same archive.
const FILE_TIME: u64 = 1_767_225_600;

/// A finished file of a release.
#[derive(Debug)]
pub struct Artifact {
    /// The target that it is for.
    pub target: Target,
    /// Where it is.
    pub path: PathBuf,
    /// Its digest.
    pub sha256: String,
}

/// Makes everything for the targets asked for.
pub fn run(project: &Project, options: &Options) -> Result<(), Error> {
    setup::run(project, Scope::Build)?;
    let zig = Zig::get(project)?;
    test::build_kiln(project)?;
    let folder = project.target().join(options.folder());
    empty(&folder)?;
    let mut archives = Vec::new();
    let mut others = Vec::new();
    for target in &options.targets {
        let started = Instant::now();
        step(target.triple);
        let image = image_for(project, target, options)?;
        let binary = binary::build(project, &zig, target, options.profile())?;
        let materials = materials::of(project, target)?;
        let staged = staging::stage(
            project,
            target,
            &binary,
            image.as_deref(),
            &materials,
            &folder,
        )?;
        let archive = archive::pack(target, &staged.folder)?;
        archives.push(finished(target, archive)?);
        if target.system == System::Linux {
            for package in linux_packages::pack(target, &staged.folder, &folder)? {
                others.push(finished(target, package)?);
            }
        }
        others.push(finished(target, staged.materials)?);
        std::fs::remove_dir_all(&staged.folder).map_err(Error::file("remove", &staged.folder))?;
        note(&format!("{} s", started.elapsed().as_secs()));
    }
    manifests::write(&folder.join("manifests"), &archives)?;
    archives.append(&mut others);
    sums(&folder, &archives)
}

/// The VM image of the target's architecture; none only where that was asked for.
fn image_for(
    project: &Project,
    target: &Target,
    options: &Options,
) -> Result<Option<PathBuf>, Error> {
    if options.without_vm_image {
        note("without a VM image, as asked: this archive can build without RUN only");
        return Ok(None);
    }
    vm_image::build(project, target.arch).map(Some)
}

fn empty(folder: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::file("remove", folder)(error));
        }
        _ => {}
    }
    std::fs::create_dir_all(folder).map_err(Error::file("create", folder))
}

fn finished(target: &Target, path: PathBuf) -> Result<Artifact, Error> {
    let size = path.metadata().map_err(Error::file("read", &path))?.len();
    note(&format!("{} ({:.1} MB)", path.display(), size as f64 / 1e6));
    Ok(Artifact {
        target: *target,
        sha256: of_file(&path)?,
        path,
    })
}

/// `SHA256SUMS` over all of them, as `sha256sum --check` reads it.
fn sums(folder: &Path, artifacts: &[Artifact]) -> Result<(), Error> {
    let mut lines: Vec<String> = artifacts
        .iter()
        .map(|artifact| format!("{}  {}\n", artifact.sha256, name_of(&artifact.path)))
        .collect();
    lines.sort_by(|a, b| a[66..].cmp(&b[66..]));
    let path = folder.join("SHA256SUMS");
    std::fs::write(&path, lines.concat()).map_err(Error::file("write", &path))?;
    note(&path.display().to_string());
    Ok(())
}

/// The last part of a path that this task made itself.
fn name_of(path: &Path) -> String {
    path.file_name()
        .expect("it is a file that was just written")
        .to_string_lossy()
        .into_owned()
}
