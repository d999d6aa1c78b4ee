//! Layers made on the host: entries in, a committed layer out.

use std::io::Read;
use std::path::Path;

use kiln_erofs::IndexBuilder;
use kiln_layer::{Entry, TarError, TarWriter};

use crate::error::{Error, Result};
use crate::layer::LayerRecord;
use crate::layer::stage::{StagedFolder, StagedLayer};
use crate::layer::tar_file::{BufferPool, TarFile};
use crate::store::Store;

/// Writes one layer: tar, digest and index in one pass. Dropped before [`LayerWriter::commit`], it leaves nothing.
pub struct LayerWriter {
    // The order matters: the worker must end before its folder is removed.
    tar: TarWriter<TarFile>,
    index: IndexBuilder,
    folder: StagedFolder,
    store: Store,
}

impl Store {
    /// Starts a layer.
    pub fn begin_layer(&self) -> Result<LayerWriter> {
        let folder = StagedFolder::create(self)?;
        let tar = TarFile::create(&folder.tar(), BufferPool::default())?;
        Ok(LayerWriter {
            tar: TarWriter::new(tar),
            index: IndexBuilder::new(),
            folder,
            store: self.clone(),
        })
    }
}

impl LayerWriter {
    /// Appends an entry, whose `data` must give exactly the bytes that a file's size says.
    pub fn append(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<()> {
        let offset = self
            .tar
            .append(entry, data)
            .map_err(|error| self.tar_error(error))?;
        self.index.add(entry, offset, None).map_err(Error::Index)
    }

    /// Length of the tar so far.
    pub fn position(&self) -> u64 {
        self.tar.position()
    }

    /// Makes the layer part of the store.
    pub fn commit(self) -> Result<LayerRecord> {
        let LayerWriter {
            tar,
            index,
            folder,
            store,
        } = self;
        let path = folder.tar();
        let file = tar.finish().map_err(|error| tar_error(error, &path))?;
        let finished = file.finish(&path)?;
        StagedLayer::complete(folder, finished, index)?.commit(&store, None)
    }

    fn tar_error(&self, error: TarError) -> Error {
        tar_error(error, &self.folder.tar())
    }
}

/// The disk's errors are told apart from those of the data: both come as I/O errors from the tar writer.
fn tar_error(error: TarError, path: &Path) -> Error {
    match error {
        TarError::Io(error) if kiln_platform::disk_space::is_full(&error) => {
            Error::io("write", path, error)
        }
        TarError::Io(error) => Error::Incoming(error),
        error => Error::Tar(error),
    }
}
