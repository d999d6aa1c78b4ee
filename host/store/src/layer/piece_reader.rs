//! Reads a tar for the parser and passes every byte on to the file, unread parts included.
//!
//! Invariant: a piece is handed to the file once, whole, after the parser has seen all of it; zero runs stay
//! zero runs. The byte limit holds for what is seen, so no more than it is ever written.

use std::io::{self, Read};
use std::sync::mpsc::Receiver;

use crate::error::{Error, Result};
use crate::layer::tar_file::{BufferPool, PIECE_LEN, Piece, TarFile};

/// Where pieces come from.
pub(crate) trait PieceSource {
    /// The next piece, none at the end.
    fn next_piece(&mut self) -> io::Result<Option<Piece>>;
}

/// Pieces read from any stream; those that are all zero become zero runs.
pub(crate) struct StreamSource<R> {
    reader: R,
    pool: BufferPool,
}

impl<R: Read> StreamSource<R> {
    pub fn new(reader: R, pool: BufferPool) -> StreamSource<R> {
        StreamSource { reader, pool }
    }
}

impl<R: Read> PieceSource for StreamSource<R> {
    fn next_piece(&mut self) -> io::Result<Option<Piece>> {
        let mut buffer = self.pool.take();
        let read = Read::by_ref(&mut self.reader)
            .take(PIECE_LEN as u64)
            .read_to_end(&mut buffer)?;
        if read == 0 {
            return Ok(None);
        }
        if read == PIECE_LEN && buffer.iter().all(|byte| *byte == 0) {
            self.pool.give(buffer);
            return Ok(Some(Piece::Zeros(read as u64)));
        }
        Ok(Some(Piece::Data(buffer)))
    }
}

impl PieceSource for Receiver<Piece> {
    fn next_piece(&mut self) -> io::Result<Option<Piece>> {
        Ok(self.recv().ok())
    }
}

/// A reader over pieces that forwards them to a [`TarFile`].
pub(crate) struct PieceReader<S> {
    source: S,
    file: TarFile,
    current: Piece,
    /// Bytes of `current` already read.
    read: u64,
    /// Bytes that may still come.
    allowed: u64,
    limit: u64,
    failure: Option<Failure>,
}

enum Failure {
    Incoming(io::Error),
    Write(io::Error),
    TooLarge,
}

impl<S: PieceSource> PieceReader<S> {
    pub fn new(source: S, file: TarFile, limit: u64) -> PieceReader<S> {
        let current = Piece::Data(Vec::new());
        PieceReader {
            source,
            file,
            current,
            read: 0,
            allowed: limit,
            limit,
            failure: None,
        }
    }

    /// The file, or what went wrong that was not the tar's fault.
    pub fn into_file(self, path: &std::path::Path) -> Result<TarFile> {
        match self.failure {
            None => Ok(self.file),
            Some(Failure::Incoming(error)) => Err(Error::Incoming(error)),
            Some(Failure::Write(error)) => Err(Error::io("write", path, error)),
            Some(Failure::TooLarge) => Err(Error::LayerTooLarge { limit: self.limit }),
        }
    }

    /// Keeps the cause; the parser only learns that reading failed.
    fn fail(&mut self, failure: Failure) -> io::Error {
        self.failure = Some(failure);
        io::ErrorKind::BrokenPipe.into()
    }

    /// Passes on the finished piece and takes the next; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        let finished = std::mem::replace(&mut self.current, Piece::Data(Vec::new()));
        self.read = 0;
        if length(&finished) > 0
            && let Err(error) = self.file.push(finished)
        {
            return Err(self.fail(Failure::Write(error)));
        }
        let next = match self.source.next_piece() {
            Ok(Some(piece)) => piece,
            Ok(None) => return Ok(false),
            Err(error) => return Err(self.fail(Failure::Incoming(error))),
        };
        let Some(allowed) = self.allowed.checked_sub(length(&next)) else {
            return Err(self.fail(Failure::TooLarge));
        };
        self.allowed = allowed;
        self.current = next;
        Ok(true)
    }
}

fn length(piece: &Piece) -> u64 {
    match piece {
        Piece::Data(bytes) => bytes.len() as u64,
        Piece::Zeros(count) => *count,
    }
}

impl<S: PieceSource> Read for PieceReader<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.failure.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        while self.read == length(&self.current) {
            if !self.advance()? {
                return Ok(0);
            }
        }
        let step = (length(&self.current) - self.read).min(out.len() as u64) as usize;
        match &self.current {
            Piece::Data(bytes) => {
                let at = self.read as usize;
                out[..step].copy_from_slice(&bytes[at..at + step]);
            }
            Piece::Zeros(_) => out[..step].fill(0),
        }
        self.read += step as u64;
        Ok(step)
    }
}
