//! Locks between processes, held on an open file.
//!
//! Invariant: a lock ends when its value is dropped or its process dies, however it dies; so a lock that
//! can be taken proves that nobody alive holds it. The file itself is never removed here.
//!
//! The lock is mandatory on Windows: keep nothing in a locked file that others must read.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

/// A lock on a file, released on drop.
#[derive(Debug)]
pub struct FileLock {
    /// Closing the file releases the lock. It is never unlocked by hand: the call's result is not
    /// reliable everywhere.
    _file: File,
}

impl FileLock {
    /// Waits for a lock that others may share.
    pub fn shared(path: &Path) -> io::Result<FileLock> {
        let file = open(path)?;
        file.lock_shared()?;
        Ok(FileLock { _file: file })
    }

    /// Waits for a lock that excludes all others.
    pub fn exclusive(path: &Path) -> io::Result<FileLock> {
        let file = open(path)?;
        file.lock()?;
        Ok(FileLock { _file: file })
    }

    /// Takes a shared lock, or gives none if someone excludes it.
    pub fn try_shared(path: &Path) -> io::Result<Option<FileLock>> {
        let file = open(path)?;
        taken(file.try_lock_shared()).map(|taken| taken.then_some(FileLock { _file: file }))
    }

    /// Takes an exclusive lock, or gives none if anyone holds the file.
    pub fn try_exclusive(path: &Path) -> io::Result<Option<FileLock>> {
        let file = open(path)?;
        taken(file.try_lock()).map(|taken| taken.then_some(FileLock { _file: file }))
    }
}

impl FileLock {
    /// Takes a shared lock on a file that is there, or gives none if someone excludes it.
    ///
    /// Unlike the others this never makes the file: whoever looks for the locks of the dead must not bring
    /// back a file that its owner, or another such search, has just removed.
    pub fn try_shared_existing(path: &Path) -> io::Result<Option<FileLock>> {
        let file = open_existing(path)?;
        taken(file.try_lock_shared()).map(|taken| taken.then_some(FileLock { _file: file }))
    }

    /// Takes an exclusive lock on a file that is there, or gives none if anyone holds it.
    pub fn try_exclusive_existing(path: &Path) -> io::Result<Option<FileLock>> {
        let file = open_existing(path)?;
        taken(file.try_lock()).map(|taken| taken.then_some(FileLock { _file: file }))
    }
}

fn open_existing(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// Opens for writing too: some network file systems grant exclusive locks on writable files only.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

fn taken(result: Result<(), TryLockError>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searching_for_a_lock_does_not_make_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(FileLock::try_exclusive_existing(&path).is_err());
        assert!(FileLock::try_shared_existing(&path).is_err());
        assert!(!path.exists());
        let held = FileLock::exclusive(&path).unwrap();
        assert!(FileLock::try_exclusive_existing(&path).unwrap().is_none());
        assert!(FileLock::try_shared_existing(&path).unwrap().is_none());
        drop(held);
        assert!(FileLock::try_exclusive_existing(&path).unwrap().is_some());
    }

    #[test]
    fn exclusive_lock_excludes_and_shared_locks_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = FileLock::shared(&path).unwrap();
        let second = FileLock::try_shared(&path).unwrap();
        assert!(second.is_some());
        assert!(FileLock::try_exclusive(&path).unwrap().is_none());
        drop((first, second));
        let exclusive = FileLock::try_exclusive(&path).unwrap();
        assert!(exclusive.is_some());
        assert!(FileLock::try_shared(&path).unwrap().is_none());
        drop(exclusive);
        assert!(FileLock::try_shared(&path).unwrap().is_some());
    }
}
