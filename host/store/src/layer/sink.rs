//! A layer pushed piece by piece, as the guest sends it, with its holes.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use kiln_oci::DiffId;

use crate::error::{Error, IoContext, Result};
use crate::layer::LayerRecord;
use crate::layer::ingest::{IngestLimits, ingest};
use crate::layer::stage::StagedLayer;
use crate::layer::tar_file::{BufferPool, PIECE_LEN, Piece};
use crate::store::Store;

/// Pieces that may wait for the parser.
const PIECES_WAITING: usize = 8;

/// Takes a tar stream as writes and zero runs. Dropped before [`LayerSink::finish`], it leaves nothing.
pub struct LayerSink {
    store: Store,
    buffer: Vec<u8>,
    pool: BufferPool,
    pieces: Option<SyncSender<Piece>>,
    parser: Option<JoinHandle<Result<StagedLayer>>>,
}

impl Store {
    /// Starts taking a layer from outside.
    pub fn begin_ingest(&self, limits: impl Into<IngestLimits>) -> Result<LayerSink> {
        let limits = limits.into();
        let pool = BufferPool::default();
        let (pieces, incoming) = sync_channel(PIECES_WAITING);
        let (store, parser_pool) = (self.clone(), pool.clone());
        let parse = move || ingest(&store, incoming, parser_pool, limits);
        let builder = std::thread::Builder::new().name("layer-parser".to_owned());
        let parser = builder
            .spawn(parse)
            .at("start reading a layer into", self.root())?;
        Ok(LayerSink {
            store: self.clone(),
            buffer: pool.take(),
            pool,
            pieces: Some(pieces),
            parser: Some(parser),
        })
    }
}

impl LayerSink {
    /// Takes more bytes of the tar.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let step = bytes.len().min(PIECE_LEN - self.buffer.len());
            self.buffer.extend_from_slice(&bytes[..step]);
            bytes = &bytes[step..];
            if self.buffer.len() == PIECE_LEN {
                self.send_buffer()?;
            }
        }
        Ok(())
    }

    /// Takes a run of zero bytes of the tar; they become a hole.
    pub fn write_zeros(&mut self, count: u64) -> Result<()> {
        self.send_buffer()?;
        self.send(Piece::Zeros(count))
    }

    /// Ends the tar and makes the layer part of the store.
    pub fn finish(mut self, expected: Option<DiffId>) -> Result<LayerRecord> {
        self.send_buffer()?;
        let staged = self.join()?;
        staged.commit(&self.store, expected)
    }

    fn send_buffer(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.buffer, self.pool.take());
        self.send(Piece::Data(full))
    }

    fn send(&mut self, piece: Piece) -> Result<()> {
        if self
            .pieces
            .as_ref()
            .is_some_and(|pieces| pieces.send(piece).is_ok())
        {
            return Ok(());
        }
        // The parser stops taking pieces only when it has failed.
        self.join()
            .and(Err(Error::Incoming(io::ErrorKind::BrokenPipe.into())))
    }

    fn join(&mut self) -> Result<StagedLayer> {
        self.pieces = None;
        match self.parser.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            // Failed before, and the caller was told then; or the parser panicked.
            _ => Err(Error::Incoming(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

impl Drop for LayerSink {
    fn drop(&mut self) {
        // Joins the parser; what it has staged is dropped here and so removed.
        let _ = self.join();
    }
}

impl io::Write for LayerSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LayerSink::write(self, bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
