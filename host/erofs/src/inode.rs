//! What an index tells about one file.

use std::collections::BTreeMap;

use kiln_layer::Kind;

/// Kind of a directory's entry, known without reading the inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileType {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A character device, perhaps a whiteout.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A symbolic link.
    Symlink,
}

impl FileType {
    pub(crate) fn to_disk(self) -> u8 {
        match self {
            Self::File => 1,
            Self::Dir => 2,
            Self::CharDevice => 3,
            Self::BlockDevice => 4,
            Self::Fifo => 5,
            Self::Symlink => 7,
        }
    }

    pub(crate) fn from_disk(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::File,
            2 => Self::Dir,
            3 => Self::CharDevice,
            4 => Self::BlockDevice,
            5 => Self::Fifo,
            7 => Self::Symlink,
            _ => return None,
        })
    }
}

/// One inode of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    /// What it is. Never a hard link: names of one file share their [`crate::Nid`].
    pub kind: Kind,
    /// Permission bits with set-id and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Whole seconds since 1970.
    pub mtime: i64,
    /// Names of this file in the layer; for directories as the kernel counts.
    pub nlink: u32,
    /// Attributes by full name, without overlayfs's own.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// A directory that hides what the layers below have at its path.
    pub opaque: bool,
}

impl Inode {
    /// Whether it removes its name from the layers below.
    pub fn is_whiteout(&self) -> bool {
        self.kind == Kind::CharDevice { major: 0, minor: 0 }
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == Kind::Dir
    }

    /// Length of a file's content, holes included; 0 for all else.
    pub fn size(&self) -> u64 {
        match self.kind {
            Kind::File { size } => size,
            _ => 0,
        }
    }
}

/// Where an extent's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Zeros.
    Hole,
    /// In the layer's tar, from this offset.
    Tar(u64),
    /// In the index itself, from this offset; see [`crate::Index::own_bytes`].
    Index(u64),
}

/// A run of a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where it starts in the file.
    pub file_offset: u64,
    /// How long it is; extents are cut at the file's end.
    pub len: u64,
    /// Where its bytes are.
    pub source: Source,
}
