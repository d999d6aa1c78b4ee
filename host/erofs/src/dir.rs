//! Directories of an index: blocks of 512 bytes, each with its entries in front and their names behind.

use std::cmp::Ordering;

use crate::error::IndexError;
use crate::format::{self, BLOCK, DIRENT_LEN, get_u16, get_u64};
use crate::index::{Index, Nid};
use crate::inode::FileType;

/// One name in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirEntry<'a> {
    /// The name; never `.` or `..`.
    pub name: &'a [u8],
    /// What it names.
    pub nid: Nid,
    /// What kind of thing that is.
    pub file_type: FileType,
}

impl Index {
    fn dir_bytes(&self, nid: Nid) -> Result<&[u8], IndexError> {
        let core = self.core(nid)?;
        if !core.is(format::S_IFDIR) {
            return Err(IndexError::NotDirectory { nid: nid.0 });
        }
        self.flat_bytes(&core)
    }

    /// The names in a directory, sorted by bytes.
    pub fn read_dir(&self, nid: Nid) -> Result<Vec<DirEntry<'_>>, IndexError> {
        let bytes = self.dir_bytes(nid)?;
        let mut entries = Vec::new();
        let mut last: &[u8] = b"";
        for block in bytes.chunks(BLOCK) {
            let block = DirBlock::new(nid, block)?;
            for number in 0..block.count {
                let entry = self.checked(nid, block.entry(number)?)?;
                if entry.name <= last {
                    return Err(damaged(nid, "order of names"));
                }
                last = entry.name;
                if entry.name != b"." && entry.name != b".." {
                    entries.push(entry);
                }
            }
        }
        Ok(entries)
    }

    /// Holds an entry against its inode: what is a directory must be said to be one, or its order went unchecked.
    fn checked<'a>(&self, dir: Nid, entry: DirEntry<'a>) -> Result<DirEntry<'a>, IndexError> {
        let is_dir = self.core(entry.nid)?.is(format::S_IFDIR);
        match is_dir == (entry.file_type == FileType::Dir) {
            true => Ok(entry),
            false => Err(damaged(dir, "entry type")),
        }
    }

    /// What `name` stands for in a directory; `.` and `..` are not looked up here.
    pub fn lookup(&self, dir: Nid, name: &[u8]) -> Result<Option<Nid>, IndexError> {
        let bytes = self.dir_bytes(dir)?;
        if name == b"." || name == b".." {
            return Ok(None);
        }
        // The last block whose first name is not beyond the one sought.
        let (mut low, mut high) = (0, bytes.len().div_ceil(BLOCK));
        while low < high {
            let middle = low.midpoint(high);
            let block = DirBlock::new(dir, block_of(bytes, middle))?;
            match block.name(0)? <= name {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let Some(number) = low.checked_sub(1) else {
            return Ok(None);
        };
        let block = DirBlock::new(dir, block_of(bytes, number))?;
        let (mut low, mut high) = (0, block.count);
        while low < high {
            let middle = low.midpoint(high);
            match block.name(middle)?.cmp(name) {
                Ordering::Equal => {
                    return Ok(Some(self.checked(dir, block.entry(middle)?)?.nid));
                }
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }
}

fn damaged(dir: Nid, what: &'static str) -> IndexError {
    IndexError::Inode { nid: dir.0, what }
}

fn block_of(bytes: &[u8], number: usize) -> &[u8] {
    &bytes[number * BLOCK..bytes.len().min((number + 1) * BLOCK)]
}

/// One block of a directory.
struct DirBlock<'a> {
    dir: Nid,
    bytes: &'a [u8],
    count: usize,
}

impl<'a> DirBlock<'a> {
    fn new(dir: Nid, bytes: &'a [u8]) -> Result<Self, IndexError> {
        let names_start = get_u16(bytes, 8).map_or(0, usize::from);
        let count = names_start / DIRENT_LEN;
        if count == 0 || names_start > bytes.len() || !names_start.is_multiple_of(DIRENT_LEN) {
            return Err(damaged(dir, "directory block"));
        }
        Ok(Self { dir, bytes, count })
    }

    fn name_offset(&self, number: usize) -> Option<usize> {
        get_u16(self.bytes, number * DIRENT_LEN + 8).map(usize::from)
    }

    /// The name runs to the next entry's, the last one to the block's end or a zero byte.
    fn name(&self, number: usize) -> Result<&'a [u8], IndexError> {
        let start = self.name_offset(number);
        let end = match number + 1 < self.count {
            true => self.name_offset(number + 1),
            false => Some(self.bytes.len()),
        };
        let name = start
            .zip(end)
            .and_then(|(start, end)| self.bytes.get(start..end));
        let name = name.map(|name| name.split(|&byte| byte == 0).next().unwrap_or_default());
        let valid = |name: &&[u8]| {
            !name.is_empty() && name.len() <= kiln_layer::MAX_NAME_LEN && !name.contains(&b'/')
        };
        name.filter(valid).ok_or_else(|| damaged(self.dir, "name"))
    }

    fn entry(&self, number: usize) -> Result<DirEntry<'a>, IndexError> {
        let name = self.name(number)?;
        let at = number * DIRENT_LEN;
        let nid = Nid(get_u64(self.bytes, at).unwrap_or_default());
        let file_type = FileType::from_disk(self.bytes[at + 10]);
        let file_type = file_type.ok_or_else(|| damaged(self.dir, "entry type"))?;
        // What the writer guarantees, and what keeps every walk finite.
        if file_type == FileType::Dir && name != b"." && name != b".." && nid <= self.dir {
            return Err(damaged(self.dir, "order of directories"));
        }
        Ok(DirEntry {
            name,
            nid,
            file_type,
        })
    }
}
