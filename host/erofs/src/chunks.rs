//! How a file's extents become chunks: the largest chunk that cuts the file at its extents' edges.
//!
//! A plain file is a single chunk, whatever its size. A sparse one has chunks as long as its edges allow. Where an
//! edge falls inside a block, as odd sparse maps may have it, the file is cut into single blocks and those that no
//! block of the tar equals are copied into the index.
//! Invariant: a chunk never shows bytes of the tar beyond the extent that it belongs to, but for the padding of
//! the file's last block.

use crate::error::BuildError;
use crate::format::{BLOCK, BLOCK_BITS, CHUNK_BITS_MASK, NULL_BLOCK};
use crate::node::FileData;

/// Chunks of all files together; 8 bytes each in the index.
pub(crate) const MAX_CHUNKS: u64 = 1 << 24;

/// Where one chunk's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    Hole,
    /// Block of the tar.
    Tar(u32),
    /// One of the index's own blocks, which is to be put together.
    Copy,
}

/// A file cut into chunks of `BLOCK << bits` bytes.
#[derive(Debug)]
pub(crate) struct Plan {
    pub bits: u16,
    pub chunks: Vec<Chunk>,
}

/// The runs of data as (offset in the file, length, offset in the tar).
pub(crate) fn runs(file: &FileData) -> impl Iterator<Item = (u64, u64, u64)> {
    let mut tar = file.tar_offset;
    file.segments.iter().map(move |&(offset, len)| {
        let run = (offset, len, tar);
        tar += len;
        run
    })
}

/// Cuts a file; `budget` is what is left of [`MAX_CHUNKS`].
pub(crate) fn plan(
    file: &FileData,
    ino: u32,
    tar_len: u64,
    budget: &mut u64,
) -> Result<Plan, BuildError> {
    let bits = chunk_bits(file, ino, tar_len)?;
    let chunk_len = (BLOCK as u64) << bits.unwrap_or(0);
    let count = file.size.div_ceil(chunk_len);
    *budget = budget.checked_sub(count).ok_or(BuildError::TooMany {
        what: "chunks of sparse files",
        limit: MAX_CHUNKS,
    })?;
    let mut chunks = vec![Chunk::Hole; count as usize];
    for (offset, len, tar) in runs(file) {
        for number in offset / chunk_len..(offset + len).div_ceil(chunk_len) {
            let slot = &mut chunks[number as usize];
            *slot = match bits {
                Some(_) => Chunk::Tar(block_of(tar + (number * chunk_len - offset), ino)?),
                None => odd_block(number, (offset, len, tar), file.size, tar_len, ino)?,
            };
        }
    }
    Ok(Plan {
        bits: bits.unwrap_or(0),
        chunks,
    })
}

/// Size of the chunks that fit all edges, or `None` where only single blocks, some of them copied, will do.
fn chunk_bits(file: &FileData, ino: u32, tar_len: u64) -> Result<Option<u16>, BuildError> {
    let (mut edges, mut tar_edges, mut padded_end) = (0, 0, 0);
    for (offset, len, tar) in runs(file) {
        let end = offset + len;
        edges |= offset | if end == file.size { 0 } else { end };
        tar_edges |= tar;
        if tar + len > tar_len {
            return Err(BuildError::OutsideTar { ino });
        }
        padded_end = (tar + len).next_multiple_of(BLOCK as u64);
    }
    let aligned = (tar_edges | edges).is_multiple_of(BLOCK as u64);
    if !aligned || padded_end > tar_len {
        return Ok(None);
    }
    let whole = file
        .size
        .div_ceil(BLOCK as u64)
        .next_power_of_two()
        .trailing_zeros();
    let fitting = edges.trailing_zeros().saturating_sub(BLOCK_BITS);
    Ok(Some(
        whole.min(fitting).min(u32::from(CHUNK_BITS_MASK)) as u16
    ))
}

/// A block that one run fills, up to the file's end, can still be the tar's own.
fn odd_block(
    number: u64,
    (offset, len, tar): (u64, u64, u64),
    size: u64,
    tar_len: u64,
    ino: u32,
) -> Result<Chunk, BuildError> {
    let start = number * BLOCK as u64;
    let end = size.min(start + BLOCK as u64);
    if offset > start || offset + len < end {
        return Ok(Chunk::Copy);
    }
    let tar = tar + (start - offset);
    if !tar.is_multiple_of(BLOCK as u64) || tar + BLOCK as u64 > tar_len {
        return Ok(Chunk::Copy);
    }
    Ok(Chunk::Tar(block_of(tar, ino)?))
}

fn block_of(tar: u64, ino: u32) -> Result<u32, BuildError> {
    let block = u32::try_from(tar >> BLOCK_BITS).ok();
    block
        .filter(|&block| block != NULL_BLOCK)
        .ok_or(BuildError::OutsideTar { ino })
}

/// What a copied block consists of: (offset in the block, length, offset in the tar). `runs` are those of the file.
pub(crate) fn pieces(
    runs: &[(u64, u64, u64)],
    number: u64,
) -> impl Iterator<Item = (usize, usize, u64)> {
    let start = number * BLOCK as u64;
    let end = start + BLOCK as u64;
    let first = runs.partition_point(|&(offset, len, _)| offset + len <= start);
    let touching = runs[first..]
        .iter()
        .take_while(move |&&(offset, ..)| offset < end);
    touching.map(move |&(offset, len, tar)| {
        let (from, to) = (offset.max(start), (offset + len).min(end));
        (
            (from - start) as usize,
            (to - from) as usize,
            tar + (from - offset),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_of(size: u64, tar_offset: u64, segments: &[(u64, u64)]) -> Plan {
        let file = FileData {
            size,
            tar_offset,
            segments: segments.to_vec(),
        };
        plan(&file, 1, 1 << 40, &mut { MAX_CHUNKS }).unwrap()
    }

    #[test]
    fn a_plain_file_is_one_chunk() {
        for (size, bits) in [
            (1, 0),
            (512, 0),
            (513, 1),
            (1 << 20, 11),
            ((1 << 20) + 1, 12),
        ] {
            let plan = plan_of(size, 1024, &[(0, size)]);
            assert_eq!(
                (plan.bits, plan.chunks),
                (bits, vec![Chunk::Tar(2)]),
                "{size}"
            );
        }
    }

    #[test]
    fn a_sparse_file_is_cut_at_its_edges() {
        let plan = plan_of(20_000, 512, &[(4096, 4096), (16_384, 3616)]);
        assert_eq!(plan.bits, 3);
        assert_eq!(
            plan.chunks,
            [
                Chunk::Hole,
                Chunk::Tar(1),
                Chunk::Hole,
                Chunk::Hole,
                Chunk::Tar(9)
            ]
        );
    }

    #[test]
    fn a_hole_at_the_end_and_nothing_else() {
        assert_eq!(plan_of(1 << 30, 512, &[]).chunks, [Chunk::Hole]);
        assert_eq!(
            plan_of(8192, 512, &[(0, 4096)]).chunks,
            [Chunk::Tar(1), Chunk::Hole]
        );
    }

    #[test]
    fn odd_edges_copy_only_the_blocks_they_cut() {
        let plan = plan_of(2048, 512, &[(0, 1000)]);
        assert_eq!(
            (plan.bits, plan.chunks),
            (
                0,
                vec![Chunk::Tar(1), Chunk::Copy, Chunk::Hole, Chunk::Hole]
            )
        );
    }

    #[test]
    fn a_tar_without_its_last_padding_has_that_block_copied() {
        let file = FileData {
            size: 600,
            tar_offset: 512,
            segments: vec![(0, 600)],
        };
        let plan = plan(&file, 1, 1112, &mut { MAX_CHUNKS }).unwrap();
        assert_eq!(plan.chunks, [Chunk::Tar(1), Chunk::Copy]);
        assert!(super::plan(&file, 1, 1111, &mut { MAX_CHUNKS }).is_err());
    }

    #[test]
    fn finely_cut_giant_files_are_refused() {
        let file = FileData {
            size: 1 << 40,
            tar_offset: 512,
            segments: vec![(512, 512)],
        };
        let result = plan(&file, 1, 1 << 30, &mut { MAX_CHUNKS });
        assert!(matches!(result, Err(BuildError::TooMany { .. })));
    }

    #[test]
    fn a_copied_block_names_its_pieces() {
        let file = FileData {
            size: 4096,
            tar_offset: 512,
            segments: vec![(0, 100), (600, 50), (700, 1000)],
        };
        let runs: Vec<_> = runs(&file).collect();
        assert_eq!(pieces(&runs, 0).collect::<Vec<_>>(), [(0, 100, 512)]);
        assert_eq!(
            pieces(&runs, 1).collect::<Vec<_>>(),
            [(88, 50, 612), (188, 324, 662)]
        );
        assert_eq!(pieces(&runs, 7).count(), 0);
    }
}
