//! What is known of a file without reading it.

use std::collections::BTreeMap;

use kiln_layer::Kind;

/// The metadata of a file, folder or link, of an image or of a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// What it is; never a hard link: every name of an inode is a file.
    pub kind: Kind,
    /// Permission bits, 07777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, whole seconds.
    pub mtime: i64,
    /// Extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// For a file of several names: what these have in common.
    pub inode: Option<(u64, u64)>,
}

impl Stat {
    /// A folder that nobody made: the root of an image without layers.
    pub(crate) fn implied_dir() -> Stat {
        Stat {
            kind: Kind::Dir,
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: 0,
            xattrs: BTreeMap::new(),
            inode: None,
        }
    }

    /// Length of a file's content, holes included; 0 for all else.
    pub(crate) fn size(&self) -> u64 {
        match self.kind {
            Kind::File { size } => size,
            _ => 0,
        }
    }

    /// Whether it is a folder.
    pub fn is_dir(&self) -> bool {
        self.kind == Kind::Dir
    }
}
