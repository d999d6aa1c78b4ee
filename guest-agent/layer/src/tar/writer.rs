//! Writes layer tars, always the same bytes for the same entries.

use std::io::{Read, Write};

use crate::{Entry, TarResult};

/// Writes entries into a tar. Buffers; nothing is complete before [`TarWriter::finish`].
pub struct TarWriter<W> {
    inner: W,
}

impl<W: Write> TarWriter<W> {
    /// Starts a tar at `inner`'s present position.
    pub fn new(inner: W) -> Self {
        Self { inner }
    }

    /// Writes an entry and exactly as many bytes of `data` as it says; gives the data's offset in the tar.
    pub fn append(&mut self, _entry: &Entry, _data: &mut dyn Read) -> TarResult<u64> {
        unimplemented!()
    }

    /// Writes only the header and gives the offset where data go; follow with [`Self::write_data`] and [`Self::end`].
    pub fn begin(&mut self, _entry: &Entry) -> TarResult<u64> {
        unimplemented!()
    }

    /// Writes the next part of the data of the entry begun.
    pub fn write_data(&mut self, _data: &[u8]) -> TarResult<()> {
        unimplemented!()
    }

    /// Writes `len` zero bytes of the data of the entry begun.
    pub fn write_zeros(&mut self, _len: u64) -> TarResult<()> {
        unimplemented!()
    }

    /// Ends the entry begun; all its bytes must have come.
    pub fn end(&mut self) -> TarResult<()> {
        unimplemented!()
    }

    /// Bytes of the tar so far.
    pub fn position(&self) -> u64 {
        unimplemented!()
    }

    /// Writes the end marker and gives the stream back, flushed to it.
    pub fn finish(self) -> TarResult<W> {
        let _ = self.inner;
        unimplemented!()
    }
}
