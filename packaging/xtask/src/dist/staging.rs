//! The folder that becomes an archive or a package.
//!
//! ```text
//! Linux and macOS                          Windows
//! bin/kiln                                 kiln.exe
//! share/kiln/vm/<arch>/…                   vm\<arch>\…            found by kiln from where it is
//! share/{bash-completion,fish,zsh}/…       completions\kiln.ps1
//! share/man/man1/…                         install.ps1
//! share/doc/kiln/…                         LICENSE.txt, …
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cross::{System, Target};
use crate::dist::materials::Materials;
use crate::dist::{VERSION, licences};
use crate::error::Error;
use crate::process::{output, run};
use crate::project::Project;
use crate::vm_image;

/// A filled folder.
pub struct Staged {
    /// The folder, named as the archive will be.
    pub folder: PathBuf,
    /// The bill of materials beside it, which is released as a file of its own too.
    pub materials: PathBuf,
}

/// Documents that travel along.
const DOCUMENTS: &[&str] = &["LICENSE", "README.md", "CHANGELOG.md"];

/// Shells whose completions have a conventional place on Unix.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "share/bash-completion/completions/kiln"),
    ("fish", "share/fish/vendor_completions.d/kiln.fish"),
    ("zsh", "share/zsh/site-functions/_kiln"),
];

/// Fills the folder for `target` below `out`.
pub fn stage(
    project: &Project,
    target: &Target,
    binary: &Path,
    image: Option<&Path>,
    materials: &Materials,
    out: &Path,
) -> Result<Staged, Error> {
    let name = format!("kiln-{VERSION}-{}", target.triple);
    let folder = out.join(&name);
    let windows = target.system == System::Windows;
    let place = |unix: &str, here: &str| folder.join(if windows { here } else { unix });
    let program = place("bin", "").join(target.program("kiln"));
    copy(binary, &program)?;
    run("chmod", Command::new("chmod").arg("755").arg(&program))?;
    if let Some(image) = image {
        let to = place("share/kiln/vm", "vm").join(target.arch);
        for file in vm_image::FILES {
            copy(&image.join(file), &to.join(file))?;
        }
    }
    let documents = place("share/doc/kiln", "");
    for document in DOCUMENTS {
        copy(&project.root.join(document), &documents.join(document))?;
    }
    write(
        &documents.join("LICENSES-THIRD-PARTY"),
        &licences::texts(project, materials, image)?,
    )?;
    let bill = materials.to_json();
    write(&documents.join("sbom.cdx.json"), &bill)?;
    let materials = out.join(format!("{name}.cdx.json"));
    write(&materials, &bill)?;
    if windows {
        write(
            &folder.join("completions/kiln.ps1"),
            &completion(project, "powershell")?,
        )?;
        let installer = project.root.join("packaging/windows/install.ps1");
        copy(&installer, &folder.join("install.ps1"))?;
    } else {
        for (shell, path) in COMPLETIONS {
            write(&folder.join(path), &completion(project, shell)?)?;
        }
        let mut manual = Command::new(project.kiln());
        manual.arg("man").arg(folder.join("share/man/man1"));
        run("writing the manual", &mut manual)?;
    }
    Ok(Staged { folder, materials })
}

fn completion(project: &Project, shell: &str) -> Result<String, Error> {
    output(Command::new(project.kiln()).args(["completion", shell]))
}

/// Copies one file into a folder, which is made.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    make_parent(to)?;
    std::fs::copy(from, to)
        .map(drop)
        .map_err(Error::file("copy", from))
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    make_parent(path)?;
    std::fs::write(path, text).map_err(Error::file("write", path))
}

fn make_parent(path: &Path) -> Result<(), Error> {
    let parent = path.parent().expect("a path below the staged folder");
    std::fs::create_dir_all(parent).map_err(Error::file("create", parent))
}
