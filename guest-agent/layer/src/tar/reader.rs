//! Reads tars of every dialect that images are made of.

use std::io::{self, Read};

use crate::{Entry, Limits, TarResult};

/// One entry as found in a tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TarEntry {
    /// What the tar says; `Kind::File { size }` is the logical size, holes included.
    pub entry: Entry,
    /// Where the entry's data start, counted from the start of the tar.
    pub data_offset: u64,
    /// For sparse files the `(offset in the file, length)` of the data, which lie back to back from `data_offset`.
    pub sparse: Option<Vec<(u64, u64)>>,
}

/// Reads entries one after another; as a [`Read`], gives the content of the entry that came last, holes as zeros.
pub struct TarReader<R> {
    inner: R,
}

impl<R: Read> TarReader<R> {
    /// Starts at the first byte of a tar.
    pub fn new(inner: R, _limits: Limits) -> Self {
        Self { inner }
    }

    /// The next entry, or `None` at the end of the archive. Unread data of the last one are skipped.
    pub fn next_entry(&mut self) -> TarResult<Option<TarEntry>> {
        unimplemented!()
    }

    /// Reads all that follows the end marker, for who hashes the stream, and gives the tar's whole length.
    pub fn finish_reading(&mut self) -> TarResult<u64> {
        unimplemented!()
    }

    /// The stream below; bytes read ahead are lost.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
        unimplemented!()
    }
}
