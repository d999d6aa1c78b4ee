//! The task `dist`: a release archive for this host's system, with checksums.
//!
//! ```text
//! kiln-<version>-<target>/
//!   bin/kiln
//!   share/kiln/vm/<arch>/…             found by `bin/kiln` from where it is
//!   share/completions/…                as far as `kiln` writes them
//!   LICENSE README.md CHANGELOG.md
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::digest::of_file;
use crate::error::Error;
use crate::process::{note, output, run as run_command, step};
use crate::project::Project;
use crate::setup::{self, Scope};
use crate::{test, vm_image};

/// Time of every file in the archive: 2026-01-01, so that the same inputs give the same archive.
const FILE_TIME: &str = "--mtime=@1767225600";

/// Shells for which `kiln completion SHELL` writes completions.
const SHELLS: &[&str] = &["bash", "fish", "zsh"];

/// Documents that travel along.
const DOCUMENTS: &[&str] = &["LICENSE", "README.md", "CHANGELOG.md"];

/// Makes the archive.
pub fn run(project: &Project) -> Result<(), Error> {
    let arch = std::env::consts::ARCH;
    setup::run(project, Scope::Build)?;
    let image = vm_image::build(project, arch)?;
    test::build_kiln(project)?;
    step("release archive");
    let folder = project.target().join("dist");
    let name = format!(
        "kiln-{}-{arch}-unknown-linux-gnu",
        env!("CARGO_PKG_VERSION")
    );
    let root = folder.join(&name);
    match std::fs::remove_dir_all(&root) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::file("remove", &root)(error));
        }
        _ => {}
    }
    copy(&project.kiln(), &root.join("bin"))?;
    for file in vm_image::FILES {
        copy(&image.join(file), &root.join("share/kiln/vm").join(arch))?;
    }
    for document in DOCUMENTS {
        copy(&project.root.join(document), &root)?;
    }
    completions(project, &root.join("share/completions"))?;
    let archive = pack(&folder, &name)?;
    let sums = folder.join("SHA256SUMS");
    let line = format!("{}  {name}.tar.gz\n", of_file(&archive)?);
    std::fs::write(&sums, line).map_err(Error::file("write", &sums))?;
    std::fs::remove_dir_all(&root).map_err(Error::file("remove", &root))?;
    note(&format!("{}", archive.display()));
    note(&format!("{}", sums.display()));
    Ok(())
}

/// Copies one file into a folder, which is made.
fn copy(file: &Path, folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    run_command(
        "cp",
        Command::new("cp")
            .arg("--sparse=always")
            .arg(file)
            .arg(folder),
    )
}

fn completions(project: &Project, folder: &Path) -> Result<(), Error> {
    for shell in SHELLS {
        let mut command = Command::new(project.kiln());
        let Ok(text) = output(command.args(["completion", shell])) else {
            note("this kiln writes no completions");
            return Ok(());
        };
        std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        let path = folder.join(format!("kiln.{shell}"));
        std::fs::write(&path, text).map_err(Error::file("write", &path))?;
    }
    Ok(())
}

/// One archive: sorted, owned by root, sparse files kept sparse.
fn pack(folder: &Path, name: &str) -> Result<PathBuf, Error> {
    let tar = folder.join(format!("{name}.tar"));
    let mut pack = Command::new("tar");
    pack.args([
        "--format=posix",
        "--pax-option=delete=atime,delete=ctime",
        "--sparse",
        "--sort=name",
    ]);
    pack.args([
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        FILE_TIME,
        "-cf",
    ])
    .arg(&tar);
    run_command("tar", pack.arg("-C").arg(folder).arg(name))?;
    run_command(
        "gzip",
        Command::new("gzip").args(["-n", "-9", "-f"]).arg(&tar),
    )?;
    Ok(folder.join(format!("{name}.tar.gz")))
}
