//! Verifying the store: every byte is hashed again, every record compared with what is on disk.
//!
//! Found                        | Repair
//! -----------------------------|------------------------------------------------------------
//! layer row without files      | row and its cache records removed
//! layer whose tar is damaged   | the same, and the files removed
//! index differs from its tar's | index written anew
//! layer files without a row    | row added if they are sound, else files removed
//! blob damaged or missing      | row and file removed
//! blob file without a row      | file removed
//! image with a layer missing   | image and its names removed
//!
//! Without repair nothing is changed, and builds may run meanwhile. Sound files without a row are then no problem
//! but counted as unfinished: a commit that was cut short, or that goes on, leaves them.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use kiln_layer::Limits;
use kiln_oci::{DiffId, Digest, Hasher, ImageName};
use rusqlite::params;

use crate::database::Column;
use crate::error::{Error, IoContext, Result};
use crate::images::ImageId;
use crate::layer::{finish_index, index_tar};
use crate::lease::Lease;
use crate::removal::{recorded, remove_tree};
use crate::store::Store;

/// Threads that hash; more would only make the disk seek.
const MAX_WORKERS: usize = 4;
const BUFFER_LEN: usize = 256 * 1024;

/// What a check found.
#[derive(Debug, Default)]
pub struct CheckReport {
    /// Layers hashed.
    pub layers: u64,
    /// Blobs hashed.
    pub blobs: u64,
    /// Images looked at.
    pub images: u64,
    /// Layers and blobs that are whole but not recorded: their commit was cut short, or goes on. The next one
    /// of the same content takes them in, and a prune removes them.
    pub unfinished: u64,
    /// What is wrong, and what was done about it.
    pub problems: Vec<(Problem, Repair)>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A layer is recorded and its files are not there.
    #[error("layer {diff_id} is recorded, but its files are missing")]
    LayerMissing {
        /// The layer.
        diff_id: DiffId,
    },
    /// A layer's tar does not have the digest it is named by, or is no tar.
    #[error("layer {diff_id} is damaged")]
    LayerDamaged {
        /// The layer.
        diff_id: DiffId,
    },
    /// A layer's index is not the one its tar gives.
    #[error("the index of layer {diff_id} is damaged or out of date")]
    IndexDamaged {
        /// The layer.
        diff_id: DiffId,
    },
    /// A layer's files are there without a record.
    #[error("layer {diff_id} is not recorded")]
    LayerUnrecorded {
        /// The layer.
        diff_id: DiffId,
    },
    /// A blob is recorded and missing, or does not have its digest.
    #[error("blob {digest} is damaged or missing")]
    BlobDamaged {
        /// The blob.
        digest: Digest,
    },
    /// Something lies in the store that has no business there.
    #[error("unexpected file {name}")]
    Stray {
        /// Its name.
        name: String,
    },
    /// An image lacks layers or its config is damaged.
    #[error("image {id} is incomplete")]
    ImageIncomplete {
        /// The image.
        id: Digest,
        /// Names it has.
        names: Vec<ImageName>,
    },
}

/// What was done about a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Nothing: the check was asked to look only.
    None,
    /// Records and files are gone; what they held will be made or fetched again.
    Removed,
    /// Made anew from sound data.
    Rebuilt,
    /// Taken into the records.
    Adopted,
}

impl Store {
    /// Hashes all content again and compares it with the records; mends what can be mended if `repair` is
    /// set, for which no build may be running.
    pub fn check(&self, repair: bool) -> Result<CheckReport> {
        // Shows others whom they wait for; a check that only looks needs no room for it.
        let _ = self.run_folder();
        let lease = if repair {
            Lease::try_exclusive(self)?
        } else {
            Lease::try_shared(self)?
        };
        crate::lease::sweep(self.layout());
        let mut report = CheckReport::default();
        self.check_layers(repair, &mut report)?;
        self.check_blobs(repair, &mut report)?;
        self.check_images(repair, &mut report)?;
        drop(lease);
        Ok(report)
    }

    fn check_layers(&self, repair: bool, report: &mut CheckReport) -> Result<()> {
        let known = recorded(&self.database(), "SELECT diff_id FROM layers")?;
        let mut names: Vec<String> = known.iter().cloned().collect();
        names.extend(
            list_names(&self.layout().layers())?
                .into_iter()
                .filter(|name| !known.contains(name)),
        );
        names.sort_unstable();
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Vec::new());
        let workers = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(MAX_WORKERS);
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let checked = self.check_layer(name, known.contains(name), repair);
                        found
                            .lock()
                            .unwrap_or_else(std::sync::PoisonError::into_inner)
                            .push((name, checked));
                    }
                });
            }
        });
        report.layers = names.len() as u64;
        let mut found = found
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        found.sort_unstable_by_key(|(name, _)| *name);
        for (_, checked) in found {
            match checked? {
                Some((Problem::LayerUnrecorded { .. }, Repair::None)) => report.unfinished += 1,
                checked => report.problems.extend(checked),
            }
        }
        Ok(())
    }

    fn check_layer(
        &self,
        name: &str,
        known: bool,
        repair: bool,
    ) -> Result<Option<(Problem, Repair)>> {
        let path = self.layout().layers().join(name);
        let Ok(diff_id) = Digest::from_hex(name).map(DiffId) else {
            let problem = Problem::Stray {
                name: name.to_owned(),
            };
            return self.mended(problem, repair, || {
                remove_tree(&path).map(|_| Repair::Removed)
            });
        };
        let state = self.inspect_layer(diff_id)?;
        let problem = match state {
            LayerState::Sound if known => return Ok(None),
            LayerState::Sound => Problem::LayerUnrecorded { diff_id },
            LayerState::IndexDamaged => Problem::IndexDamaged { diff_id },
            LayerState::Missing if known => Problem::LayerMissing { diff_id },
            LayerState::Missing | LayerState::Damaged => Problem::LayerDamaged { diff_id },
        };
        self.mended(problem, repair, || match state {
            LayerState::Sound => {
                self.insert_layer(&self.measure_layer(diff_id)?)?;
                Ok(Repair::Adopted)
            }
            LayerState::IndexDamaged => {
                self.rebuild_index(diff_id)?;
                Ok(Repair::Rebuilt)
            }
            LayerState::Missing | LayerState::Damaged => self.forget_layer(diff_id),
        })
    }

    fn mended(
        &self,
        problem: Problem,
        repair: bool,
        mend: impl FnOnce() -> Result<Repair>,
    ) -> Result<Option<(Problem, Repair)>> {
        let done = if repair { mend()? } else { Repair::None };
        Ok(Some((problem, done)))
    }

    /// Reads the whole tar and makes its index again.
    fn inspect_layer(&self, diff_id: DiffId) -> Result<LayerState> {
        let record = self.record_of(diff_id, 0, 0);
        let Ok(tar) = File::open(&record.tar_path) else {
            return Ok(LayerState::Missing);
        };
        let size = tar.metadata().at("inspect", &record.tar_path)?.len();
        let mut reader = HashingReader {
            inner: io::BufReader::with_capacity(BUFFER_LEN, &tar),
            hasher: Hasher::new(),
        };
        let built = index_tar(&mut reader, Limits::default());
        // A tar that does not parse may still be the one that was stored.
        if io::copy(&mut reader, &mut io::sink()).is_err() || reader.hasher.finish() != diff_id.0 {
            return Ok(LayerState::Damaged);
        }
        let mut index = Vec::new();
        let Ok(Ok(())) = built.map(|builder| finish_index(builder, &tar, size, &mut index)) else {
            return Ok(LayerState::Damaged);
        };
        let same = fs::read(&record.index_path).is_ok_and(|stored| stored == index);
        Ok(if same {
            LayerState::Sound
        } else {
            LayerState::IndexDamaged
        })
    }

    fn forget_layer(&self, diff_id: DiffId) -> Result<Repair> {
        {
            let mut database = self.database();
            let transaction = database.transaction()?;
            for table in ["layers", "cache", "compressed"] {
                transaction.execute(
                    &format!("DELETE FROM {table} WHERE diff_id = ?1"),
                    [Column::from(diff_id)],
                )?;
            }
            transaction.commit()?;
        }
        remove_tree(&self.layout().layer(diff_id))?;
        Ok(Repair::Removed)
    }

    fn check_blobs(&self, repair: bool, report: &mut CheckReport) -> Result<()> {
        let known = recorded(&self.database(), "SELECT digest FROM blobs")?;
        let files = list_names(&self.layout().blobs())?;
        report.blobs = known.len() as u64;
        for name in files.iter().filter(|name| !known.contains(*name)) {
            let path = self.layout().blobs().join(name);
            if !repair && Digest::from_hex(name).is_ok_and(|digest| holds(&path, &digest)) {
                report.unfinished += 1;
                continue;
            }
            let problem = Problem::Stray { name: name.clone() };
            report.problems.extend(self.mended(problem, repair, || {
                remove_tree(&path).map(|_| Repair::Removed)
            })?);
        }
        for digest in known.iter().filter_map(|name| Digest::from_hex(name).ok()) {
            let path = self.layout().blob(&digest);
            if holds(&path, &digest) {
                continue;
            }
            let problem = Problem::BlobDamaged { digest };
            report.problems.extend(self.mended(problem, repair, || {
                self.database()
                    .execute("DELETE FROM blobs WHERE digest = ?1", [Column(digest)])?;
                remove_tree(&path).map(|_| Repair::Removed)
            })?);
        }
        Ok(())
    }

    /// Comes last: removing a layer makes images incomplete.
    fn check_images(&self, repair: bool, report: &mut CheckReport) -> Result<()> {
        let damaged: Vec<DiffId> = report
            .problems
            .iter()
            .filter_map(|(problem, _)| lost_layer(problem))
            .collect();
        let ids: Vec<ImageId> = {
            let database = self.database();
            let mut query = database.prepare("SELECT id FROM images ORDER BY id")?;
            let rows = query.query_map([], |row| Ok(ImageId(row.get::<_, Column>(0)?.0)))?;
            rows.collect::<rusqlite::Result<_>>()?
        };
        report.images = ids.len() as u64;
        for id in ids {
            if self.image_is_complete(id, &damaged)? {
                continue;
            }
            let names = crate::images::names_of(&self.database(), id)?;
            let problem = Problem::ImageIncomplete { id: id.0, names };
            report.problems.extend(self.mended(problem, repair, || {
                self.database()
                    .execute("DELETE FROM images WHERE id = ?1", params![Column(id.0)])?;
                Ok(Repair::Removed)
            })?);
        }
        Ok(())
    }

    fn image_is_complete(&self, id: ImageId, damaged: &[DiffId]) -> Result<bool> {
        let json = self.config_bytes(id)?;
        let config = match self.config(id) {
            Ok(config) if Digest::of(&json) == id.0 => config,
            Ok(_) | Err(Error::Config(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        for layer in &config.rootfs.diff_ids {
            if damaged.contains(layer) || !self.has_layer(*layer)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

enum LayerState {
    Sound,
    IndexDamaged,
    Damaged,
    Missing,
}

/// Whether the file has the content that its digest promises.
fn holds(path: &Path, digest: &Digest) -> bool {
    let mut hasher = Hasher::new();
    let read = File::open(path).and_then(|mut file| io::copy(&mut file, &mut hasher));
    read.is_ok() && hasher.finish() == *digest
}

fn lost_layer(problem: &Problem) -> Option<DiffId> {
    match problem {
        Problem::LayerMissing { diff_id } | Problem::LayerDamaged { diff_id } => Some(*diff_id),
        _ => None,
    }
}

fn list_names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).at("list", folder)?;
    entries
        .map(|entry| {
            Ok(entry
                .at("list", folder)?
                .file_name()
                .to_string_lossy()
                .into_owned())
        })
        .collect()
}

struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: io::Read> io::Read for HashingReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.hasher.update(&out[..read]);
        Ok(read)
    }
}
