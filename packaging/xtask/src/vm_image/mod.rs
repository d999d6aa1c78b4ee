//! Builds the VM image: kernel, initramfs, scratch-disk template and the manifest that holds their digests.
//!
//! ```text
//! vm-image/recipe.json, config/, patches/ ─┐
//! kernel source (apt or KILN_LINUX_SOURCE) ─┴► vm-image/out/kernels/<key>/   kept by the key of its inputs
//! guest-agent/ ─► target/agent/…/kiln-agent ─┐
//! vm-image/out/kernels/<key>/vmlinux ────────┼► vm-image/out/<arch>/   what kiln boots
//! mkfs.ext4 ─► scratch.ext4.pack ────────────┘
//! ```
//!
//! Needs no root. The same inputs give the same bytes. A finished image is replaced file by file with renames,
//! the manifest last, so that a reader never sees half of one.

mod agent;
mod cpio;
mod initramfs;
mod kernel;
mod manifest;
mod recipe;
mod scratch;

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::process::{note, step};
use crate::project::Project;
use recipe::Recipe;

const MANIFEST: &str = "manifest.json";
const KERNEL: &str = "vmlinux";
/// What the kernel was configured with: for people, and for the licence's sake. `kiln` does not read it.
const KERNEL_CONFIG: &str = "kernel.config";
const INITRAMFS: &str = "initramfs.cpio";
const SCRATCH: &str = "scratch.ext4.pack";

/// Every file of an image's folder, as a release carries them.
pub const FILES: &[&str] = &[MANIFEST, KERNEL, KERNEL_CONFIG, INITRAMFS, SCRATCH];

/// Builds what is not there yet and returns the image's folder.
pub fn build(project: &Project, arch: &str) -> Result<PathBuf, Error> {
    step(&format!("VM image for {arch}"));
    let recipe = Recipe::read(&project.vm_image().join("recipe.json"))?;
    let architecture = recipe.architecture(arch)?;
    let _lock = lock(project)?;
    let kernel = kernel::build(project, &recipe.kernel, architecture)?;
    let agent = agent::build(project, architecture)?;
    let out = project.vm_image_out(arch);
    std::fs::create_dir_all(&out).map_err(Error::file("create", &out))?;
    let staged = Staged { out: &out };
    staged.put_copy(KERNEL, &kernel)?;
    staged.put_copy(KERNEL_CONFIG, &kernel.with_file_name(kernel::CONFIG))?;
    staged.put(INITRAMFS, |path| initramfs::write(&agent, path))?;
    staged.put(SCRATCH, |path| scratch::write(&recipe.scratch, path))?;
    let files = manifest::Files {
        kernel: KERNEL,
        initramfs: INITRAMFS,
        scratch: SCRATCH,
    };
    let manifest = manifest::of(arch, &out, &files)?;
    staged.put(MANIFEST, |path| {
        std::fs::write(path, manifest).map_err(Error::file("write", path))
    })?;
    note(&format!("ready in {}", out.display()));
    Ok(out)
}

/// Keeps a second build out, and says so while it waits.
fn lock(project: &Project) -> Result<File, Error> {
    let folder = project.vm_image().join("out");
    std::fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
    let path = folder.join(".lock");
    let file = File::create(&path).map_err(Error::file("open", &path))?;
    if file.try_lock().is_err() {
        note("waiting for another build of the VM image");
        file.lock().map_err(Error::file("lock", &path))?;
    }
    Ok(file)
}

/// Files that replace older ones by rename.
struct Staged<'a> {
    out: &'a Path,
}

impl Staged<'_> {
    fn put_copy(&self, name: &str, from: &Path) -> Result<(), Error> {
        self.put(name, |path| {
            std::fs::copy(from, path)
                .map(drop)
                .map_err(Error::file("write", path))
        })
    }

    fn put(&self, name: &str, write: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
        let staged = self.out.join(format!("{name}.new"));
        match std::fs::remove_file(&staged) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::file("remove", &staged)(error));
            }
            _ => write(&staged)?,
        }
        let path = self.out.join(name);
        std::fs::rename(&staged, &path).map_err(Error::file("replace", &path))
    }
}
