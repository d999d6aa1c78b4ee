//! One file of a layer's tree: metadata, and what its kind holds.
//!
//! Must not know its name or place; several names may share a node.

use std::collections::BTreeMap;

use kiln_layer::{Entry, Kind, MAX_PATH_LEN};

use crate::error::BuildError;
use crate::{format, xattr};

/// Index of a node in the tree.
pub(crate) type NodeId = u32;

/// Where a file's bytes are.
#[derive(Debug)]
pub(crate) struct FileData {
    pub size: u64,
    /// Where the first segment starts in the tar.
    pub tar_offset: u64,
    /// Offset in the file and length of each run of data, which lie back to back in the tar. No empty ones.
    pub segments: Vec<(u64, u64)>,
}

#[derive(Debug)]
pub(crate) enum NodeKind {
    Dir(BTreeMap<Box<[u8]>, Child>),
    File(FileData),
    Symlink(Vec<u8>),
    Device { format: u16, number: u32 },
    Fifo,
}

/// What a name in a directory stands for.
#[derive(Debug, Default)]
pub(crate) struct Child {
    pub node: Option<NodeId>,
    /// A marker said that the layers below lose this name.
    pub whiteout: bool,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub kind: NodeKind,
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub mtime: i64,
    /// Encoded attributes, without the opaque mark.
    pub xattrs: Vec<u8>,
    pub opaque: bool,
}

impl Node {
    pub fn implied_dir() -> Self {
        let kind = NodeKind::Dir(BTreeMap::new());
        Self {
            kind,
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: 0,
            xattrs: Vec::new(),
            opaque: false,
        }
    }

    pub fn children(&self) -> Option<&BTreeMap<Box<[u8]>, Child>> {
        match &self.kind {
            NodeKind::Dir(children) => Some(children),
            _ => None,
        }
    }

    pub fn children_mut(&mut self) -> Option<&mut BTreeMap<Box<[u8]>, Child>> {
        match &mut self.kind {
            NodeKind::Dir(children) => Some(children),
            _ => None,
        }
    }

    /// The node that an entry describes; for hard links there is none.
    pub fn from_entry(
        entry: &Entry,
        tar_offset: u64,
        sparse: Option<&[(u64, u64)]>,
    ) -> Result<Self, BuildError> {
        let too_large = |field| BuildError::TooLarge {
            path: entry.path.clone(),
            field,
        };
        let device =
            |format, major, minor| match major <= format::MAX_MAJOR && minor <= format::MAX_MINOR {
                true => Ok(NodeKind::Device {
                    format,
                    number: format::encode_device(major, minor),
                }),
                false => Err(too_large("device number")),
            };
        let kind = match &entry.kind {
            Kind::Dir => NodeKind::Dir(BTreeMap::new()),
            Kind::File { size } => NodeKind::File(file_data(entry, *size, tar_offset, sparse)?),
            Kind::Symlink { target } if target.len() >= MAX_PATH_LEN => {
                return Err(too_large("link target"));
            }
            Kind::Symlink { target } => NodeKind::Symlink(target.clone()),
            Kind::CharDevice { major, minor } => device(format::S_IFCHR, *major, *minor)?,
            Kind::BlockDevice { major, minor } => device(format::S_IFBLK, *major, *minor)?,
            Kind::Fifo | Kind::Hardlink { .. } => NodeKind::Fifo,
        };
        let xattrs = xattr::encode(&entry.xattrs).ok_or_else(|| too_large("extended attribute"))?;
        let mode = (entry.mode & 0o7777) as u16;
        let Entry {
            uid, gid, mtime, ..
        } = *entry;
        Ok(Self {
            kind,
            mode,
            uid,
            gid,
            mtime,
            xattrs,
            opaque: false,
        })
    }

    /// Bytes of memory that grow with what the entry holds.
    pub fn text_len(&self) -> usize {
        let own = match &self.kind {
            NodeKind::Symlink(target) => target.len(),
            NodeKind::File(file) => size_of_val(file.segments.as_slice()),
            _ => 0,
        };
        own + self.xattrs.len()
    }
}

/// Checks that the segments are in order, inside the file, and inside what offsets can address.
fn file_data(
    entry: &Entry,
    size: u64,
    tar_offset: u64,
    sparse: Option<&[(u64, u64)]>,
) -> Result<FileData, BuildError> {
    let malformed = || BuildError::SparseMap {
        path: entry.path.clone(),
    };
    let whole = [(0, size)];
    let mut segments = Vec::new();
    let (mut end, mut tar_end) = (0_u64, tar_offset);
    for &(offset, len) in sparse.unwrap_or(&whole) {
        if len == 0 {
            continue;
        }
        if offset < end {
            return Err(malformed());
        }
        end = offset
            .checked_add(len)
            .filter(|&end| end <= size)
            .ok_or_else(malformed)?;
        tar_end = tar_end.checked_add(len).ok_or_else(malformed)?;
        segments.push((offset, len));
    }
    if i64::try_from(size).is_err() || i64::try_from(tar_end).is_err() {
        return Err(BuildError::TooLarge {
            path: entry.path.clone(),
            field: "size",
        });
    }
    Ok(FileData {
        size,
        tar_offset,
        segments,
    })
}
