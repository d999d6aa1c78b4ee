//! Image archives: what `docker save` and OCI tools exchange as one tar.
//!
//! ```text
//! docker-archive: manifest.json ─► config, layers by path        (Docker 25 and later: an OCI layout as well)
//! OCI layout:     index.json ─► [index ─►] manifest ─► config, layers by digest in blobs/sha256/
//! ```
//!
//! Nothing is ever extracted: an archive is a map from names to ranges of the file, so a name that points
//! outside has no meaning and a link is followed in the map only. Documents are bounded; layers are handed
//! out as streams whose digest the caller checks.

mod docker;
mod error;
mod layout;
mod members;
mod reader;
mod tar_headers;
mod writer;

pub use error::ArchiveError;
pub use reader::{ArchiveReader, ArchivedImage, ArchivedLayer};
pub use writer::{ImageToSave, LayerToSave, OpenLayer, write_docker_archive, write_oci_archive};

#[cfg(test)]
mod tests;
