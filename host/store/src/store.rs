//! Opening the data folder, and what all operations share.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kiln_erofs::Index;
use kiln_oci::{DiffId, Digest};
use rusqlite::Connection;

use crate::database;
use crate::error::{IoContext, Result};
use crate::layout::Layout;
use crate::lease::{self, Lease, RunFolder};

/// The store: one data folder, used by any number of processes and threads at once. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    layout: Layout,
    database: Mutex<Connection>,
    run: Mutex<Option<Arc<RunFolder>>>,
    purpose: Mutex<String>,
    staged: AtomicU64,
    indexes: Mutex<HashMap<DiffId, Arc<Index>>>,
    /// Cache records used and not yet marked as such.
    used: Mutex<HashSet<Digest>>,
}

impl Store {
    /// Opens the store in `root`, making it where there is none.
    pub fn open(root: &Path) -> Result<Store> {
        let layout = Layout::new(root);
        let database = match database::open(&layout.database()) {
            // The usual way: everything is there.
            Ok(database) if layout.run().is_dir() => database,
            _ => create(&layout)?,
        };
        lease::sweep(&layout);
        Ok(Store {
            inner: Arc::new(Inner {
                layout,
                database: Mutex::new(database),
                run: Mutex::new(None),
                purpose: Mutex::new("kiln".to_owned()),
                staged: AtomicU64::new(0),
                indexes: Mutex::default(),
                used: Mutex::default(),
            }),
        })
    }

    /// The data folder.
    pub fn root(&self) -> &Path {
        self.inner.layout.root()
    }

    /// Says what this process does, for others that wait for it. Takes effect before the first lease.
    pub fn set_purpose(&self, purpose: &str) {
        *lock(&self.inner.purpose) = purpose.to_owned();
    }

    /// Keeps all layers and records from being removed until the lease is dropped: a build holds one from
    /// its first look-up on. Fails with [`crate::Error::LockBusy`] while another process removes things.
    pub fn lease(&self) -> Result<Lease> {
        self.run_folder()?;
        Lease::try_shared(self)
    }

    /// Like [`Store::lease`], waiting for as long as it takes.
    pub fn lease_wait(&self) -> Result<Lease> {
        self.run_folder()?;
        Lease::shared(self)
    }

    /// This process's staging folder. It lives as long as the store value and is swept if the process dies.
    pub fn run_dir(&self) -> Result<PathBuf> {
        Ok(self.run_folder()?.path().to_owned())
    }

    /// A new empty file in the staging folder, removed on drop.
    pub fn tmp_file(&self) -> Result<TempFile> {
        let run = self.run_folder()?;
        let path = run.path().join(self.next_staging_name());
        let file = fs::File::create_new(&path).at("create", &path)?;
        Ok(TempFile {
            file,
            path,
            _run: run,
        })
    }

    /// Where the full output of a build is kept.
    pub fn log_file(&self, build: &str) -> PathBuf {
        // The id may come from a user: only its harmless characters make the name.
        let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let name: String = build.chars().filter(fits).take(128).collect();
        self.layout().logs().join(format!("{name}.log"))
    }

    /// A folder for what other parts of the program remember and can make again. It may vanish whenever no
    /// lease is held.
    pub fn cache_dir(&self) -> Result<PathBuf> {
        let path = self.layout().cache();
        fs::create_dir_all(&path).at("create", &path)?;
        Ok(path)
    }

    /// Where the stat index of the context at `context` is kept.
    pub fn stat_index_path(&self, context: &Path) -> PathBuf {
        let name = Digest::of(context.as_os_str().as_encoded_bytes()).hex();
        self.layout().context().join(&name[..32])
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.inner.layout
    }

    pub(crate) fn database(&self) -> MutexGuard<'_, Connection> {
        lock(&self.inner.database)
    }

    pub(crate) fn indexes(&self) -> &Mutex<HashMap<DiffId, Arc<Index>>> {
        &self.inner.indexes
    }

    pub(crate) fn used(&self) -> MutexGuard<'_, HashSet<Digest>> {
        lock(&self.inner.used)
    }

    pub(crate) fn run_folder(&self) -> Result<Arc<RunFolder>> {
        let mut run = lock(&self.inner.run);
        if let Some(run) = &*run {
            return Ok(Arc::clone(run));
        }
        let purpose = lock(&self.inner.purpose).clone();
        let made = Arc::new(RunFolder::create(self.layout(), &purpose)?);
        Ok(Arc::clone(run.insert(made)))
    }

    /// This process's staging folder, if it has needed one.
    pub(crate) fn own_run_folder(&self) -> Option<Arc<RunFolder>> {
        lock(&self.inner.run).clone()
    }

    pub(crate) fn next_staging_name(&self) -> String {
        self.inner
            .staged
            .fetch_add(1, Ordering::Relaxed)
            .to_string()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let used = std::mem::take(&mut *lock(&self.used));
        let database = self
            .database
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        // When a record was used only steers what is evicted first: not worth failing for.
        let _ = crate::cache::mark_used(database, &used);
    }
}

fn create(layout: &Layout) -> Result<Connection> {
    for folder in layout.folders() {
        fs::create_dir_all(&folder).at("create", &folder)?;
    }
    database::open(&layout.database())
}

/// All state behind these locks is valid between any two statements, so a panic elsewhere does not matter.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A temporary file in the store's staging folder, removed on drop.
#[derive(Debug)]
pub struct TempFile {
    /// The open file, readable and writable.
    pub file: fs::File,
    path: PathBuf,
    _run: Arc<RunFolder>,
}

impl TempFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // What cannot be removed now goes with the staging folder.
        let _ = fs::remove_file(&self.path);
    }
}
