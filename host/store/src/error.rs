//! What can go wrong in the store, with the paths and ids concerned.

use std::io;
use std::path::{Path, PathBuf};

use kiln_oci::{ConfigError, DiffId, Digest, NameError};
use kiln_platform::disk_space;

use crate::lease::Holder;

/// Result of the store's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The disk, or the user's share of it, is full. What was staged is removed.
    #[error("no space left to write {}", path.display())]
    NoSpace {
        /// The file being written.
        path: PathBuf,
        /// Bytes still free, where the system says.
        available: Option<u64>,
    },
    /// The stream that a layer or blob is read from failed.
    #[error("cannot read the incoming data")]
    Incoming(#[source] io::Error),
    /// The database failed.
    #[error("the store's database failed")]
    Database(#[from] rusqlite::Error),
    /// A newer version of the program made this store.
    #[error("{} was written by a newer version (schema {found}, this version knows {supported})", path.display())]
    NewerStore {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// Newest version known here.
        supported: u32,
    },
    /// Another process holds the store in a way that excludes the operation.
    #[error("the store is in use by another process")]
    LockBusy {
        /// Who, as far as known.
        holders: Vec<Holder>,
    },
    /// A layer's tar is malformed.
    #[error("layer is not a valid tar")]
    Tar(#[source] kiln_layer::TarError),
    /// A layer's entries do not make a file system.
    #[error("layer cannot be indexed")]
    Index(#[source] kiln_erofs::BuildError),
    /// A stored index is damaged; a check mends it.
    #[error("index {} is damaged", path.display())]
    DamagedIndex {
        /// The index.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: kiln_erofs::IndexError,
    },
    /// A layer holds more bytes than allowed.
    #[error("layer is larger than the {limit} bytes allowed")]
    LayerTooLarge {
        /// The limit.
        limit: u64,
    },
    /// A blob holds more bytes than allowed.
    #[error("blob is larger than the {limit} bytes allowed")]
    BlobTooLarge {
        /// The limit.
        limit: u64,
    },
    /// Content does not have the digest it should have.
    #[error("content has digest {found}, expected {expected}")]
    DigestMismatch {
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// A layer is not in the store.
    #[error("layer {diff_id} is not in the store")]
    MissingLayer {
        /// The layer.
        diff_id: DiffId,
    },
    /// A blob is not in the store.
    #[error("blob {digest} is not in the store")]
    MissingBlob {
        /// The blob.
        digest: Digest,
    },
    /// No image has this name or id.
    #[error("no such image: {reference}")]
    NoSuchImage {
        /// What was asked for.
        reference: String,
    },
    /// Several images have ids that begin so.
    #[error("image id {prefix} is ambiguous")]
    AmbiguousId {
        /// What was asked for.
        prefix: String,
    },
    /// An image is to be removed by id and has several names.
    #[error("image {id} is named in several repositories")]
    NamedSeveralTimes {
        /// The image.
        id: Digest,
        /// Its names.
        names: Vec<String>,
    },
    /// A tag was given a name that carries a digest.
    #[error("`{name}` cannot be used as a tag: it names a digest")]
    TagWithDigest {
        /// The name.
        name: String,
    },
    /// A name is malformed.
    #[error("not an image name")]
    Name(#[from] NameError),
    /// An image config is malformed.
    #[error("image config cannot be used")]
    Config(#[from] ConfigError),
}

impl Error {
    /// Wraps a failed file operation; a full disk gets its own variant.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Error {
        if disk_space::is_full(&source) {
            let available = path
                .parent()
                .and_then(|dir| disk_space::available(dir).ok())
                .flatten();
            return Error::NoSpace {
                path: path.to_owned(),
                available,
            };
        }
        Error::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Adds the operation and the path to an I/O error.
pub(crate) trait IoContext<T> {
    /// Turns the error into [`Error::Io`] or [`Error::NoSpace`].
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::io(action, path, source))
    }
}
