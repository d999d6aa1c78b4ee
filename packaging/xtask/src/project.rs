//! Where things are in the checkout.

use std::path::{Path, PathBuf};

/// The checkout that xtask was built from.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its root folder.
    pub root: PathBuf,
}

impl Project {
    /// Finds the checkout.
    pub fn find() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest
            .ancestors()
            .nth(2)
            .expect("xtask is two folders deep");
        Self {
            root: root.to_owned(),
        }
    }

    /// What is built; safe to delete.
    pub fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// Inputs of the VM image.
    pub fn vm_image(&self) -> PathBuf {
        self.root.join("vm-image")
    }

    /// The folder with the finished VM images, a folder for each architecture.
    pub fn vm_images(&self) -> PathBuf {
        self.vm_image().join("out")
    }

    /// The finished VM image of an architecture.
    pub fn vm_image_out(&self, arch: &str) -> PathBuf {
        self.vm_images().join(arch)
    }

    /// The release binary of `kiln`.
    pub fn kiln(&self) -> PathBuf {
        self.target().join("release").join("kiln")
    }

    /// The conformance corpus, which lives beside the checkout.
    pub fn conformance_corpus(&self) -> PathBuf {
        std::env::var_os("KILN_CONFORMANCE_DIR")
            .map_or_else(|| self.root.join("../shared/conformance"), PathBuf::from)
    }
}
