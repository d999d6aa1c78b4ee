//! What is in `/dev`.

use std::ffi::CString;

use kiln_protocol::{Failure, Stage};
use rustix::fs::{CWD, FileType, Mode, makedev, mkdir, mknodat, symlink};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

use crate::failure::OrFail;

/// Docker's size of `/dev/shm`.
const SHM_SIZE: u64 = 64 << 20;

const NODES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

const LINKS: [(&str, &str); 6] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
    ("/proc/kcore", "/dev/core"),
];

/// Fills the empty file system on `/dev`.
pub(super) fn populate(shm: Option<u64>) -> Result<(), Failure> {
    for (path, major, minor) in NODES {
        mknodat(
            CWD,
            path,
            FileType::CharacterDevice,
            Mode::from_raw_mode(0o666),
            makedev(major, minor),
        )
        .or_fail(Stage::Root, || format!("cannot make {path}"))?;
    }
    for (target, path) in LINKS {
        symlink(target, path).or_fail(Stage::Root, || format!("cannot make {path}"))?;
    }
    let quiet = MountFlags::NOSUID | MountFlags::NOEXEC;
    let shm = format!("mode=1777,size={}", shm.unwrap_or(SHM_SIZE));
    mount_at(
        "/dev/pts",
        "devpts",
        quiet,
        "newinstance,ptmxmode=0666,mode=0620,gid=5",
    )?;
    mount_at("/dev/shm", "tmpfs", quiet | MountFlags::NODEV, &shm)?;
    mount_at("/dev/mqueue", "mqueue", quiet | MountFlags::NODEV, "")
}

fn mount_at(path: &str, kind: &str, flags: MountFlags, options: &str) -> Result<(), Failure> {
    let options = CString::new(options).expect("options hold no zero byte");
    mkdir(path, Mode::from_raw_mode(0o755))
        .or_fail(Stage::Root, || format!("cannot make {path}"))?;
    match mount(kind, path, kind, flags, Some(options.as_c_str())) {
        // A kernel without this file system: the folder stays empty.
        Ok(()) | Err(Errno::NODEV) => Ok(()),
        Err(error) => Err(error).or_fail(Stage::Root, || format!("cannot mount {path}")),
    }
}
