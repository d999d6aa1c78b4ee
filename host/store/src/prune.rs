//! Making room: what nobody needs any more goes, oldest first where a limit says so.
//!
//! Order of eviction under a cap: blobs, which can be made again from layers, then cache records that were
//! not used for longest. Images that have a name never go unless asked for.

use std::fs;
use std::time::{Duration, SystemTime};

use kiln_oci::{DiffId, Digest};
use rusqlite::{OptionalExtension, params};

use crate::database::{Column, now};
use crate::error::{IoContext, Result};
use crate::images::ImageId;
use crate::lease::Lease;
use crate::removal::remove_tree;
use crate::store::Store;

/// Logs and stat indexes that were not written for so long go with every prune.
const STALE_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

/// What to remove.
#[derive(Debug, Clone)]
pub struct PruneOptions {
    /// Images without a name.
    pub dangling_images: bool,
    /// Images with a name too.
    pub named_images: bool,
    /// Cache records that were not used for so long; zero means all of them.
    pub cache_unused_for: Option<Duration>,
    /// All that is merely remembered: compressed layers, and what other parts keep in the cache folder.
    pub blobs: bool,
    /// Evict until the store takes no more than so many bytes.
    pub cap: Option<u64>,
    /// Wait for running builds instead of failing with [`crate::Error::LockBusy`].
    pub wait: bool,
}

impl Default for PruneOptions {
    fn default() -> PruneOptions {
        PruneOptions {
            dangling_images: true,
            named_images: false,
            cache_unused_for: None,
            blobs: false,
            cap: None,
            wait: false,
        }
    }
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Images.
    pub images: Vec<ImageId>,
    /// Layers.
    pub layers: Vec<DiffId>,
    /// Records of the build cache.
    pub cache_records: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes given back to the disk.
    pub bytes: u64,
}

impl Store {
    /// Removes what the options say and what nothing refers to.
    pub fn prune(&self, options: &PruneOptions) -> Result<Pruned> {
        // Shows others whom they wait for; on a full disk it fails, and pruning must not.
        let _ = self.run_folder();
        let exclusive = if options.wait {
            Lease::exclusive(self)?
        } else {
            Lease::try_exclusive(self)?
        };
        crate::lease::sweep(self.layout());
        // Uses noted in this process count too.
        let used = std::mem::take(&mut *self.used());
        crate::cache::mark_used(&mut self.database(), &used)?;
        let mut pruned = Pruned {
            images: self.remove_images(options)?,
            ..Pruned::default()
        };
        if let Some(age) = options.cache_unused_for {
            pruned.cache_records = self.remove_cache_unused_for(age)?;
        }
        self.remove_blobs(options.blobs, &mut pruned)?;
        self.sweep_up(&exclusive, &mut pruned)?;
        pruned.bytes += self.remove_stale_files()?;
        if options.blobs {
            pruned.bytes += remove_tree(&self.layout().cache())?;
        }
        if let Some(cap) = options.cap {
            self.evict(cap, &exclusive, &mut pruned)?;
        }
        Ok(pruned)
    }

    fn sweep_up(&self, exclusive: &Lease, pruned: &mut Pruned) -> Result<()> {
        let (layers, bytes) = self.remove_unused_layers(exclusive)?;
        pruned.layers.extend(layers);
        pruned.bytes += bytes + self.remove_unrecorded_files(exclusive)?;
        Ok(())
    }

    fn remove_images(&self, options: &PruneOptions) -> Result<Vec<ImageId>> {
        let condition = match (options.dangling_images, options.named_images) {
            (_, true) => "1",
            (true, false) => "id NOT IN (SELECT image_id FROM names)",
            (false, false) => return Ok(Vec::new()),
        };
        let database = self.database();
        let mut delete = database.prepare(&format!(
            "DELETE FROM images WHERE {condition} RETURNING id"
        ))?;
        let ids = delete.query_map([], |row| Ok(ImageId(row.get::<_, Column>(0)?.0)))?;
        Ok(ids.collect::<rusqlite::Result<_>>()?)
    }

    fn remove_cache_unused_for(&self, age: Duration) -> Result<u64> {
        let before = now().saturating_sub(age.as_secs().try_into().unwrap_or(i64::MAX));
        Ok(self
            .database()
            .execute("DELETE FROM cache WHERE last_used <= ?1", [before])? as u64)
    }

    /// Removes all blobs, or those that no remembered compression refers to.
    fn remove_blobs(&self, all: bool, pruned: &mut Pruned) -> Result<()> {
        let condition = if all {
            "1"
        } else {
            "digest NOT IN (SELECT digest FROM compressed)"
        };
        let digests = {
            let database = self.database();
            if all {
                database.execute("DELETE FROM compressed", [])?;
            }
            let mut delete = database.prepare(&format!(
                "DELETE FROM blobs WHERE {condition} RETURNING digest"
            ))?;
            let digests = delete.query_map([], |row| Ok(row.get::<_, Column>(0)?.0))?;
            digests.collect::<rusqlite::Result<Vec<Digest>>>()?
        };
        for digest in digests {
            pruned.bytes += remove_tree(&self.layout().blob(&digest))?;
            pruned.blobs += 1;
        }
        Ok(())
    }

    fn remove_stale_files(&self) -> Result<u64> {
        let mut bytes = 0;
        for folder in [self.layout().logs(), self.layout().context()] {
            for entry in fs::read_dir(&folder).at("list", &folder)? {
                let entry = entry.at("list", &folder)?;
                let modified = entry.metadata().and_then(|metadata| metadata.modified());
                let age = modified
                    .ok()
                    .and_then(|time| SystemTime::now().duration_since(time).ok());
                if age.is_some_and(|age| age > STALE_AGE) {
                    bytes += remove_tree(&entry.path())?;
                }
            }
        }
        Ok(bytes)
    }

    fn evict(&self, cap: u64, exclusive: &Lease, pruned: &mut Pruned) -> Result<()> {
        let mut total = self.df()?.total();
        if total > cap {
            let before = pruned.bytes;
            self.remove_blobs(true, pruned)?;
            total = total.saturating_sub(pruned.bytes - before);
        }
        while total > cap {
            let before = pruned.bytes;
            if !self.forget_least_recently_used()? {
                return Ok(());
            }
            pruned.cache_records += 1;
            let (layers, bytes) = self.remove_unused_layers(exclusive)?;
            pruned.layers.extend(layers);
            pruned.bytes += bytes;
            total = total.saturating_sub(pruned.bytes - before);
        }
        Ok(())
    }

    /// Of records used equally long ago the newest goes first: it is the furthest from the base.
    fn forget_least_recently_used(&self) -> Result<bool> {
        let database = self.database();
        let oldest = "SELECT key FROM cache ORDER BY last_used, created DESC LIMIT 1";
        let key = database
            .query_row(oldest, [], |row| row.get::<_, Column>(0))
            .optional()?;
        let Some(key) = key else { return Ok(false) };
        database.execute("DELETE FROM cache WHERE key = ?1", params![key])?;
        Ok(true)
    }
}
