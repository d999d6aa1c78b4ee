//! Staging: a layer's folder before it has its name.
//!
//! Invariant: whatever is not committed is removed, by drop or, after a crash, by the next sweep.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_erofs::{BuildError, IndexBuilder};

use crate::error::{Error, IoContext, Result};
use crate::layer::tar_file::FinishedTar;
use crate::layout::{INDEX, TAR};
use crate::lease::{Lease, RunFolder};
use crate::store::Store;

/// A folder in the process's staging area.
pub(crate) struct StagedFolder {
    path: PathBuf,
    /// The staging area stays as long as something is staged in it.
    _run: Arc<RunFolder>,
    /// No layer this one depends on, nor itself once committed, is removed meanwhile.
    _lease: Lease,
}

impl StagedFolder {
    pub fn create(store: &Store) -> Result<StagedFolder> {
        let run = store.run_folder()?;
        let path = run.path().join(store.next_staging_name());
        fs::create_dir(&path).at("create", &path)?;
        let lease = Lease::shared(store.layout())?;
        Ok(StagedFolder {
            path,
            _run: run,
            _lease: lease,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn tar(&self) -> PathBuf {
        self.path.join(TAR)
    }

    pub fn index(&self) -> PathBuf {
        self.path.join(INDEX)
    }
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        // After a commit there is nothing left here; what cannot be removed now is swept later.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A complete layer that has no name yet.
pub(crate) struct StagedLayer {
    pub folder: StagedFolder,
    pub tar: FinishedTar,
    pub index: File,
    pub index_size: u64,
}

impl StagedLayer {
    /// Writes the index beside the finished tar.
    pub fn complete(
        folder: StagedFolder,
        tar: FinishedTar,
        builder: IndexBuilder,
    ) -> Result<StagedLayer> {
        let (index, index_size) = write_index(&folder.index(), builder, &tar.file, tar.size)?;
        Ok(StagedLayer {
            folder,
            tar,
            index,
            index_size,
        })
    }
}

/// Writes a new index file for a finished tar; gives it back with its length.
pub(crate) fn write_index(
    path: &Path,
    builder: IndexBuilder,
    tar: &File,
    tar_size: u64,
) -> Result<(File, u64)> {
    let file = File::create_new(path).at("create", path)?;
    let mut out = BufWriter::with_capacity(256 * 1024, file);
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
pub(crate) fn index_error(error: BuildError, path: &Path) -> Error {
    match error {
        BuildError::Io(error) => Error::io("write", path, error),
        error => Error::Index(error),
    }
}
