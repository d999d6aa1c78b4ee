//! Removing images as `docker rmi` does, and removing files nothing refers to any more.
//!
//! Invariant: rows go first, in one transaction, files after it; and files only under the exclusive store
//! lock. A crash between the two leaves files without rows, which the next removal takes along.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use kiln_oci::{DiffId, ImageName};
use kiln_platform::disk_space;
use rusqlite::{Connection, TransactionBehavior};

use crate::database::Column;
use crate::error::{Error, IoContext, Result};
use crate::images::{ImageId, names_of};
use crate::lease::Lease;
use crate::reference::Reference;
use crate::store::Store;

/// What removing an image did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Names taken away.
    pub untagged: Vec<ImageName>,
    /// The image, if nothing names it any more.
    pub deleted: Option<ImageId>,
    /// Layers removed from disk: neither another image nor the build cache uses them.
    pub layers: Vec<DiffId>,
    /// Bytes given back to the disk.
    pub bytes: u64,
}

impl Store {
    /// Removes what `reference` stands for: a name is taken away, and the image with it when that was its
    /// last; an id stands for the image, which must not have several names unless `force` is set.
    pub fn remove_image(&self, reference: &str, force: bool) -> Result<Removed> {
        let found = self.resolve_reference(reference)?;
        let id = found.id();
        let mut removed = Removed::default();
        let mut database = self.database();
        let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let names = names_of(&transaction, id)?;
        removed.untagged = match found {
            Reference::Name(name, _) => vec![stored_spelling(&names, name)],
            Reference::Id(_) if names.len() > 1 && !force => {
                let names = names.iter().map(ImageName::familiar).collect();
                return Err(Error::NamedSeveralTimes { id: id.0, names });
            }
            Reference::Id(_) => names.clone(),
        };
        for name in &removed.untagged {
            transaction.execute("DELETE FROM names WHERE name = ?1", [name.to_string()])?;
        }
        if removed.untagged.len() >= names.len() {
            transaction.execute("DELETE FROM images WHERE id = ?1", [Column(id.0)])?;
            removed.deleted = Some(id);
        }
        transaction.commit()?;
        drop(database);
        if removed.deleted.is_some() {
            self.free_layers(&mut removed)?;
        }
        Ok(removed)
    }

    /// While builds run, layers stay for the next prune.
    fn free_layers(&self, removed: &mut Removed) -> Result<()> {
        match Lease::try_exclusive(self) {
            Ok(lease) => (removed.layers, removed.bytes) = self.remove_unused_layers(&lease)?,
            Err(Error::LockBusy { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Removes layers that neither an image nor the cache uses. `_exclusive` proves that nobody else looks.
    pub(crate) fn remove_unused_layers(&self, _exclusive: &Lease) -> Result<(Vec<DiffId>, u64)> {
        let unused = {
            let mut database = self.database();
            let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let unused = unused_layers(&transaction)?;
            for layer in &unused {
                transaction.execute(
                    "DELETE FROM layers WHERE diff_id = ?1",
                    [Column::from(*layer)],
                )?;
                transaction.execute(
                    "DELETE FROM compressed WHERE diff_id = ?1",
                    [Column::from(*layer)],
                )?;
            }
            transaction.commit()?;
            unused
        };
        let mut bytes = 0;
        for layer in &unused {
            bytes += remove_tree(&self.layout().layer(*layer))?;
        }
        Ok((unused, bytes))
    }

    /// Removes layer folders and blobs that have no row; gives the bytes they held.
    pub(crate) fn remove_unrecorded_files(&self, _exclusive: &Lease) -> Result<u64> {
        let mut bytes = 0;
        for (folder, query) in [
            (self.layout().layers(), "SELECT diff_id FROM layers"),
            (self.layout().blobs(), "SELECT digest FROM blobs"),
        ] {
            let known = recorded(&self.database(), query)?;
            for entry in fs::read_dir(&folder).at("list", &folder)? {
                let entry = entry.at("list", &folder)?;
                if !entry
                    .file_name()
                    .to_str()
                    .is_some_and(|name| known.contains(name))
                {
                    bytes += remove_tree(&entry.path())?;
                }
            }
        }
        Ok(bytes)
    }
}

/// A name with tag and digest may be stored by its digest alone.
fn stored_spelling(names: &[ImageName], name: ImageName) -> ImageName {
    if names.contains(&name) {
        name
    } else {
        ImageName { tag: None, ..name }
    }
}

fn unused_layers(database: &Connection) -> Result<Vec<DiffId>> {
    let mut query = database.prepare(
        "SELECT diff_id FROM layers
         WHERE diff_id NOT IN (SELECT diff_id FROM image_layers)
           AND diff_id NOT IN (SELECT diff_id FROM cache WHERE diff_id IS NOT NULL)",
    )?;
    let rows = query.query_map([], |row| Ok(DiffId(row.get::<_, Column>(0)?.0)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The file names that a column of digests stands for.
pub(crate) fn recorded(database: &Connection, query: &str) -> Result<HashSet<String>> {
    let mut query = database.prepare(query)?;
    let rows = query.query_map([], |row| Ok(row.get::<_, Column>(0)?.0.hex()))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Removes a file or folder; gives the bytes it held on disk. One that is gone held none.
pub(crate) fn remove_tree(path: &Path) -> Result<u64> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(Error::io("inspect", path, error)),
    };
    if !metadata.is_dir() {
        fs::remove_file(path).at("remove", path)?;
        return Ok(disk_space::occupied(&metadata));
    }
    let bytes = occupied_tree(path);
    fs::remove_dir_all(path).at("remove", path)?;
    Ok(bytes)
}

/// Bytes that a folder's files hold on disk. Files that vanish meanwhile hold none.
pub(crate) fn occupied_tree(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return 0;
    };
    let sizes = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let metadata = entry.metadata().ok()?;
        let is_dir = metadata.is_dir();
        Some(if is_dir {
            occupied_tree(&entry.path())
        } else {
            disk_space::occupied(&metadata)
        })
    });
    sizes.sum()
}
