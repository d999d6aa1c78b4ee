//! The VM image: kernel, initramfs and scratch-disk template, described by a manifest of digests.
//!
//! ```text
//! <dir>/manifest.json     ImageManifest
//! <dir>/<kernel.file>     ELF vmlinux (x86_64, PVH entry) or raw Image (aarch64)
//! <dir>/<initramfs.file>  cpio with the agent as /init
//! <dir>/<scratch.file>    ext4 without a journal, packed by `kiln_platform::sparse_pack`
//! ```
//!
//! `cargo xtask vm-image` writes these; nothing here boots anything. File names are single
//! components: a manifest cannot point outside of its directory.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::architecture::Architecture;

/// Name of the manifest in an image directory.
pub const MANIFEST_FILE: &str = "manifest.json";

/// Version of the manifest's own form.
pub const MANIFEST_VERSION: u32 = 2;

/// Largest manifest that is read; real ones are under 1 KiB.
const MAX_MANIFEST_LEN: u64 = 64 << 10;

/// What an image directory holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageManifest {
    /// [`MANIFEST_VERSION`].
    pub manifest_version: u32,
    /// Version of the host ↔ agent protocol that the agent inside speaks.
    pub protocol_version: u32,
    /// Architecture of the kernel and of the agent.
    pub arch: Architecture,
    /// The kernel, digested by [`file_digest`].
    pub kernel: ImageFile,
    /// The initramfs, digested by [`file_digest`].
    pub initramfs: ImageFile,
    /// The packed scratch-disk template, digested by [`file_digest`].
    pub scratch: ImageFile,
}

/// One file of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFile {
    /// Name inside the image directory: one component.
    pub file: String,
    /// Hexadecimal SHA-256.
    pub sha256: String,
    /// Length in bytes.
    pub size: u64,
}

/// An image directory whose manifest was read.
#[derive(Clone, Debug)]
pub struct VmImage {
    /// The directory.
    pub dir: PathBuf,
    /// Its manifest.
    pub manifest: ImageManifest,
}

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// No directory holds a manifest.
    #[error("no VM image for {arch} found")]
    NotFound {
        /// Architecture that was asked for.
        arch: Architecture,
        /// Directories that were looked at, in order.
        searched: Vec<PathBuf>,
    },
    /// A file of the image cannot be read.
    #[error("cannot read the VM image file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The manifest is not JSON of the expected form.
    #[error("the VM image manifest {path} is malformed")]
    Malformed {
        /// The manifest.
        path: PathBuf,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// The manifest names a file outside of its directory.
    #[error("the VM image names `{file}`, which is not a plain file name")]
    BadName {
        /// The name.
        file: String,
    },
    /// The manifest's form is newer or older than this program knows.
    #[error("the VM image manifest has version {found}, not {MANIFEST_VERSION}")]
    Version {
        /// Version found.
        found: u32,
    },
    /// The agent inside speaks another protocol.
    #[error("the VM image speaks agent protocol {found}, this program {expected}")]
    Protocol {
        /// Version of this program.
        expected: u32,
        /// Version of the image.
        found: u32,
    },
    /// A file is not what the manifest says.
    #[error("the VM image file {path} is damaged: sha256 {found}, expected {expected}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Digest in the manifest.
        expected: String,
        /// Digest of the bytes.
        found: String,
    },
}

impl VmImage {
    /// Reads the manifest of the image in `dir`.
    pub fn open(dir: &Path) -> Result<Self, ImageError> {
        let path = dir.join(MANIFEST_FILE);
        let read = |source| ImageError::Read {
            path: path.clone(),
            source,
        };
        let mut text = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(MAX_MANIFEST_LEN).read_to_end(&mut text))
            .map_err(read)?;
        let manifest: ImageManifest =
            serde_json::from_slice(&text).map_err(|source| ImageError::Malformed {
                path: path.clone(),
                source,
            })?;
        if manifest.manifest_version != MANIFEST_VERSION {
            return Err(ImageError::Version {
                found: manifest.manifest_version,
            });
        }
        let image = Self {
            dir: dir.to_owned(),
            manifest,
        };
        for file in image.files() {
            let plain = Path::new(&file.file).file_name() == Some(file.file.as_ref());
            if !plain {
                return Err(ImageError::BadName {
                    file: file.file.clone(),
                });
            }
        }
        Ok(image)
    }

    /// The image for guests of an architecture: the first of `dirs` that has one, either directly or in a
    /// folder named after the architecture.
    pub fn find(arch: Architecture, dirs: &[PathBuf]) -> Result<Self, ImageError> {
        let candidates = dirs
            .iter()
            .flat_map(|dir| [dir.join(arch.name()), dir.clone()]);
        for dir in candidates {
            if dir.join(MANIFEST_FILE).is_file() {
                let image = Self::open(&dir)?;
                if image.manifest.arch == arch {
                    return Ok(image);
                }
            }
        }
        Err(ImageError::NotFound {
            arch,
            searched: dirs.to_vec(),
        })
    }

    /// Path of the kernel.
    #[must_use]
    pub fn kernel(&self) -> PathBuf {
        self.dir.join(&self.manifest.kernel.file)
    }

    /// Path of the initramfs.
    #[must_use]
    pub fn initramfs(&self) -> PathBuf {
        self.dir.join(&self.manifest.initramfs.file)
    }

    /// Path of the scratch-disk template.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.dir.join(&self.manifest.scratch.file)
    }

    pub(crate) fn files(&self) -> [&ImageFile; 3] {
        [
            &self.manifest.kernel,
            &self.manifest.initramfs,
            &self.manifest.scratch,
        ]
    }

    /// Fails unless the agent inside speaks `expected`.
    pub fn check_protocol(&self, expected: u32) -> Result<(), ImageError> {
        let found = self.manifest.protocol_version;
        if found == expected {
            Ok(())
        } else {
            Err(ImageError::Protocol { expected, found })
        }
    }

    /// Fails unless every file has the digest that the manifest gives.
    pub fn verify(&self) -> Result<(), ImageError> {
        for file in self.files() {
            let path = self.dir.join(&file.file);
            let found = file_digest(&path).map_err(|source| ImageError::Read {
                path: path.clone(),
                source,
            })?;
            if found != file.sha256 {
                let expected = file.sha256.clone();
                return Err(ImageError::Damaged {
                    path,
                    expected,
                    found,
                });
            }
        }
        Ok(())
    }
}

/// Hexadecimal SHA-256 of a file's bytes.
pub fn file_digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buf = vec![0; 256 << 10];
    loop {
        match file.read(&mut buf)? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&buf[..n]),
        }
    }
}

fn hex(digest: &[u8]) -> String {
    use std::fmt::Write;
    digest
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image_in(dir: &Path) -> ImageManifest {
        std::fs::write(dir.join("vmlinux"), b"kernel").unwrap();
        std::fs::write(dir.join("initramfs"), b"initramfs").unwrap();
        std::fs::write(dir.join("scratch"), b"packed").unwrap();
        let file = |file: &str| ImageFile {
            file: file.to_owned(),
            sha256: file_digest(&dir.join(file)).unwrap(),
            size: dir.join(file).metadata().unwrap().len(),
        };
        let manifest = ImageManifest {
            manifest_version: MANIFEST_VERSION,
            protocol_version: 7,
            arch: Architecture::HOST,
            kernel: file("vmlinux"),
            initramfs: file("initramfs"),
            scratch: file("scratch"),
        };
        write(dir, &manifest);
        manifest
    }

    fn write(dir: &Path, manifest: &ImageManifest) {
        std::fs::write(
            dir.join(MANIFEST_FILE),
            serde_json::to_vec(manifest).unwrap(),
        )
        .unwrap();
    }

    #[test]
    fn whole_image_verifies_and_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        image_in(dir.path());
        let image = VmImage::find(Architecture::HOST, &[dir.path().to_owned()]).unwrap();
        image.verify().unwrap();
        image.check_protocol(7).unwrap();
        assert!(matches!(
            image.check_protocol(8),
            Err(ImageError::Protocol { found: 7, .. })
        ));
        for file in ["vmlinux", "scratch"] {
            let path = dir.path().join(file);
            let whole = std::fs::read(&path).unwrap();
            let mut damaged = whole.clone();
            *damaged.last_mut().unwrap() ^= 1;
            std::fs::write(&path, damaged).unwrap();
            let error = image.verify().unwrap_err();
            assert!(matches!(error, ImageError::Damaged { path, .. } if path.ends_with(file)));
            std::fs::write(&path, whole).unwrap();
        }
        image.verify().unwrap();
    }

    #[test]
    fn manifest_cannot_point_outside_of_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["../vmlinux", "/etc/passwd", "a/b", "..", ""] {
            let mut manifest = image_in(dir.path());
            manifest.kernel.file = name.to_owned();
            write(dir.path(), &manifest);
            let opened = VmImage::open(dir.path());
            assert!(matches!(opened, Err(ImageError::BadName { .. })), "{name}");
        }
    }

    #[test]
    fn absent_image_tells_where_it_was_looked_for() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = vec![dir.path().join("no"), dir.path().to_owned()];
        let error = VmImage::find(Architecture::HOST, &dirs).unwrap_err();
        assert!(matches!(error, ImageError::NotFound { searched, .. } if searched == dirs));
    }
}
