//! What can go wrong when an index is built or read.

use std::io;

/// Why an index could not be built from a tar's entries.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The index could not be written, or the tar not be read again.
    #[error("index stream failed")]
    Io(#[from] io::Error),
    /// A name that EROFS cannot hold.
    #[error("`{}` has a name that is too long or holds a slash", path.escape_ascii())]
    Name {
        /// The entry's path.
        path: Vec<u8>,
    },
    /// The root must be a directory.
    #[error("the root of a layer is not a directory")]
    RootNotDirectory,
    /// A hard link to what the layer does not hold, or to a directory.
    #[error("`{}` links to `{}`, which the layer does not hold", path.escape_ascii(), target.escape_ascii())]
    LinkTarget {
        /// The link.
        path: Vec<u8>,
        /// What it names.
        target: Vec<u8>,
    },
    /// A field has no place in an EROFS inode.
    #[error("`{}` has a {field} that is too large", path.escape_ascii())]
    TooLarge {
        /// The entry's path.
        path: Vec<u8>,
        /// Which field.
        field: &'static str,
    },
    /// The sparse map is out of order, overlaps or leaves the file.
    #[error("sparse map of `{}` is malformed", path.escape_ascii())]
    SparseMap {
        /// The entry's path.
        path: Vec<u8>,
    },
    /// An entry's data end after the tar does.
    #[error("data of inode {ino} lie outside the tar")]
    OutsideTar {
        /// Which inode, in order of writing.
        ino: u32,
    },
    /// The layer's tree is larger than an index may grow.
    #[error("layer holds more than {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// Some data are not aligned in the tar, and the tar was not given to copy them from.
    #[error("data of inode {ino} are not aligned in the tar")]
    Unaligned {
        /// Which inode, in order of writing.
        ino: u32,
    },
}

/// Why bytes are not an index that Kiln wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The superblock is not one of Kiln's indexes.
    #[error("index has a bad superblock: {field}")]
    Superblock {
        /// Which field.
        field: &'static str,
    },
    /// An inode is malformed or points outside the index.
    #[error("index is damaged at inode {nid}: {what}")]
    Inode {
        /// Which inode.
        nid: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Directory operations were asked of something else.
    #[error("inode {nid} is not a directory")]
    NotDirectory {
        /// Which inode.
        nid: u64,
    },
    /// File operations were asked of something else.
    #[error("inode {nid} is not a file")]
    NotFile {
        /// Which inode.
        nid: u64,
    },
}
