//! What can be wrong with an archive.

use std::io;

use crate::config::ConfigError;
use crate::digest::Digest;
use crate::platform::Platform;

/// Why an archive cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Reading or writing failed.
    #[error("cannot read or write the archive")]
    Io(#[from] io::Error),
    /// The file is not a tar.
    #[error("file is not a tar archive (bad header at byte {offset})")]
    NotATar {
        /// Where a header was expected.
        offset: u64,
    },
    /// The file ends early.
    #[error("archive ends early, `{name}` is cut short")]
    Truncated {
        /// The entry that is cut.
        name: String,
    },
    /// More entries than any archive of images has.
    #[error("archive has more than {limit} entries")]
    TooManyEntries {
        /// The limit.
        limit: usize,
    },
    /// A tar, but without the documents that make it an archive of images.
    #[error("archive holds neither manifest.json nor index.json")]
    NotAnImageArchive,
    /// Something the documents name is not there.
    #[error("archive lacks `{name}`")]
    Missing {
        /// What is missing.
        name: String,
    },
    /// A document is longer than allowed.
    #[error("`{name}` is {len} bytes long, more than the {limit} allowed")]
    TooLong {
        /// The document.
        name: String,
        /// Its length.
        len: u64,
        /// The limit.
        limit: u64,
    },
    /// A document is not the JSON expected.
    #[error("`{name}` is not valid")]
    Json {
        /// The document.
        name: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A document does not have the digest it is named by.
    #[error("content of blob {expected} has digest {found}")]
    Digest {
        /// Its name.
        expected: Digest,
        /// Its content's digest.
        found: Digest,
    },
    /// An image config is malformed.
    #[error("config of an image in the archive cannot be used")]
    Config(#[from] ConfigError),
    /// Config and manifest do not agree.
    #[error("image lists {layers} layers, its config {diff_ids}")]
    LayerCount {
        /// Layers in the manifest.
        layers: usize,
        /// Diff ids in the config.
        diff_ids: usize,
    },
    /// Indexes nest too deeply.
    #[error("indexes in the archive nest too deeply")]
    TooDeep,
    /// More images than allowed.
    #[error("archive lists more than {limit} images")]
    TooManyImages {
        /// The limit.
        limit: usize,
    },
    /// More configs and manifests than are read.
    #[error("archive names more than {limit} bytes of configs and manifests")]
    TooManyDocuments {
        /// The limit.
        limit: u64,
    },
    /// No image is for the platform wanted.
    #[error("archive has no image for {wanted}")]
    NoPlatform {
        /// The platform.
        wanted: Platform,
    },
    /// A layer to be written was not as long as announced.
    #[error("layer {digest} gave {found} bytes, {expected} were announced")]
    LayerLength {
        /// The layer.
        digest: Digest,
        /// Bytes announced.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
}
