//! Staging: a layer's folder before it has its name.
//!
//! Invariant: whatever is not committed is removed, by drop or, after a crash, by the next sweep.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_erofs::IndexBuilder;

use crate::error::{IoContext, Result};
use crate::layer::index::write_index;
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
        let lease = Lease::shared(store)?;
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
    // The order matters: on Windows a folder is not removed while a file in it is open.
    pub tar: FinishedTar,
    pub index: File,
    pub index_size: u64,
    pub folder: StagedFolder,
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
