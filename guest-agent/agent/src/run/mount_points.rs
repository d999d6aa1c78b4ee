//! Takes mount points that were made for a run out of its changes, as if they had never been.
//!
//! The changes were empty when the mount points were made, and a folder that something is mounted in can neither be
//! removed nor replaced by the command. So a folder of the changes that holds nothing now and looks as it did was
//! only copied there to hold a mount point. What a command has put something into, or changed, stays.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT};

use crate::inside::{Before, CreatedEntry};

/// Takes them out, the last made first.
pub(super) fn take_out(upper: &Path, created: &[CreatedEntry]) {
    for entry in created.iter().rev() {
        let path = upper.join(OsStr::from_bytes(&entry.path));
        if !remove(&path, entry.directory) {
            continue;
        }
        let Some(parent) = path.parent() else {
            continue;
        };
        if parent == upper || !looks_like(parent, &entry.parent) || fs::remove_dir(parent).is_err()
        {
            restore_time(parent, &entry.parent);
        }
    }
}

/// Removes an empty mount point; whether it is gone.
fn remove(path: &Path, directory: bool) -> bool {
    let result = if directory {
        fs::remove_dir(path)
    } else if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.len() > 0) {
        return false;
    } else {
        fs::remove_file(path)
    };
    result.is_ok()
        || matches!(fs::symlink_metadata(path), Err(error) if error.kind() == ErrorKind::NotFound)
}

fn looks_like(path: &Path, before: &Before) -> bool {
    fs::symlink_metadata(path).is_ok_and(|now| {
        (now.mode(), now.uid(), now.gid()) == (before.mode, before.uid, before.gid)
    })
}

fn restore_time(path: &Path, before: &Before) {
    let (seconds, nanoseconds) = before.modified;
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT as _,
        },
        last_modification: Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds as _,
        },
    };
    // A wrong time of a folder is no reason to fail a build.
    let _ = rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
}
