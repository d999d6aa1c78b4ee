//! The licence texts of everything that an archive carries.

use std::path::{Path, PathBuf};

use crate::dist::materials::{Materials, Package};
use crate::error::Error;
use crate::project::Project;

/// Beginnings of the names of files with a licence or what a licence wants kept.
const NAMES: &[&str] = &[
    "license",
    "licence",
    "copying",
    "notice",
    "copyright",
    "unlicense",
];

/// Longest text of one file: no licence comes near it.
const MAX_LEN: u64 = 256 << 10;

/// About the guest's kernel, which is not linked with Kiln: it is a program of its own in a file of its own.
const KERNEL: &str = "\
The file `vmlinux` (x86_64) or `Image` (aarch64) in the folder `vm` is the Linux kernel, under the GNU General Public
License, version 2 (https://www.gnu.org/licenses/old-licenses/gpl-2.0.html). It is built from the source package
linux-source-6.12 of Debian, https://packages.debian.org/source/linux, with the configuration `kernel.config` beside it
and the patches in the folder vm-image/patches of Kiln's source of this version.
";

/// One document with the texts of all.
pub fn texts(
    project: &Project,
    materials: &Materials,
    image: Option<&Path>,
) -> Result<String, Error> {
    let mut text =
        String::from("Kiln is made with the packages below, each under its own licence.\n");
    if image.is_some() {
        text = format!("{text}\n{KERNEL}");
    }
    for package in &materials.packages {
        if package.manifest_path.starts_with(&project.root) {
            continue;
        }
        let licence = package.license.as_deref().unwrap_or("see below");
        text += &format!(
            "\n{}\n{} {}: {licence}\n",
            "=".repeat(80),
            package.name,
            package.version
        );
        for path in files_of(package)? {
            let bytes = std::fs::read(&path).map_err(Error::file("read", &path))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            text += &format!(
                "\n--- {name}\n{}\n",
                String::from_utf8_lossy(&bytes).trim_end()
            );
        }
    }
    Ok(text)
}

fn files_of(package: &Package) -> Result<Vec<PathBuf>, Error> {
    let folder = package
        .manifest_path
        .parent()
        .expect("a manifest lies in a folder");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::file("list", folder))? {
        let entry = entry.map_err(Error::file("list", folder))?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        let plain = entry
            .metadata()
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_LEN);
        if plain && NAMES.iter().any(|beginning| name.starts_with(beginning)) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
