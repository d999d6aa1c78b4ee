//! Writes layer tars, always the same bytes for the same entries.
//!
//! Owns the choice of encoding: ustar where every field fits, else a pax header for just those fields that do
//! not. No GNU extensions, no user names, no padding to 10 KiB records.
//! Invariant: an entry's data start at a multiple of 512, so that a block device view of the tar can address them.

use std::io::{self, Read, Write};

use super::encode;
use super::header::{BLOCK, padding};
use crate::{Entry, TarError, TarResult};

/// Headers and small files gather here, so that the stream below sees few large writes.
const BUFFER_LEN: usize = 256 << 10;

/// Writes entries into a tar. Buffers; nothing is complete before [`TarWriter::finish`].
#[derive(Debug)]
pub struct TarWriter<W> {
    inner: W,
    buffer: Vec<u8>,
    /// How much of `buffer` waits to be written.
    filled: usize,
    position: u64,
    pending: Option<Pending>,
}

/// The entry between `begin` and `end`.
#[derive(Debug)]
struct Pending {
    path: Vec<u8>,
    size: u64,
    left: u64,
}

impl<W: Write> TarWriter<W> {
    /// Starts a tar at `inner`'s present position.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            buffer: vec![0; BUFFER_LEN],
            filled: 0,
            position: 0,
            pending: None,
        }
    }

    /// Writes an entry and exactly as many bytes of `data` as it says; gives the data's offset in the tar.
    ///
    /// # Errors
    /// Where `data` ends early the tar is unusable and must be dropped. `data` that goes on is not read further.
    pub fn append(&mut self, entry: &Entry, data: &mut dyn Read) -> TarResult<u64> {
        let offset = self.begin(entry)?;
        let mut left = entry.data_len();
        while left > 0 {
            let got = self.fill_from(data, left)?;
            if got == 0 {
                return Err(self.source_short());
            }
            left -= got;
            self.count_data(got)?;
        }
        self.end()?;
        Ok(offset)
    }

    /// Writes only the header and gives the offset where data go; follow with [`Self::write_data`] and [`Self::end`].
    pub fn begin(&mut self, entry: &Entry) -> TarResult<u64> {
        self.end()?;
        for block in encode::header_blocks(entry)? {
            self.write_raw(&block)?;
        }
        let size = entry.data_len();
        if size > 0 {
            self.pending = Some(Pending {
                path: entry.path.clone(),
                size,
                left: size,
            });
        }
        Ok(self.position)
    }

    /// Writes the next part of the data of the entry begun.
    pub fn write_data(&mut self, data: &[u8]) -> TarResult<()> {
        self.count_data(data.len() as u64)?;
        self.write_raw(data)
    }

    /// Writes `len` zero bytes of the data of the entry begun.
    pub fn write_zeros(&mut self, len: u64) -> TarResult<()> {
        self.count_data(len)?;
        self.write_zeros_raw(len)
    }

    /// Ends the entry begun; all its bytes must have come.
    pub fn end(&mut self) -> TarResult<()> {
        match &self.pending {
            Some(pending) if pending.left > 0 => Err(self.source_short()),
            Some(pending) => {
                let size = pending.size;
                self.pending = None;
                self.write_zeros_raw(padding(size))
            }
            None => Ok(()),
        }
    }

    /// Bytes of the tar so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Writes the end marker and gives the stream back, everything written to it.
    pub fn finish(mut self) -> TarResult<W> {
        self.end()?;
        self.write_zeros_raw(2 * BLOCK as u64)?;
        self.flush_buffer()?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn count_data(&mut self, len: u64) -> TarResult<()> {
        match &mut self.pending {
            _ if len == 0 => Ok(()),
            Some(pending) if pending.left >= len => {
                pending.left -= len;
                Ok(())
            }
            Some(pending) => Err(TarError::SourceLong {
                path: pending.path.clone(),
                expected: pending.size,
            }),
            None => Err(TarError::SourceLong {
                path: Vec::new(),
                expected: 0,
            }),
        }
    }

    fn source_short(&self) -> TarError {
        let pending = self.pending.as_ref();
        TarError::SourceShort {
            path: pending.map_or_else(Vec::new, |pending| pending.path.clone()),
            expected: pending.map_or(0, |pending| pending.size),
            got: pending.map_or(0, |pending| pending.size - pending.left),
        }
    }

    /// Reads once, straight into the buffer, at most `limit` bytes.
    fn fill_from(&mut self, data: &mut dyn Read, limit: u64) -> TarResult<u64> {
        if self.filled == BUFFER_LEN {
            self.flush_buffer()?;
        }
        let room = &mut self.buffer[self.filled..];
        let want = room.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        let got = loop {
            match data.read(&mut room[..want]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.filled += got;
        self.position += got as u64;
        Ok(got as u64)
    }

    fn write_raw(&mut self, data: &[u8]) -> TarResult<()> {
        if data.len() > BUFFER_LEN - self.filled {
            self.flush_buffer()?;
        }
        if data.len() >= BUFFER_LEN {
            self.inner.write_all(data)?;
        } else {
            self.buffer[self.filled..self.filled + data.len()].copy_from_slice(data);
            self.filled += data.len();
        }
        self.position += data.len() as u64;
        Ok(())
    }

    fn write_zeros_raw(&mut self, mut len: u64) -> TarResult<()> {
        self.position += len;
        while len > 0 {
            if self.filled == BUFFER_LEN {
                self.flush_buffer()?;
            }
            let room = BUFFER_LEN - self.filled;
            let part = room.min(usize::try_from(len).unwrap_or(usize::MAX));
            self.buffer[self.filled..self.filled + part].fill(0);
            self.filled += part;
            len -= part as u64;
        }
        Ok(())
    }

    fn flush_buffer(&mut self) -> TarResult<()> {
        let filled = std::mem::take(&mut self.filled);
        Ok(self.inner.write_all(&self.buffer[..filled])?)
    }
}

impl<W: Write> Write for TarWriter<W> {
    /// Data of the entry begun, for who copies with [`std::io::copy`].
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_data(data).map_err(|error| match error {
            TarError::Io(error) => error,
            other => io::Error::new(io::ErrorKind::InvalidInput, other),
        })?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
