//! Layers: their uncompressed tars, their indexes, and the ways into the store.
//!
//! Invariant: a folder in `layers/sha256/` is complete, durable and named by the digest of its tar from the
//! moment its name exists. Nothing in it changes afterwards.

mod commit;
mod index;
mod ingest;
mod piece_reader;
mod sink;
mod stage;
mod tar_file;
mod writer;

use std::fs::File;
use std::path::PathBuf;

use kiln_oci::DiffId;
use rusqlite::OptionalExtension;

use crate::database::Column;
use crate::error::{Error, IoContext, Result};
use crate::layout::{INDEX, TAR};
use crate::store::Store;

pub(crate) use index::finish_index;
pub use ingest::IngestLimits;
pub(crate) use ingest::index_tar;
pub use sink::LayerSink;
pub use writer::LayerWriter;

/// A layer in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRecord {
    /// Digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// The tar.
    pub tar_path: PathBuf,
    /// Its EROFS index.
    pub index_path: PathBuf,
    /// Length of the tar.
    pub tar_size: u64,
    /// Length of the index.
    pub index_size: u64,
}

impl Store {
    /// Whether the store has a layer.
    pub fn has_layer(&self, diff_id: DiffId) -> Result<bool> {
        Ok(self.find_layer(diff_id)?.is_some())
    }

    /// A layer's files.
    pub fn layer(&self, diff_id: DiffId) -> Result<LayerRecord> {
        self.find_layer(diff_id)?
            .ok_or(Error::MissingLayer { diff_id })
    }

    fn find_layer(&self, diff_id: DiffId) -> Result<Option<LayerRecord>> {
        let database = self.database();
        let mut query = database
            .prepare_cached("SELECT tar_size, index_size FROM layers WHERE diff_id = ?1")?;
        let sizes = query
            .query_row([Column::from(diff_id)], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        Ok(sizes.map(|(tar_size, index_size)| self.record_of(diff_id, tar_size, index_size)))
    }

    pub(crate) fn record_of(&self, diff_id: DiffId, tar_size: u64, index_size: u64) -> LayerRecord {
        let folder = self.layout().layer(diff_id);
        LayerRecord {
            diff_id,
            tar_path: folder.join(TAR),
            index_path: folder.join(INDEX),
            tar_size,
            index_size,
        }
    }

    /// Opens a layer's tar for reading.
    pub fn open_layer_tar(&self, diff_id: DiffId) -> Result<File> {
        let path = self.layer(diff_id)?.tar_path;
        File::open(&path).at("open", &path)
    }
}
