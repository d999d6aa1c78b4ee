//! Index files: writing, reading, and making one anew from its tar.
//!
//! An index holds nothing that its tar does not say, so one that is damaged or of an older form is no loss.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, PoisonError};

use kiln_erofs::{BuildError, Index, IndexBuilder};
use kiln_layer::Limits;
use kiln_oci::DiffId;

use crate::error::{Error, IoContext, Result};
use crate::layer::index_tar;
use crate::store::Store;

const BUFFER_LEN: usize = 256 * 1024;

impl Store {
    /// A layer's index, read once per process. One that does not parse is made anew.
    pub fn read_index(&self, diff_id: DiffId) -> Result<Arc<Index>> {
        if let Some(index) = self
            .indexes()
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&diff_id)
        {
            return Ok(Arc::clone(index));
        }
        let path = self.layer(diff_id)?.index_path;
        let index = match read(&path) {
            Ok(index) => index,
            Err(_) => {
                self.rebuild_index(diff_id)?;
                read(&path)?
            }
        };
        let index = Arc::new(index);
        let mut indexes = self
            .indexes()
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        indexes.insert(diff_id, Arc::clone(&index));
        Ok(index)
    }

    /// Makes a layer's index from its tar and puts it in the place of the one there.
    pub(crate) fn rebuild_index(&self, diff_id: DiffId) -> Result<()> {
        let record = self.record_of(diff_id, 0, 0);
        let tar = File::open(&record.tar_path).at("open", &record.tar_path)?;
        let size = tar.metadata().at("inspect", &record.tar_path)?.len();
        let reader = BufReader::with_capacity(BUFFER_LEN, &tar);
        let builder = index_tar(reader, Limits::default())?;
        let staged = self.run_folder()?.path().join(self.next_staging_name());
        let (file, _) = write_index(&staged, builder, &tar, size)?;
        file.sync_all().at("sync", &staged)?;
        drop(file);
        fs::rename(&staged, &record.index_path).at("replace", &record.index_path)?;
        self.insert_layer(&self.measure_layer(diff_id)?)
    }
}

fn read(path: &Path) -> Result<Index> {
    let bytes = fs::read(path).at("read", path)?;
    Index::parse(bytes).map_err(|source| Error::DamagedIndex {
        path: path.to_owned(),
        source,
    })
}

/// Writes a new index file for a finished tar; gives it back with its length.
pub(super) fn write_index(
    path: &Path,
    builder: IndexBuilder,
    tar: &File,
    tar_size: u64,
) -> Result<(File, u64)> {
    let file = File::create_new(path).at("create", path)?;
    let mut out = BufWriter::with_capacity(BUFFER_LEN, file);
    finish_index(builder, tar, tar_size, &mut out).map_err(|error| index_error(error, path))?;
    let file = out
        .into_inner()
        .map_err(|error| Error::io("write", path, error.into_error()))?;
    let length = file.metadata().at("inspect", path)?.len();
    Ok((file, length))
}

/// Writes an index to any writer. Data that the index must hold itself are read from the tar again.
pub(crate) fn finish_index(
    builder: IndexBuilder,
    mut tar: &File,
    tar_size: u64,
    out: &mut impl Write,
) -> Result<(), BuildError> {
    let mut read_at = |offset: u64, buffer: &mut [u8]| {
        tar.seek(SeekFrom::Start(offset))?;
        tar.read_exact(buffer)
    };
    builder.finish_with_data(tar_size, &mut read_at, out)
}

/// A full disk is not the layer's fault.
fn index_error(error: BuildError, path: &Path) -> Error {
    match error {
        BuildError::Io(error) => Error::io("write", path, error),
        error => Error::Index(error),
    }
}
