//! The private directory of one VM, and the sweeping of those whose owners died.
//!
//! ```text
//! <runtime dir>/vm-<random>/        sockets, console log, scratch disk
//! <runtime dir>/vm-<random>.lock    held shared by the engine's process and by the helper
//! ```
//!
//! Invariant: a directory is removed only by someone who holds its lock, or finds nobody holding it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const PREFIX: &str = "vm-";
const LOCK_SUFFIX: &str = ".lock";

/// A lock file younger than this may belong to a VM that is just being set up: between creating and
/// locking it there is a moment in which nobody holds it.
const SWEEP_AGE: Duration = Duration::from_secs(60);

/// The directory of one VM, removed when dropped.
#[derive(Debug)]
pub struct RuntimeDir {
    path: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl RuntimeDir {
    /// Makes a fresh directory below `parent`.
    pub fn create(parent: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(parent)?;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let path = parent.join(format!("{PREFIX}{:016x}", u64::from_le_bytes(random)));
        let lock_path = lock_path_of(&path);
        let lock = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&lock_path)?;
        lock.lock_shared()?;
        kiln_platform::private_dir::create(&path)?;
        Ok(Self {
            path,
            lock_path,
            _lock: lock,
        })
    }

    /// The helper's hold on the directory that the engine's process made.
    pub fn adopt(path: &Path) -> io::Result<Self> {
        let lock_path = lock_path_of(path);
        let lock = File::options().read(true).open(&lock_path)?;
        lock.lock_shared()?;
        Ok(Self {
            path: path.to_owned(),
            lock_path,
            _lock: lock,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes directories below `parent` that nobody holds. Failures are left for the next time.
    pub fn sweep(parent: &Path) {
        let Ok(entries) = std::fs::read_dir(parent) else {
            return;
        };
        for entry in entries.flatten() {
            let lock_path = entry.path();
            let is_lock = lock_path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(LOCK_SUFFIX));
            if is_lock && is_old(&entry) {
                let _ = sweep_one(&lock_path);
            }
        }
    }
}

fn is_old(entry: &std::fs::DirEntry) -> bool {
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    let age = modified
        .ok()
        .and_then(|time| SystemTime::now().duration_since(time).ok());
    age.is_some_and(|age| age > SWEEP_AGE)
}

fn sweep_one(lock_path: &Path) -> io::Result<()> {
    let lock = File::options().read(true).write(true).open(lock_path)?;
    match lock.try_lock() {
        Ok(()) => remove(&lock_path.with_extension(""), lock_path),
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn lock_path_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(LOCK_SUFFIX);
    name.into()
}

fn remove(path: &Path, lock_path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::remove_file(lock_path)
}

impl Drop for RuntimeDir {
    fn drop(&mut self) {
        // What cannot be removed now is swept later.
        let _ = remove(&self.path, &self.lock_path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make_old(path: &Path) {
        let past = SystemTime::now() - 2 * SWEEP_AGE;
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(past)
            .unwrap();
    }

    #[test]
    fn directory_goes_with_its_last_owner() {
        let parent = tempfile::tempdir().unwrap();
        let dir = RuntimeDir::create(parent.path()).unwrap();
        std::fs::write(dir.path().join("scratch"), b"x").unwrap();
        let path = dir.path().to_owned();
        assert!(path.is_dir());
        drop(dir);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn sweep_takes_only_what_nobody_holds() {
        let parent = tempfile::tempdir().unwrap();
        let held = RuntimeDir::create(parent.path()).unwrap();
        make_old(&held.lock_path);
        let dead = parent.path().join("vm-dead");
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join("console.log"), b"x").unwrap();
        std::fs::write(lock_path_of(&dead), b"").unwrap();
        make_old(&lock_path_of(&dead));
        let young = parent.path().join("vm-young");
        std::fs::create_dir(&young).unwrap();
        std::fs::write(lock_path_of(&young), b"").unwrap();

        RuntimeDir::sweep(parent.path());
        assert!(held.path().is_dir());
        assert!(!dead.exists());
        assert!(young.is_dir());
    }
}
