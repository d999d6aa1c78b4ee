//! Reads an index as the host's view of a layer.
//!
//! Everything is checked where it is read, so that opening costs nothing; [`Index::check`] reads it all.
//! Invariant: a directory's subdirectories have greater numbers than itself, so that no walk goes round.

use std::collections::HashSet;
use std::ops::Range;

use kiln_layer::Kind;

use crate::error::IndexError;
use crate::format::{self, BLOCK, INODE_LEN, SLOT, get_u16, get_u32, get_u64};
use crate::inode::{FileType, Inode};
use crate::xattr;

/// Number of an inode within one index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nid(pub(crate) u64);

impl Nid {
    /// The number as the kernel shows it.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// A layer's index.
#[derive(Clone)]
pub struct Index {
    pub(crate) bytes: Vec<u8>,
    pub(crate) tar_blocks: u32,
    inodes: u64,
}

/// Fields of an inode that several readers need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Core {
    pub nid: Nid,
    pub position: usize,
    pub xattr_len: usize,
    pub data_layout: u16,
    pub mode: u16,
    pub size: u64,
    pub union: u32,
}

impl Core {
    pub fn damaged(&self, what: &'static str) -> IndexError {
        IndexError::Inode {
            nid: self.nid.0,
            what,
        }
    }

    pub fn body_start(&self) -> usize {
        self.position + INODE_LEN + self.xattr_len
    }

    pub fn is(&self, type_bits: u16) -> bool {
        self.mode & format::S_IFMT == type_bits
    }
}

impl Index {
    /// Takes the bytes of an index that [`crate::IndexBuilder`] wrote.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, IndexError> {
        let bad = |field| IndexError::Superblock { field };
        let sb = bytes
            .get(format::SUPERBLOCK..format::FIRST_INODE)
            .ok_or(bad("length"))?;
        let same_u32 = |at, value, field| match get_u32(sb, at) == Some(value) {
            true => Ok(()),
            false => Err(bad(field)),
        };
        let same_u16 = |at, value, field| match get_u16(sb, at) == Some(value) {
            true => Ok(()),
            false => Err(bad(field)),
        };
        same_u32(format::SB_MAGIC, format::MAGIC, "magic")?;
        same_u32(format::SB_INCOMPAT, format::INCOMPAT, "features")?;
        same_u32(format::SB_META_BLOCK, 0, "metadata block")?;
        same_u32(format::SB_BLOCKS, (bytes.len() / BLOCK) as u32, "blocks")?;
        same_u16(
            format::SB_ROOT_NID,
            (format::FIRST_INODE / SLOT) as u16,
            "root",
        )?;
        same_u16(format::SB_EXTRA_DEVICES, 1, "devices")?;
        let slot = (format::DEVICE_SLOT / format::DEVICE_SLOT_LEN) as u16;
        same_u16(format::SB_SLOT_OFFSET, slot, "device slot")?;
        if u32::from(sb[format::SB_BLOCK_BITS]) != format::BLOCK_BITS
            || !bytes.len().is_multiple_of(BLOCK)
        {
            return Err(bad("block size"));
        }
        let inodes = get_u64(sb, format::SB_INODES).ok_or(bad("inodes"))?;
        let slot = &bytes[format::DEVICE_SLOT..];
        let tar_blocks = get_u32(slot, format::SLOT_BLOCKS).ok_or(bad("device slot"))?;
        let index = Self {
            tar_blocks,
            inodes,
            bytes,
        };
        match index.core(index.root())?.is(format::S_IFDIR) {
            true => Ok(index),
            false => Err(bad("root")),
        }
    }

    /// The root directory.
    pub fn root(&self) -> Nid {
        Nid((format::FIRST_INODE / SLOT) as u64)
    }

    /// Inodes in the layer; the shared whiteout counts as one.
    pub fn inode_count(&self) -> u64 {
        self.inodes
    }

    /// Whether the layer hides all layers below it. Overlayfs ignores this on a root: leave the lower layers out.
    pub fn hides_lower_layers(&self) -> Result<bool, IndexError> {
        Ok(self.inode(self.root())?.opaque)
    }

    /// All about an inode but its content.
    pub fn inode(&self, nid: Nid) -> Result<Inode, IndexError> {
        let core = self.core(nid)?;
        let field = |at| get_u32(&self.bytes, core.position + at).unwrap_or_default();
        let mtime = get_u64(&self.bytes, core.position + format::I_MTIME).unwrap_or_default();
        let body = &self.bytes[core.position + INODE_LEN..core.body_start()];
        let (xattrs, opaque) = xattr::decode(body).ok_or_else(|| core.damaged("attributes"))?;
        Ok(Inode {
            kind: self.kind(&core)?,
            mode: u32::from(core.mode & 0o7777),
            uid: field(format::I_UID),
            gid: field(format::I_GID),
            mtime: mtime.cast_signed(),
            nlink: field(format::I_NLINK),
            xattrs,
            opaque,
        })
    }

    fn kind(&self, core: &Core) -> Result<Kind, IndexError> {
        let (major, minor) = format::decode_device(core.union);
        Ok(match core.mode & format::S_IFMT {
            format::S_IFREG => Kind::File { size: core.size },
            format::S_IFDIR => Kind::Dir,
            format::S_IFLNK => Kind::Symlink {
                target: self.flat_bytes(core)?.to_vec(),
            },
            format::S_IFCHR => Kind::CharDevice { major, minor },
            format::S_IFBLK => Kind::BlockDevice { major, minor },
            format::S_IFIFO => Kind::Fifo,
            _ => return Err(core.damaged("type")),
        })
    }

    pub(crate) fn core(&self, nid: Nid) -> Result<Core, IndexError> {
        let damaged = |what| IndexError::Inode { nid: nid.0, what };
        let position = usize::try_from(nid.0)
            .ok()
            .and_then(|nid| nid.checked_mul(SLOT));
        let position = position.filter(|&at| at >= format::FIRST_INODE && at < self.bytes.len());
        let position = position.ok_or(damaged("position"))?;
        let core = self
            .bytes
            .get(position..position + INODE_LEN)
            .ok_or(damaged("position"))?;
        let u16_at = |at| get_u16(core, at).unwrap_or_default();
        let inode_format = u16_at(format::I_FORMAT);
        let xattr_len = xattr::body_len(u16_at(format::I_XATTR_COUNT));
        if inode_format & 1 != format::EXTENDED || inode_format >> 4 != 0 {
            return Err(damaged("format"));
        }
        if position + INODE_LEN + xattr_len > self.bytes.len() {
            return Err(damaged("attributes"));
        }
        Ok(Core {
            nid,
            position,
            xattr_len,
            data_layout: inode_format >> 1,
            mode: u16_at(format::I_MODE),
            size: get_u64(core, format::I_SIZE).unwrap_or_default(),
            union: get_u32(core, format::I_UNION).unwrap_or_default(),
        })
    }

    /// The bytes of a directory or link target.
    pub(crate) fn flat_bytes(&self, core: &Core) -> Result<&[u8], IndexError> {
        let start = match core.data_layout {
            format::FLAT_INLINE => core.body_start(),
            format::FLAT_PLAIN => core.union as usize * BLOCK,
            _ => return Err(core.damaged("data layout")),
        };
        let size = usize::try_from(core.size).ok();
        let end = size.and_then(|size| start.checked_add(size));
        let range: Option<Range<usize>> = end.map(|end| start..end);
        range
            .and_then(|range| self.bytes.get(range))
            .ok_or_else(|| core.damaged("size"))
    }

    /// Bytes that the index itself holds of a file; `None` for what it does not have.
    pub fn own_bytes(&self, offset: u64, len: u64) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        self.bytes
            .get(start..start.checked_add(usize::try_from(len).ok()?)?)
    }

    /// Reads everything once, as a store's check does.
    pub fn check(&self) -> Result<(), IndexError> {
        let mut seen = HashSet::new();
        let mut waiting = vec![self.root()];
        while let Some(dir) = waiting.pop() {
            for entry in self.read_dir(dir)? {
                let (kind, first) = (self.inode(entry.nid)?.kind, seen.insert(entry.nid));
                match (kind, entry.file_type) {
                    (Kind::Dir, FileType::Dir) if first => waiting.push(entry.nid),
                    (Kind::File { .. }, FileType::File) if first => drop(self.extents(entry.nid)?),
                    (Kind::File { .. }, FileType::File)
                    | (Kind::Symlink { .. }, FileType::Symlink)
                    | (Kind::CharDevice { .. }, FileType::CharDevice)
                    | (Kind::BlockDevice { .. }, FileType::BlockDevice)
                    | (Kind::Fifo, FileType::Fifo) => {}
                    _ => {
                        return Err(IndexError::Inode {
                            nid: entry.nid.0,
                            what: "type",
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index")
            .field("inodes", &self.inodes)
            .finish_non_exhaustive()
    }
}
