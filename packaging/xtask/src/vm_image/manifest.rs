//! The manifest of a VM image: what `kiln_vmm::image` reads. This side writes it, so it stands apart from the
//! reader and pulls in no VMM; a test holds the two together.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use kiln_platform::sparse;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::digest::{hex, of_file};
use crate::error::Error;

/// Version of the manifest's form.
const VERSION: u32 = 1;

/// Block by which the scratch disk is digested.
const BLOCK: usize = 4096;

/// The files of an image, as the manifest names them.
pub struct Files<'a> {
    pub kernel: &'a str,
    pub initramfs: &'a str,
    pub scratch: &'a str,
}

/// The manifest of the image in `folder`.
pub fn of(arch: &str, folder: &Path, files: &Files<'_>) -> Result<Vec<u8>, Error> {
    let plain = |name: &str| entry(folder, name, of_file(&folder.join(name))?);
    let scratch = folder.join(files.scratch);
    let scratch_digest = of_sparse_file(&scratch).map_err(Error::file("read", &scratch))?;
    let manifest = json!({
        "manifest_version": VERSION,
        "protocol_version": kiln_protocol::VERSION,
        "arch": arch,
        "kernel": plain(files.kernel)?,
        "initramfs": plain(files.initramfs)?,
        "scratch": entry(folder, files.scratch, scratch_digest)?,
    });
    Ok(format!("{manifest:#}\n").into_bytes())
}

fn entry(folder: &Path, name: &str, sha256: String) -> Result<Value, Error> {
    let path = folder.join(name);
    let size = path.metadata().map_err(Error::file("read", &path))?.len();
    Ok(json!({ "file": name, "sha256": sha256, "size": size }))
}

/// Digest of a sparse file: its length, then number and bytes of each block that is not all zeros.
fn of_sparse_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    hash.update(file.metadata()?.len().to_le_bytes());
    let mut next = 0;
    for range in sparse::data_ranges(&file)? {
        let first = next.max(range.start / BLOCK as u64);
        next = next.max(range.end.div_ceil(BLOCK as u64));
        file.seek(SeekFrom::Start(first * BLOCK as u64))?;
        for number in first..next {
            let mut block = Vec::with_capacity(BLOCK);
            Read::by_ref(&mut file)
                .take(BLOCK as u64)
                .read_to_end(&mut block)?;
            block.resize(BLOCK, 0);
            if block.iter().any(|byte| *byte != 0) {
                hash.update(number.to_le_bytes());
                hash.update(&block);
            }
        }
    }
    Ok(hex(&hash.finalize()))
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
        let scratch = File::create(folder.join("s")).unwrap();
        scratch.set_len(1 << 20).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&scratch, b"super", 70_000).unwrap();
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
