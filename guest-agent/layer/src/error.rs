//! What can be wrong with a tar, or with an entry that should go into one.

use std::io;

use crate::path::PathError;

/// Result of the tar reader and writer.
pub type TarResult<T> = Result<T, TarError>;

/// Why a tar could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream below failed.
    #[error("tar stream failed")]
    Io(#[from] io::Error),
    /// The stream ends inside a header or inside an entry's data.
    #[error("tar ends early at byte {offset}")]
    Truncated {
        /// Where it ends.
        offset: u64,
    },
    /// A block that should be a header is not one.
    #[error("tar header at byte {offset} has a wrong checksum")]
    BadChecksum {
        /// Where the header starts.
        offset: u64,
    },
    /// A numeric field holds no number, or one that is out of range.
    #[error("tar header at byte {offset} has a bad {field}")]
    BadNumber {
        /// Which field.
        field: &'static str,
        /// Where the header starts.
        offset: u64,
    },
    /// A pax header does not parse.
    #[error("pax header at byte {offset} is malformed")]
    BadPax {
        /// Where the header starts.
        offset: u64,
    },
    /// A sparse file's map is out of order, overlaps or does not fit its data.
    #[error("sparse map of `{}` is malformed", name.escape_ascii())]
    BadSparseMap {
        /// The entry's name as stored.
        name: Vec<u8>,
    },
    /// The entry's name or hard link target cannot be a path in a layer.
    #[error("tar entry `{}` has an unusable path", name.escape_ascii())]
    Path {
        /// The name as stored.
        name: Vec<u8>,
        /// What is wrong with it.
        #[source]
        source: PathError,
    },
    /// The entry is of a type that has no place in a layer.
    #[error("tar entry `{}` has the unsupported type {}", name.escape_ascii(), flag.escape_ascii())]
    UnsupportedType {
        /// The name as stored.
        name: Vec<u8>,
        /// The type flag.
        flag: u8,
    },
    /// The tar asks for more than the limits allow.
    #[error("tar exceeds the limit of {limit} {what} at byte {offset}")]
    LimitExceeded {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// Where the header starts.
        offset: u64,
    },
    /// The source of an entry's data gave fewer bytes than the entry says.
    #[error("`{}` ended after {got} of {expected} bytes", path.escape_ascii())]
    SourceShort {
        /// The entry's path.
        path: Vec<u8>,
        /// Size in the entry.
        expected: u64,
        /// Bytes that came.
        got: u64,
    },
    /// More data was written than the entry's size.
    #[error("`{}` got more than its {expected} bytes", path.escape_ascii())]
    SourceLong {
        /// The entry's path.
        path: Vec<u8>,
        /// Size in the entry.
        expected: u64,
    },
    /// A field of the entry cannot be stored in a tar.
    #[error("`{}` cannot be stored in a tar: bad {field}", path.escape_ascii())]
    Unrepresentable {
        /// The entry's path.
        path: Vec<u8>,
        /// Which field.
        field: &'static str,
    },
}
