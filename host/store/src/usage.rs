//! What takes room, by kind.

use kiln_oci::DiffId;
use kiln_platform::disk_space;

use crate::database::Column;
use crate::error::Result;
use crate::removal::occupied_tree;
use crate::store::Store;

/// Room taken by one kind of thing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageOf {
    /// How many there are.
    pub count: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes that a prune could give back without touching anything that has a name.
    pub reclaimable: u64,
}

/// Room taken by the store. Every byte is counted once: a layer that images use is theirs, one that only the
/// build cache uses is the cache's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Images and the layers they stand on.
    pub images: UsageOf,
    /// Cache records and the layers only they hold.
    pub build_cache: UsageOf,
    /// Compressed layers.
    pub blobs: UsageOf,
    /// Build logs.
    pub logs: UsageOf,
    /// Database, staged files and what other parts remember.
    pub other: UsageOf,
}

impl Usage {
    /// All bytes.
    pub fn total(&self) -> u64 {
        let kinds = [
            self.images,
            self.build_cache,
            self.blobs,
            self.logs,
            self.other,
        ];
        kinds.iter().map(|kind| kind.bytes).sum()
    }

    /// All bytes that can be given back.
    pub fn reclaimable(&self) -> u64 {
        let kinds = [
            self.images,
            self.build_cache,
            self.blobs,
            self.logs,
            self.other,
        ];
        kinds.iter().map(|kind| kind.reclaimable).sum()
    }
}

impl Store {
    /// Measures the store.
    pub fn df(&self) -> Result<Usage> {
        let layout = self.layout();
        let mut usage = Usage::default();
        for layer in self.layers_by_owner()? {
            let bytes = occupied_tree(&layout.layer(layer.diff_id));
            let kind = if layer.in_image {
                &mut usage.images
            } else {
                &mut usage.build_cache
            };
            kind.bytes += bytes;
            if !layer.in_named_image {
                kind.reclaimable += bytes;
            }
        }
        usage.images.count = self.count("SELECT count(*) FROM images")?;
        usage.build_cache.count = self.count("SELECT count(*) FROM cache")?;
        let blobs = occupied_tree(&layout.blobs());
        usage.blobs = UsageOf {
            count: self.count("SELECT count(*) FROM blobs")?,
            bytes: blobs,
            reclaimable: blobs,
        };
        let logs = occupied_tree(&layout.logs());
        let count = std::fs::read_dir(layout.logs()).map_or(0, |entries| entries.count() as u64);
        usage.logs = UsageOf {
            count,
            bytes: logs,
            reclaimable: 0,
        };
        usage.other.bytes = self.other_bytes();
        Ok(usage)
    }

    fn other_bytes(&self) -> u64 {
        let layout = self.layout();
        let top = std::fs::read_dir(layout.root()).into_iter().flatten();
        let files = top
            .filter_map(|entry| entry.ok()?.metadata().ok())
            .filter(std::fs::Metadata::is_file);
        let folders = [layout.run(), layout.context(), layout.cache()];
        files
            .map(|metadata| disk_space::occupied(&metadata))
            .sum::<u64>()
            + folders
                .iter()
                .map(|folder| occupied_tree(folder))
                .sum::<u64>()
    }

    fn count(&self, query: &str) -> Result<u64> {
        Ok(self.database().query_row(query, [], |row| row.get(0))?)
    }

    fn layers_by_owner(&self) -> Result<Vec<OwnedLayer>> {
        let database = self.database();
        let mut query = database.prepare(
            "SELECT diff_id,
                    diff_id IN (SELECT diff_id FROM image_layers),
                    diff_id IN (SELECT diff_id FROM image_layers JOIN names USING (image_id))
             FROM layers",
        )?;
        let rows = query.query_map([], |row| {
            Ok(OwnedLayer {
                diff_id: DiffId(row.get::<_, Column>(0)?.0),
                in_image: row.get(1)?,
                in_named_image: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

struct OwnedLayer {
    diff_id: DiffId,
    in_image: bool,
    in_named_image: bool,
}
