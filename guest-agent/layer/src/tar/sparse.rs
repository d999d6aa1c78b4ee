//! Sparse files, of which GNU tar has four encodings: the old one in the header and three in pax.
//!
//! All come down to the logical size and a list of (offset, length) whose data lie back to back.
//! Invariant: the list is ascending, without overlap or empty runs, inside the file, and its data fill the entry.

use std::io::Read;

use super::header::{self, BLOCK, Block};
use super::overrides::{PaxSparse, decimal};
use super::stream::Stream;
use crate::{Limits, TarError, TarResult};

/// The old header: four runs, a mark that blocks with more follow, and the logical size.
const OLD_RUNS: usize = 386;
const OLD_RUN_COUNT: usize = 4;
const OLD_EXTENDED: usize = 482;
const OLD_REAL_SIZE: std::ops::Range<usize> = 483..495;

/// A following block: 21 runs and the mark.
const MORE_RUN_COUNT: usize = 21;
const MORE_EXTENDED: usize = 504;

const RUN_LEN: usize = 24;

/// A file with holes.
#[derive(Debug)]
pub(crate) struct SparseMap {
    pub size: u64,
    pub runs: Vec<(u64, u64)>,
    /// Bytes of the entry's data, without a map in front.
    pub data_len: u64,
}

/// What is needed to read a map: whose it is, and how much data the entry has.
pub(crate) struct Source<'a, R> {
    pub stream: &'a mut Stream<R>,
    pub limits: &'a Limits,
    pub name: &'a [u8],
    pub stored_len: u64,
}

impl<R: Read> Source<'_, R> {
    fn malformed(&self) -> TarError {
        TarError::BadSparseMap {
            name: self.name.to_vec(),
        }
    }

    fn push(&self, runs: &mut Vec<(u64, u64)>, run: (u64, u64)) -> TarResult<()> {
        if runs.len() as u64 >= self.limits.sparse_segments {
            let limit = self.limits.sparse_segments;
            let offset = self.stream.position();
            return Err(TarError::LimitExceeded {
                what: "sparse segments",
                limit,
                offset,
            });
        }
        runs.push(run);
        Ok(())
    }

    /// The old encoding: type `S`.
    pub fn old_map(&mut self, block: &Block) -> TarResult<SparseMap> {
        let size = unsigned(&block[OLD_REAL_SIZE]).ok_or_else(|| self.malformed())?;
        let mut runs = Vec::new();
        let mut ended = !self.old_runs(&block[OLD_RUNS..], OLD_RUN_COUNT, &mut runs)?;
        let mut extended = block[OLD_EXTENDED] != 0;
        while extended {
            let mut more = [0; BLOCK];
            self.stream.read_exact(&mut more)?;
            extended = more[MORE_EXTENDED] != 0;
            if !ended {
                ended = !self.old_runs(&more, MORE_RUN_COUNT, &mut runs)?;
            }
        }
        self.checked(size, runs, self.stored_len)
    }

    /// Reads up to `count` runs; an empty slot ends the map.
    fn old_runs(&self, fields: &[u8], count: usize, runs: &mut Vec<(u64, u64)>) -> TarResult<bool> {
        for run in fields.chunks_exact(RUN_LEN).take(count) {
            let (offset, len) = run.split_at(RUN_LEN / 2);
            if offset[0] == 0 || len[0] == 0 {
                return Ok(false);
            }
            let run = unsigned(offset)
                .zip(unsigned(len))
                .ok_or_else(|| self.malformed())?;
            self.push(runs, run)?;
        }
        Ok(true)
    }

    /// The pax encodings; `None` where the records do not make the file sparse.
    pub fn pax_map(&mut self, sparse: &PaxSparse) -> TarResult<Option<SparseMap>> {
        let Some(size) = sparse.size else {
            return Ok(None);
        };
        if sparse.map_in_data {
            let before = self.stream.position();
            let runs = self.map_in_data()?;
            let map_len = self.stream.position() - before;
            let data_len = self.stored_len.checked_sub(map_len);
            let data_len = data_len.ok_or_else(|| self.malformed())?;
            return self.checked(size, runs, data_len).map(Some);
        }
        let Some(map) = &sparse.map else {
            return Ok(None);
        };
        let (pairs, rest) = map.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.malformed());
        }
        let runs = pairs.iter().map(|&[offset, len]| (offset, len)).collect();
        self.checked(size, runs, self.stored_len).map(Some)
    }

    /// Version 1.0: decimal lines in whole blocks before the data: the count, then offset and length of each run.
    fn map_in_data(&mut self) -> TarResult<Vec<(u64, u64)>> {
        let mut lines = Lines {
            left: self.stored_len,
            ..Lines::default()
        };
        let count = lines.next(self.stream).ok_or_else(|| self.malformed())?;
        let mut runs = Vec::new();
        for _ in 0..count {
            let offset = lines.next(self.stream).ok_or_else(|| self.malformed())?;
            let len = lines.next(self.stream).ok_or_else(|| self.malformed())?;
            self.push(&mut runs, (offset, len))?;
        }
        Ok(runs)
    }

    fn checked(&self, size: u64, mut runs: Vec<(u64, u64)>, data_len: u64) -> TarResult<SparseMap> {
        let (mut end, mut total) = (0_u64, 0_u64);
        for &(offset, len) in &runs {
            let next = offset
                .checked_add(len)
                .filter(|&next| offset >= end && next <= size);
            end = next.ok_or_else(|| self.malformed())?;
            total += len;
        }
        if total != data_len {
            return Err(self.malformed());
        }
        runs.retain(|&(_, len)| len > 0);
        Ok(SparseMap {
            size,
            runs,
            data_len,
        })
    }
}

fn unsigned(field: &[u8]) -> Option<u64> {
    u64::try_from(header::number(field)?).ok()
}

/// Lines of a map that is read block by block.
#[derive(Default)]
struct Lines {
    block: Vec<u8>,
    at: usize,
    /// Bytes of the entry not yet read; a map may not go beyond.
    left: u64,
}

impl Lines {
    fn next<R: Read>(&mut self, stream: &mut Stream<R>) -> Option<u64> {
        let mut line = Vec::new();
        loop {
            if self.at == self.block.len() {
                self.left = self.left.checked_sub(BLOCK as u64)?;
                self.block.resize(BLOCK, 0);
                stream.read_exact(&mut self.block).ok()?;
                self.at = 0;
            }
            let byte = self.block[self.at];
            self.at += 1;
            match byte {
                b'\n' => return decimal(&line),
                // More digits than any number has.
                _ if line.len() > 20 => return None,
                byte => line.push(byte),
            }
        }
    }
}
