//! Giving a staged layer its name.
//!
//! ```text
//! 1 sync layer.tar, layer.erofs     the bytes are durable
//! 2 sync the staged folder          … and their names
//! 3 rename to layers/sha256/<hex>   the layer exists, complete, or not at all
//! 4 sync layers/sha256              … durably
//! 5 insert the row                  the layer is found
//! ```
//!
//! A crash before 3 leaves a staged folder that is swept; between 3 and 5 a folder without a row, which the
//! next commit of the same layer or a check adopts. A row without files cannot come from a crash.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use kiln_oci::DiffId;
use kiln_platform::durable::sync_dir;
use rusqlite::params;

use crate::database::{Column, now};
use crate::error::{Error, IoContext, Result};
use crate::layer::LayerRecord;
use crate::layer::stage::{StagedFolder, StagedLayer};
use crate::layout::{INDEX, TAR};
use crate::store::Store;

impl StagedLayer {
    /// Moves the layer into the store; a layer that is there already stays and the staged copy is dropped.
    pub fn commit(self, store: &Store, expected: Option<DiffId>) -> Result<LayerRecord> {
        let found = self.tar.diff_id;
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(Error::DigestMismatch {
                expected: expected.0,
                found: found.0,
            });
        }
        if let Some(record) = store.find_layer(found)?.filter(is_complete) {
            return Ok(record);
        }
        let StagedLayer {
            folder,
            tar,
            index,
            index_size,
        } = self;
        let record = store.record_of(found, tar.size, index_size);
        sync(&folder, tar.file, index)?;
        let target = store.layout().layer(found);
        if !rename(&folder, &target)? && !is_complete(&record) {
            replace(&folder, &target)?;
        }
        let parent = store.layout().layers();
        sync_dir(&parent).at("sync", &parent)?;
        store.insert_layer(&record)?;
        Ok(record)
    }
}

/// Makes the staged files durable, both at once since a journal takes them in one go, and closes them:
/// Windows does not rename a folder while a file in it is open.
fn sync(folder: &StagedFolder, tar: File, index: File) -> Result<()> {
    let (tar_synced, index_synced) = std::thread::scope(|scope| {
        let syncing = scope.spawn(move || tar.sync_all());
        let index_synced = index.sync_all();
        let tar_synced = syncing.join();
        (
            tar_synced.unwrap_or(Err(io::ErrorKind::BrokenPipe.into())),
            index_synced,
        )
    });
    tar_synced.at("sync", &folder.tar())?;
    index_synced.at("sync", &folder.index())?;
    sync_dir(folder.path()).at("sync", folder.path())
}

/// Gives the staged folder its name. False if something has that name already.
fn rename(folder: &StagedFolder, target: &Path) -> Result<bool> {
    match fs::rename(folder.path(), target) {
        Ok(()) => Ok(true),
        Err(_) if target.exists() => Ok(false),
        Err(error) => Err(Error::io("create", target, error)),
    }
}

/// Puts this copy in the place of a damaged one.
fn replace(folder: &StagedFolder, target: &Path) -> Result<()> {
    let damaged = folder.path().with_extension("damaged");
    fs::rename(target, &damaged).at("move away", target)?;
    let renamed = rename(folder, target);
    // It lies in the run folder; what cannot be removed now is swept later.
    let _ = fs::remove_dir_all(&damaged);
    // False means that another process has put a fresh copy there: as good as ours.
    renamed.map(drop)
}

/// Whether the files are there with the lengths they should have. Their content is what `check` is for.
fn is_complete(record: &LayerRecord) -> bool {
    let length = |path: &Path| fs::metadata(path).map(|metadata| metadata.len()).ok();
    length(&record.tar_path) == Some(record.tar_size)
        && length(&record.index_path) == Some(record.index_size)
}

impl Store {
    pub(crate) fn insert_layer(&self, record: &LayerRecord) -> Result<()> {
        let insert = "INSERT INTO layers (diff_id, tar_size, index_size, created) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (diff_id) DO UPDATE SET tar_size = excluded.tar_size, index_size = excluded.index_size";
        let column = Column::from(record.diff_id);
        self.database().execute(
            insert,
            params![column, record.tar_size, record.index_size, now()],
        )?;
        Ok(())
    }

    /// Sizes of a layer's files as they are on disk.
    pub(crate) fn measure_layer(&self, diff_id: DiffId) -> Result<LayerRecord> {
        let folder = self.layout().layer(diff_id);
        let length = |name: &str| {
            let path = folder.join(name);
            File::open(&path)
                .and_then(|file| Ok(file.metadata()?.len()))
                .at("inspect", &path)
        };
        Ok(self.record_of(diff_id, length(TAR)?, length(INDEX)?))
    }
}
