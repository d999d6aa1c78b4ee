//! The manifest of a VM image: what `kiln_vmm::image` reads. This side writes it, so it stands apart from the
//! reader and pulls in no VMM; a test holds the two together.

use std::path::Path;

use serde_json::{Value, json};

use crate::digest::of_file;
use crate::error::Error;

/// Version of the manifest's form.
const VERSION: u32 = 2;

/// The files of an image, as the manifest names them.
pub struct Files<'a> {
    pub kernel: &'a str,
    pub initramfs: &'a str,
    pub scratch: &'a str,
}

/// The manifest of the image in `folder`.
pub fn of(arch: &str, folder: &Path, files: &Files<'_>) -> Result<Vec<u8>, Error> {
    let manifest = json!({
        "manifest_version": VERSION,
        "protocol_version": kiln_protocol::VERSION,
        "arch": arch,
        "kernel": entry(folder, files.kernel)?,
        "initramfs": entry(folder, files.initramfs)?,
        "scratch": entry(folder, files.scratch)?,
    });
    Ok(format!("{manifest:#}\n").into_bytes())
}

fn entry(folder: &Path, name: &str) -> Result<Value, Error> {
    let path = folder.join(name);
    let sha256 = of_file(&path)?;
    let size = path.metadata().map_err(Error::file("read", &path))?.len();
    Ok(json!({ "file": name, "sha256": sha256, "size": size }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_vmm::VmImage;

    #[test]
    fn image_verifies_in_the_eyes_of_its_reader() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        std::fs::write(folder.join("k"), "kernel").unwrap();
        std::fs::write(folder.join("i"), "initramfs").unwrap();
        std::fs::write(folder.join("s"), "scratch").unwrap();
        let files = Files {
            kernel: "k",
            initramfs: "i",
            scratch: "s",
        };
        let manifest = of("x86_64", folder, &files).unwrap();
        std::fs::write(folder.join(kiln_vmm::image::MANIFEST_FILE), manifest).unwrap();
        let image = VmImage::open(folder).unwrap();
        image.verify().unwrap();
        image.check_protocol(kiln_protocol::VERSION).unwrap();
        std::fs::write(folder.join("k"), "kernal").unwrap();
        assert!(image.verify().is_err());
    }
}
