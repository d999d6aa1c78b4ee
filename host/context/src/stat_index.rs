//! The memory of file digests: one file for all contexts of a user.
//!
//! A lookup touches one bucket; nothing is unpacked. Every record carries its own check, so a torn or zeroed file is
//! only forgotten digests. Files with extended attributes that matter are not remembered. Writers replace the whole
//! file by rename and the last one wins, after taking over what is on disk by then.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::digest::FileDigest;
use crate::metadata::{Identity, Time};
use crate::stat_table::{MAX_RECORDS, Record, Table, encode};

/// Records that no build asked for in so many days are dropped.
const KEEP_DAYS: u32 = 60;
/// Times from the kernel's clock may lag by one tick, 10 ms at most.
const TICK_NANOS: i128 = 100_000_000;
/// Times without a fraction may come from a file system that has only even seconds.
const COARSE_NANOS: i128 = 2_100_000_000;

/// Digests that earlier builds computed, by identity of the file.
#[derive(Debug)]
pub struct StatIndex {
    path: PathBuf,
    table: Table,
    used: Vec<AtomicU64>,
    fresh: Mutex<HashMap<(u64, u64), Record>>,
}

impl StatIndex {
    /// Open the index at `path`; a missing, foreign or broken one is empty.
    pub fn open(path: &Path) -> StatIndex {
        let table = Table::read(path);
        let used = (0..table.count.div_ceil(64))
            .map(|_| AtomicU64::new(0))
            .collect();
        StatIndex {
            path: path.to_path_buf(),
            table,
            used,
            fresh: Mutex::default(),
        }
    }

    /// The digest of a file that is still what it was.
    pub(crate) fn lookup(&self, identity: &Identity) -> Option<FileDigest> {
        let (index, record) = self.table.find(identity.device, identity.inode)?;
        if record.identity != *identity {
            return None;
        }
        self.used[index / 64].fetch_or(1 << (index % 64), Ordering::Relaxed);
        Some(record.digest)
    }

    /// Remember a digest, unless the file is so young that it could change again without showing it.
    pub(crate) fn remember(&self, identity: &Identity, digest: FileDigest, started: Time) {
        if !is_settled(identity, started) {
            return;
        }
        let record = Record {
            identity: *identity,
            day: today(),
            digest,
        };
        let mut fresh = self
            .fresh
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        fresh.insert((identity.device, identity.inode), record);
    }

    /// Write what was learned; nothing learned writes nothing.
    pub fn save(&self) -> io::Result<()> {
        let mut fresh = self
            .fresh
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if fresh.is_empty() {
            return Ok(());
        }
        let mut records: HashMap<(u64, u64), Record> = HashMap::new();
        let oldest = today().saturating_sub(KEEP_DAYS);
        // What another build wrote meanwhile; our own view of the same file decides nothing here.
        let disk = Table::read(&self.path);
        records.extend(disk.records().map(|(_, record)| record.keyed()));
        for (index, mut record) in self.table.records() {
            if self.used[index / 64].load(Ordering::Relaxed) & (1 << (index % 64)) != 0 {
                record.day = today();
                records.entry(record.keyed().0).or_insert(record).day = today();
            }
        }
        records.extend(fresh.iter().map(|(key, record)| (*key, *record)));
        let mut kept: Vec<Record> = records
            .into_values()
            .filter(|record| record.day >= oldest)
            .collect();
        if kept.len() > MAX_RECORDS {
            kept.sort_unstable_by_key(|record| std::cmp::Reverse(record.day));
            kept.truncate(MAX_RECORDS);
        }
        replace(&self.path, &encode(kept))?;
        fresh.clear();
        Ok(())
    }
}

/// Git's rule, with the clock's grain: what changed just before reading began may change again in the same tick.
fn is_settled(identity: &Identity, started: Time) -> bool {
    let nanos = |time: Time| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    let grain = if identity.ctime.nanos == 0 {
        COARSE_NANOS
    } else {
        TICK_NANOS
    };
    nanos(identity.mtime.max(identity.ctime)) + grain < nanos(started)
}

fn today() -> u32 {
    u32::try_from(Time::now().seconds / 86_400).unwrap_or(0)
}

/// Put `bytes` in place of the file in one step.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(
        ".{}.{}.tmp",
        process::id(),
        NUMBER.fetch_add(1, Ordering::Relaxed)
    ));
    let staged = path.with_file_name(name);
    let done = fs::write(&staged, bytes).and_then(|()| fs::rename(&staged, path));
    if done.is_err() {
        // The write failed; leaving no litter is all that can be done.
        let _ = fs::remove_file(&staged);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(inode: u64) -> Identity {
        let time = Time {
            seconds: 1_000_000,
            nanos: 5,
        };
        Identity {
            device: 7,
            inode,
            size: inode * 3,
            mtime: time,
            ctime: time,
        }
    }

    fn now() -> Time {
        Time::now()
    }

    #[test]
    fn remembered_digests_are_found_by_a_later_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stat");
        let index = StatIndex::open(&path);
        (0..5000).for_each(|n| index.remember(&identity(n), [n as u8; 32], now()));
        index.save().unwrap();
        let later = StatIndex::open(&path);
        assert!((0..5000).all(|n| later.lookup(&identity(n)) == Some([n as u8; 32])));
        assert_eq!(later.lookup(&identity(5000)), None);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_with_another_size_or_time_is_not_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stat");
        let index = StatIndex::open(&path);
        index.remember(&identity(1), [1; 32], now());
        index.save().unwrap();
        let index = StatIndex::open(&path);
        let same = identity(1);
        for changed in [
            Identity { size: 4, ..same },
            Identity {
                mtime: Time {
                    seconds: 1_000_000,
                    nanos: 6,
                },
                ..same
            },
            Identity {
                ctime: Time {
                    seconds: 1_000_001,
                    nanos: 5,
                },
                ..same
            },
            Identity { device: 8, ..same },
        ] {
            assert_eq!(index.lookup(&changed), None, "{changed:?}");
        }
        assert_eq!(index.lookup(&same), Some([1; 32]));
    }

    #[test]
    fn a_file_as_young_as_its_digest_is_not_remembered() {
        let started = Time {
            seconds: 100,
            nanos: 500_000_000,
        };
        let at = |seconds, nanos| {
            let time = Time { seconds, nanos };
            is_settled(
                &Identity {
                    mtime: Time::default(),
                    ctime: time,
                    ..identity(1)
                },
                started,
            )
        };
        assert!(at(99, 1));
        assert!(!at(100, 450_000_000));
        assert!(!at(101, 1));
        assert!(!at(99, 0), "a clock of whole seconds");
        assert!(at(98, 0));
    }

    #[test]
    fn two_writers_keep_each_others_records() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stat");
        let (one, two) = (StatIndex::open(&path), StatIndex::open(&path));
        one.remember(&identity(1), [1; 32], now());
        two.remember(&identity(2), [2; 32], now());
        one.save().unwrap();
        two.save().unwrap();
        let index = StatIndex::open(&path);
        assert_eq!(index.lookup(&identity(1)), Some([1; 32]));
        assert_eq!(index.lookup(&identity(2)), Some([2; 32]));
    }
}
