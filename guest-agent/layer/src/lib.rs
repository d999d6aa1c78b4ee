//! Layers as data: tar entries, the tar format and OCI whiteouts, for the host and the guest alike.
//!
//! Owns the meaning of a path in a layer (normalised, relative, bytes), what Kiln writes into a layer tar
//! (one deterministic encoding) and what it accepts from others' tars (every dialect seen in images).
//! Must not touch a file system, nor know who compresses, hashes or stores the bytes.
//! Invariant: no input, however hostile, panics or makes memory grow beyond [`Limits`].

#![forbid(unsafe_code)]

mod entry;
mod error;
mod path;
mod tar;
pub mod whiteout;

pub use entry::{Entry, Kind};
pub use error::{TarError, TarResult};
pub use path::{MAX_NAME_LEN, MAX_PATH_LEN, PathError, file_name, join, normalise, parent};
pub use tar::limits::Limits;
pub use tar::reader::{TarEntry, TarReader};
pub use tar::writer::TarWriter;
