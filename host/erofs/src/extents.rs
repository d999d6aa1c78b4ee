//! Where a file's bytes are, read from its chunk indexes.

use crate::error::IndexError;
use crate::format::{self, BLOCK, get_u16, get_u32};
use crate::index::{Core, Index, Nid};
use crate::inode::{Extent, Source};

impl Index {
    /// The runs of a file, in order, holes included; neighbours that continue each other are one.
    pub fn extents(&self, nid: Nid) -> Result<Vec<Extent>, IndexError> {
        let core = self.core(nid)?;
        if !core.is(format::S_IFREG) {
            return Err(IndexError::NotFile { nid: nid.0 });
        }
        if core.size == 0 {
            return Ok(Vec::new());
        }
        let chunk_format = core.union as u16;
        let known_format = format::CHUNK_INDEXES | format::CHUNK_BITS_MASK;
        if core.data_layout != format::CHUNK_BASED || core.union & !u32::from(known_format) != 0 {
            return Err(core.damaged("data layout"));
        }
        let chunk_len = (BLOCK as u64) << (chunk_format & format::CHUNK_BITS_MASK);
        let start = core.body_start().next_multiple_of(format::CHUNK_INDEX_LEN);
        let count = usize::try_from(core.size.div_ceil(chunk_len)).ok();
        let end = count.and_then(|count| {
            count
                .checked_mul(format::CHUNK_INDEX_LEN)?
                .checked_add(start)
        });
        let indexes = end
            .and_then(|end| self.bytes.get(start..end))
            .ok_or_else(|| core.damaged("chunks"))?;
        let mut extents = Vec::new();
        for (number, index) in indexes.chunks_exact(format::CHUNK_INDEX_LEN).enumerate() {
            let file_offset = number as u64 * chunk_len;
            let len = chunk_len.min(core.size - file_offset);
            let source = self.source(&core, index, len)?;
            push_extent(
                &mut extents,
                Extent {
                    file_offset,
                    len,
                    source,
                },
            );
        }
        Ok(extents)
    }

    fn source(&self, core: &Core, index: &[u8], len: u64) -> Result<Source, IndexError> {
        let device = get_u16(index, 2).unwrap_or_default();
        let block = get_u32(index, 4).unwrap_or_default();
        let end = u64::from(block) + len.div_ceil(BLOCK as u64);
        let offset = u64::from(block) * BLOCK as u64;
        match device {
            0 if block == format::NULL_BLOCK => Ok(Source::Hole),
            0 if end <= (self.bytes.len() / BLOCK) as u64 => Ok(Source::Index(offset)),
            1 if end <= u64::from(self.tar_blocks) => Ok(Source::Tar(offset)),
            _ => Err(core.damaged("chunk")),
        }
    }
}

fn push_extent(extents: &mut Vec<Extent>, next: Extent) {
    if let Some(last) = extents.last_mut() {
        let continues = match (last.source, next.source) {
            (Source::Hole, Source::Hole) => true,
            (Source::Tar(before), Source::Tar(after)) => before + last.len == after,
            (Source::Index(before), Source::Index(after)) => before + last.len == after,
            _ => false,
        };
        if continues {
            last.len += next.len;
            return;
        }
    }
    extents.push(next);
}
