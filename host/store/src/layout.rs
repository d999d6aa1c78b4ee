//! File names inside the data folder: the one place that knows them.
//!
//! ```text
//! kiln.db                        SQLite: layers, cache, images, names, blobs
//! store.lock                     shared by builds, exclusive for removal
//! layers/sha256/<hex>/layer.tar  uncompressed tar, hashed by its diff id
//!                    /layer.erofs  index of it
//! blobs/sha256/<hex>             compressed layers and other content
//! run/<id>.lease                 locked while the process that owns run/<id> lives; holds nothing
//! run/<id>.owner                 process id and command, for messages
//! run/<id>/                      that process's staging folder
//! logs/<build>.log               full output of builds
//! context/                       stat indexes of contexts
//! cache/                         what other parts remember and can make again
//! ```

use std::path::{Path, PathBuf};

use kiln_oci::{DiffId, Digest};

pub(crate) const TAR: &str = "layer.tar";
pub(crate) const INDEX: &str = "layer.erofs";

/// Paths below one data folder.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub fn new(root: &Path) -> Layout {
        Layout {
            root: root.to_owned(),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn database(&self) -> PathBuf {
        self.root.join("kiln.db")
    }

    pub fn lock(&self) -> PathBuf {
        self.root.join("store.lock")
    }

    pub fn layers(&self) -> PathBuf {
        self.root.join("layers").join("sha256")
    }

    pub fn layer(&self, diff_id: DiffId) -> PathBuf {
        self.layers().join(diff_id.0.hex())
    }

    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs").join("sha256")
    }

    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub fn context(&self) -> PathBuf {
        self.root.join("context")
    }

    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Folders that exist in every store.
    pub fn folders(&self) -> [PathBuf; 6] {
        [
            self.layers(),
            self.blobs(),
            self.run(),
            self.logs(),
            self.context(),
            self.cache(),
        ]
    }
}
