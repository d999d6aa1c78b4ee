//! A tar on its way to disk: one pass that hashes and writes, off the caller's thread.
//!
//! ```text
//! caller ── full buffers, zero runs ──► bounded channel ──► worker: sha256 + write, or seek over zeros
//!        ◄───────── empty buffers ──────────────────────────┘
//! ```
//!
//! Invariant: the digest covers every byte and every zero that was given, in order, whether the file
//! stores it or has a hole there.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use kiln_oci::{DiffId, Hasher};
use kiln_platform::holes;

use crate::error::{Error, IoContext, Result};

/// Bytes per piece. Small enough to stay in the second-level cache between hashing and writing.
pub(crate) const PIECE_LEN: usize = 256 * 1024;
/// Pieces on their way; bounds memory to a few megabytes per layer.
const PIECES_IN_FLIGHT: usize = 8;
/// Shorter runs of zeros are written out: a hole frees whole blocks only.
const SHORTEST_HOLE: u64 = 16 * 1024;

/// A part of a tar.
pub(crate) enum Piece {
    /// Bytes.
    Data(Vec<u8>),
    /// So many zero bytes.
    Zeros(u64),
}

/// A finished tar.
pub(crate) struct FinishedTar {
    pub file: File,
    pub diff_id: DiffId,
    pub size: u64,
}

/// Empty buffers that were used before: a fresh one costs page faults.
#[derive(Clone, Default)]
pub(crate) struct BufferPool(Arc<Mutex<Vec<Vec<u8>>>>);

impl BufferPool {
    /// An empty buffer of [`PIECE_LEN`] capacity.
    pub fn take(&self) -> Vec<u8> {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        used.unwrap_or_else(|| Vec::with_capacity(PIECE_LEN))
    }

    pub fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < PIECES_IN_FLIGHT {
            buffers.push(buffer);
        }
    }
}

/// The caller's end.
pub(crate) struct TarFile {
    buffer: Vec<u8>,
    pieces: Option<SyncSender<Piece>>,
    pool: BufferPool,
    worker: Option<JoinHandle<io::Result<FinishedTar>>>,
}

impl TarFile {
    pub fn create(path: &Path, pool: BufferPool) -> Result<TarFile> {
        let options = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path);
        let file = options.at("create", path)?;
        holes::allow_holes(&file).at("prepare", path)?;
        let (pieces, incoming) = sync_channel(PIECES_IN_FLIGHT);
        let recycle = pool.clone();
        let builder = std::thread::Builder::new().name("layer-writer".to_owned());
        let worker = builder
            .spawn(move || Worker::new(file, recycle).run(&incoming))
            .at("start writing", path)?;
        Ok(TarFile {
            buffer: Vec::new(),
            pieces: Some(pieces),
            pool,
            worker: Some(worker),
        })
    }

    /// Hands over a whole piece.
    pub fn push(&mut self, piece: Piece) -> io::Result<()> {
        self.flush()?;
        self.send(piece)
    }

    fn send(&mut self, piece: Piece) -> io::Result<()> {
        let sent = self
            .pieces
            .as_ref()
            .is_some_and(|pieces| pieces.send(piece).is_ok());
        if sent { Ok(()) } else { Err(self.failure()) }
    }

    /// Why the worker stopped taking pieces.
    fn failure(&mut self) -> io::Error {
        self.pieces = None;
        match self.worker.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => error,
            // The error was handed out before, or the worker panicked.
            _ => io::ErrorKind::BrokenPipe.into(),
        }
    }

    /// Waits until all is hashed and written.
    pub fn finish(mut self, path: &Path) -> Result<FinishedTar> {
        self.flush().at("write", path)?;
        self.pieces = None;
        let worker = self
            .worker
            .take()
            .expect("the worker is joined on failure only, and flush has not failed");
        match worker.join() {
            Ok(finished) => finished.at("write", path),
            Err(_) => Err(Error::io("write", path, io::ErrorKind::BrokenPipe.into())),
        }
    }
}

impl Write for TarFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.capacity() == 0 {
            self.buffer = self.pool.take();
        }
        let step = bytes.len().min(PIECE_LEN - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..step]);
        if self.buffer.len() == PIECE_LEN {
            self.flush()?;
        }
        Ok(step)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let full = std::mem::take(&mut self.buffer);
        self.send(Piece::Data(full))
    }
}

impl Drop for TarFile {
    /// The worker writes into a folder that is about to be removed: it must have ended by then.
    fn drop(&mut self) {
        self.pieces = None;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

struct Worker {
    file: File,
    hasher: Hasher,
    size: u64,
    recycle: BufferPool,
}

impl Worker {
    fn new(file: File, recycle: BufferPool) -> Worker {
        Worker {
            file,
            hasher: Hasher::new(),
            size: 0,
            recycle,
        }
    }

    fn run(mut self, pieces: &Receiver<Piece>) -> io::Result<FinishedTar> {
        for piece in pieces {
            match piece {
                Piece::Data(bytes) if is_zero(&bytes) => {
                    self.zeros(bytes.len() as u64)?;
                    self.recycle.give(bytes);
                }
                Piece::Data(bytes) => {
                    self.hasher.update(&bytes);
                    self.file.write_all(&bytes)?;
                    self.size += bytes.len() as u64;
                    self.recycle.give(bytes);
                }
                Piece::Zeros(count) => self.zeros(count)?,
            }
        }
        // A hole at the end has no byte behind it that would extend the file.
        self.file.set_len(self.size)?;
        Ok(FinishedTar {
            file: self.file,
            diff_id: DiffId(self.hasher.finish()),
            size: self.size,
        })
    }

    fn zeros(&mut self, count: u64) -> io::Result<()> {
        self.hasher.update_zeros(count);
        self.size += count;
        if count >= SHORTEST_HOLE {
            self.file.seek(SeekFrom::Start(self.size))?;
            return Ok(());
        }
        io::copy(&mut io::Read::take(io::repeat(0), count), &mut self.file).map(drop)
    }
}

/// Whether there are only zeros, as in a hole of a sparse file that was read.
fn is_zero(bytes: &[u8]) -> bool {
    let (head, words, tail) = (
        bytes.first(),
        bytes.as_chunks::<16>().0,
        bytes.as_chunks::<16>().1,
    );
    head == Some(&0)
        && words.iter().all(|word| u128::from_ne_bytes(*word) == 0)
        && tail.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_oci::Digest;

    #[test]
    fn pieces_and_writes_keep_their_order_and_hash() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tar");
        let mut tar = TarFile::create(&path, BufferPool::default()).unwrap();
        let mut expected = Vec::new();
        for round in 0..40u8 {
            let bytes = vec![round; 50_000 + usize::from(round)];
            tar.write_all(&bytes).unwrap();
            expected.extend_from_slice(&bytes);
            let zeros = [0, 1, 16 * 1024, 100_000][usize::from(round) % 4];
            tar.push(Piece::Zeros(zeros)).unwrap();
            expected.resize(expected.len() + zeros as usize, 0);
        }
        let finished = tar.finish(&path).unwrap();
        assert_eq!(finished.size, expected.len() as u64);
        assert_eq!(finished.diff_id.0, Digest::of(&expected));
        assert!(std::fs::read(&path).unwrap() == expected);
    }

    #[test]
    fn zeros_among_the_bytes_are_a_hole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tar");
        let mut tar = TarFile::create(&path, BufferPool::default()).unwrap();
        let mut expected = vec![0; 8 << 20];
        *expected.last_mut().unwrap() = 1;
        tar.write_all(&expected).unwrap();
        let finished = tar.finish(&path).unwrap();
        assert_eq!(finished.diff_id.0, Digest::of(&expected));
        assert!(std::fs::read(&path).unwrap() == expected);
        let metadata = std::fs::metadata(&path).unwrap();
        assert!(!cfg!(unix) || kiln_platform::disk_space::occupied(&metadata) <= 1 << 20);
    }

    #[test]
    fn trailing_zeros_are_a_hole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tar");
        let mut tar = TarFile::create(&path, BufferPool::default()).unwrap();
        tar.write_all(b"x").unwrap();
        tar.push(Piece::Zeros(64 << 20)).unwrap();
        let finished = tar.finish(&path).unwrap();
        assert_eq!(finished.size, (64 << 20) + 1);
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!(metadata.len(), finished.size);
        assert!(!cfg!(unix) || kiln_platform::disk_space::occupied(&metadata) < 1 << 20);
    }
}
