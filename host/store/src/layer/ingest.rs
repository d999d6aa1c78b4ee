//! Layers that come from outside: pulled, loaded or sent by the guest. Nothing in them is believed.
//!
//! One pass: the parser reads the stream while the same bytes are hashed and written. A stream that is not
//! a tar, too large, or not what was expected leaves nothing behind.

use std::io::Read;

use kiln_erofs::IndexBuilder;
use kiln_layer::{Limits, TarReader};
use kiln_oci::DiffId;

use crate::error::{Error, Result};
use crate::layer::LayerRecord;
use crate::layer::piece_reader::{PieceReader, PieceSource, StreamSource};
use crate::layer::stage::{StagedFolder, StagedLayer};
use crate::layer::tar_file::{BufferPool, TarFile};
use crate::store::Store;

/// Most that a layer from outside may hold.
#[derive(Debug, Clone, Copy)]
pub struct IngestLimits {
    /// Bytes of uncompressed tar, holes included. The default is far above any real layer and still takes
    /// minutes, not days, to hash.
    pub bytes: u64,
    /// What the tar's headers may ask for. Its entries bound the index, which is made in memory.
    pub tar: Limits,
}

impl Default for IngestLimits {
    fn default() -> IngestLimits {
        IngestLimits {
            bytes: 256 << 30,
            tar: Limits::default(),
        }
    }
}

impl From<Limits> for IngestLimits {
    fn from(tar: Limits) -> IngestLimits {
        IngestLimits {
            tar,
            ..IngestLimits::default()
        }
    }
}

impl Store {
    /// Stores a layer read from `reader`, an uncompressed tar; its diff id must be `expected`, if given.
    pub fn ingest_layer(
        &self,
        reader: impl Read,
        expected: Option<DiffId>,
        limits: impl Into<IngestLimits>,
    ) -> Result<LayerRecord> {
        let limits = limits.into();
        let pool = BufferPool::default();
        let source = StreamSource::new(reader, pool.clone());
        ingest(self, source, pool, limits)?.commit(self, expected)
    }
}

/// Parses, hashes and writes; the caller commits.
pub(crate) fn ingest<S: PieceSource>(
    store: &Store,
    source: S,
    pool: BufferPool,
    limits: IngestLimits,
) -> Result<StagedLayer> {
    let folder = StagedFolder::create(store)?;
    let path = folder.tar();
    let file = TarFile::create(&path, pool)?;
    let mut reader = PieceReader::new(source, file, limits.bytes);
    let parsed = index_tar(&mut reader, limits.tar);
    let file = reader.into_file(&path)?;
    let index = parsed?;
    let finished = file.finish(&path)?;
    StagedLayer::complete(folder, finished, index)
}

/// Reads a whole tar, to the last byte behind its end marker, and collects its index.
pub(crate) fn index_tar(reader: impl Read, limits: Limits) -> Result<IndexBuilder> {
    let mut tar = TarReader::new(reader, limits);
    let mut index = IndexBuilder::new();
    while let Some(found) = tar.next_entry().map_err(Error::Tar)? {
        index
            .add(&found.entry, found.data_offset, found.sparse.as_deref())
            .map_err(Error::Index)?;
    }
    tar.finish_reading().map_err(Error::Tar)?;
    Ok(index)
}
