//! The tar as a stream of bytes with a position: reads ahead in large parts, skips without copying.

use std::io::{self, Read};

use super::header::{BLOCK, Block};
use crate::{TarError, TarResult};

/// Large enough that the stream below is asked seldom, small enough to stay in the cache.
const BUFFER_LEN: usize = 256 << 10;

/// How reading a header block ended.
pub(crate) enum NextBlock {
    Block(Block),
    /// The stream ends here.
    End,
}

#[derive(Debug)]
pub(crate) struct Stream<R> {
    inner: R,
    buffer: Vec<u8>,
    /// The part of `buffer` not yet consumed.
    start: usize,
    end: usize,
    /// Offset in the tar of `buffer[start]`.
    position: u64,
}

impl<R: Read> Stream<R> {
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            buffer: vec![0; BUFFER_LEN],
            start: 0,
            end: 0,
            position: 0,
        }
    }

    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn into_inner(self) -> R {
        self.inner
    }

    /// Bytes at hand, after reading more where there are none. Empty only at the end of the stream.
    fn available(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.start = 0;
            self.end = read_once(&mut self.inner, &mut self.buffer)?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, len: usize) {
        self.start += len;
        self.position += len as u64;
    }

    pub fn next_block(&mut self) -> TarResult<NextBlock> {
        let mut block = [0; BLOCK];
        match self.read_up_to(&mut block)? {
            0 => Ok(NextBlock::End),
            BLOCK => Ok(NextBlock::Block(block)),
            _ => Err(self.truncated()),
        }
    }

    pub fn read_exact(&mut self, target: &mut [u8]) -> TarResult<()> {
        match self.read_up_to(target)? == target.len() {
            true => Ok(()),
            false => Err(self.truncated()),
        }
    }

    /// Fills `target` unless the stream ends first; gives how much.
    fn read_up_to(&mut self, target: &mut [u8]) -> TarResult<usize> {
        let mut filled = 0;
        while filled < target.len() {
            match self.read_some(&mut target[filled..])? {
                0 => break,
                got => filled += got,
            }
        }
        Ok(filled)
    }

    /// As [`Read::read`]; large requests go past the buffer.
    pub fn read_some(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end && target.len() >= BUFFER_LEN / 4 {
            let got = read_once(&mut self.inner, target)?;
            self.position += got as u64;
            return Ok(got);
        }
        let available = self.available()?;
        let len = available.len().min(target.len());
        target[..len].copy_from_slice(&available[..len]);
        self.consume(len);
        Ok(len)
    }

    /// Moves on by at most `len` bytes; gives how many there were.
    pub fn skip(&mut self, len: u64) -> TarResult<u64> {
        let mut left = len;
        while left > 0 {
            let available = self.available()?.len();
            if available == 0 {
                break;
            }
            let part = available.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.consume(part);
            left -= part as u64;
        }
        Ok(len - left)
    }

    pub fn truncated(&self) -> TarError {
        TarError::Truncated {
            offset: self.position,
        }
    }
}

fn read_once(inner: &mut impl Read, target: &mut [u8]) -> io::Result<usize> {
    loop {
        match inner.read(target) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
