//! Who may use the store, and who is alive.
//!
//! Two things, both ended by the death of the process, however it dies:
//!
//! - the **store lock**: builds hold it shared for as long as they run, removal holds it exclusively. So
//!   nothing a live build may use is ever removed.
//! - **run folders**: each process that stages files owns `run/<id>/`, with a locked lease beside it. A lease
//!   that can be locked belongs to a dead process and its folder is swept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kiln_platform::FileLock;

use crate::error::{Error, IoContext, Result};
use crate::layout::Layout;
use crate::store::Store;

/// Longest text kept about a holder.
const MAX_OWNER_LEN: u64 = 4096;
/// Attempts at a lock before it counts as busy, and the pause between them: 50 ms in all.
const ATTEMPTS: u32 = 5;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(10);

/// A process that holds the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// What it does, as a user would recognise it.
    pub purpose: String,
}

/// Keeps everything in the store from being removed, until dropped.
#[derive(Debug)]
pub struct Lease {
    _lock: FileLock,
    /// Shows others who holds the lock, for as long as it is held.
    _run: Option<Arc<RunFolder>>,
}

impl Lease {
    fn new(lock: FileLock, store: &Store) -> Lease {
        Lease {
            _lock: lock,
            _run: store.own_run_folder(),
        }
    }

    pub(crate) fn try_shared(store: &Store) -> Result<Lease> {
        Lease::attempt(store, FileLock::try_shared)
    }

    pub(crate) fn shared(store: &Store) -> Result<Lease> {
        let path = store.layout().lock();
        let lock = FileLock::shared(&path).at("lock", &path)?;
        Ok(Lease::new(lock, store))
    }

    pub(crate) fn try_exclusive(store: &Store) -> Result<Lease> {
        Lease::attempt(store, FileLock::try_exclusive)
    }

    /// Tries for a moment: a process that is just being started holds a copy of its parent's locks until it
    /// runs its own program, and commits hold the store for no longer than that either.
    fn attempt(store: &Store, lock: fn(&Path) -> io::Result<Option<FileLock>>) -> Result<Lease> {
        let path = store.layout().lock();
        for _ in 0..ATTEMPTS {
            if let Some(lock) = lock(&path).at("lock", &path)? {
                return Ok(Lease::new(lock, store));
            }
            std::thread::sleep(ATTEMPT_PAUSE);
        }
        Err(Error::LockBusy {
            holders: holders(store),
        })
    }

    pub(crate) fn exclusive(store: &Store) -> Result<Lease> {
        let path = store.layout().lock();
        let lock = FileLock::exclusive(&path).at("lock", &path)?;
        Ok(Lease::new(lock, store))
    }
}

/// A process's staging folder, removed on drop.
#[derive(Debug)]
pub(crate) struct RunFolder {
    folder: PathBuf,
    lease: PathBuf,
    owner: PathBuf,
    /// Given up last: the lease must be held until the folder is gone.
    _lock: FileLock,
}

impl RunFolder {
    /// Makes a folder for this process.
    pub fn create(layout: &Layout, purpose: &str) -> Result<RunFolder> {
        loop {
            let id = unique_id();
            let run = layout.run();
            let lease = run.join(format!("{id}.lease"));
            // A sweeper may lock the lease between its creation and our lock, and even remove it. Nobody
            // else makes a file of this name: if it is there, it is ours, and locked.
            let Some(lock) = FileLock::try_exclusive(&lease).at("lock", &lease)? else {
                continue;
            };
            if !lease.exists() {
                continue;
            }
            let (folder, owner) = (run.join(&id), run.join(format!("{id}.owner")));
            let created = RunFolder {
                folder,
                lease,
                owner,
                _lock: lock,
            };
            fs::create_dir(&created.folder).at("create", &created.folder)?;
            let text = format!("{}\n{purpose}\n", std::process::id());
            fs::write(&created.owner, text).at("write", &created.owner)?;
            return Ok(created);
        }
    }

    /// Where to stage.
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // What cannot be removed now is swept later.
        remove_run(&self.folder, &self.owner, &self.lease);
    }
}

/// The lease goes last: without it nobody would find the folder.
fn remove_run(folder: &Path, owner: &Path, lease: &Path) {
    let gone = match fs::remove_dir_all(folder) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if gone {
        let _ = fs::remove_file(owner);
        let _ = fs::remove_file(lease);
    }
}

/// Removes what dead processes left in `run/`. Costs one directory listing when there is nothing.
pub(crate) fn sweep(layout: &Layout) {
    for lease in leases(layout) {
        if let Ok(Some(lock)) = FileLock::try_exclusive_existing(&lease) {
            remove_run(
                &lease.with_extension(""),
                &lease.with_extension("owner"),
                &lease,
            );
            drop(lock);
        }
    }
}

/// The other live processes that have a run folder: all that hold the store are among them.
fn holders(store: &Store) -> Vec<Holder> {
    let own = store.own_run_folder();
    let others = leases(store.layout())
        .into_iter()
        .filter(|lease| own.as_ref().is_none_or(|own| own.lease != *lease));
    others
        .filter(|lease| matches!(FileLock::try_shared_existing(lease), Ok(None)))
        .filter_map(|lease| read_owner(&lease.with_extension("owner")))
        .collect()
}

fn leases(layout: &Layout) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(layout.run()) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "lease")
        })
        .collect()
}

fn read_owner(path: &Path) -> Option<Holder> {
    use std::io::Read;
    let mut text = String::new();
    fs::File::open(path)
        .ok()?
        .take(MAX_OWNER_LEN)
        .read_to_string(&mut text)
        .ok()?;
    let (pid, purpose) = text.split_once('\n')?;
    Some(Holder {
        pid: pid.parse().ok()?,
        purpose: purpose.trim_end().to_owned(),
    })
}

/// Unique among processes and within this one; the lock on the lease settles what remains of chance.
fn unique_id() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.subsec_nanos());
    format!("{}-{nanos:x}-{count}", std::process::id())
}
