//! One entry of a layer: a path and what stands there.
//!
//! Owns no encoding; the tar and EROFS writers decide how these fields are stored.
//! Invariant: `path` is normalised (see [`crate::normalise`]) and times are whole seconds, so that equal
//! inputs give equal bytes.

use std::collections::BTreeMap;

/// What an entry is, with the data that only this kind has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file whose content follows.
    File {
        /// Length of the content in bytes.
        size: u64,
    },
    /// A directory.
    Dir,
    /// A symbolic link; the target is stored as written and never interpreted here.
    Symlink {
        /// Raw target bytes.
        target: Vec<u8>,
    },
    /// Another name of a file that came earlier in the same layer.
    Hardlink {
        /// Normalised path of the earlier entry.
        target: Vec<u8>,
    },
    /// A character device. Device 0:0 is overlayfs's whiteout.
    CharDevice {
        /// Device class.
        major: u32,
        /// Device within the class.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Device class.
        major: u32,
        /// Device within the class.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// One entry of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Relative to the root of the image, no leading or trailing `/`, no `.` or `..`; empty is the root.
    pub path: Vec<u8>,
    /// What stands there.
    pub kind: Kind,
    /// Permission bits with set-id and sticky, at most `0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, whole seconds since 1970.
    pub mtime: i64,
    /// Extended attributes by full name, e.g. `security.capability`.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Entry {
    /// An entry of `kind` that belongs to root, dated 1970, without attributes.
    pub fn new(path: impl Into<Vec<u8>>, kind: Kind, mode: u32) -> Self {
        Self {
            path: path.into(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: 0,
            xattrs: BTreeMap::new(),
        }
    }

    /// Bytes of content that follow this entry's header in a tar.
    pub fn data_len(&self) -> u64 {
        match self.kind {
            Kind::File { size } => size,
            _ => 0,
        }
    }

    /// Whether this is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == Kind::Dir
    }
}
