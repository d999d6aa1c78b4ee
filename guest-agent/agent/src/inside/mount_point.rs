//! Finding the place of a mount inside the new root, and making it if it is missing.
//!
//! The root is the image's already, so a symlink can lead anywhere in the image and nowhere else. What is made is
//! told to the agent, which takes it out of the changes again.

use std::collections::VecDeque;

use kiln_protocol::{Failure, Stage};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::report::{Before, CreatedEntry, Report};
use crate::failure::{OrFail, failure};

/// As many symlinks as the kernel follows.
const MAX_LINKS: u32 = 40;

/// Longest path that is followed, with what symlinks add to it.
const MAX_COMPONENTS: usize = 4096;

/// Opens the place named by `target`, made as a directory or an empty file if it is missing.
pub(super) fn open(target: &str, directory: bool, report: &mut Report) -> Result<OwnedFd, Failure> {
    match rustix::fs::open(target, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => {}
        found => return found.or_fail(Stage::Mount, || format!("cannot mount on {target}")),
    }
    let path = make(target, directory, report)?;
    rustix::fs::open(
        path.as_slice(),
        OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::empty(),
    )
    .or_fail(Stage::Mount, || format!("cannot mount on {target}"))
}

/// Walks to `target`, making what is missing on the way; returns its path without symlinks.
fn make(target: &str, directory: bool, report: &mut Report) -> Result<Vec<u8>, Failure> {
    let mut rest: VecDeque<Vec<u8>> = components(target.as_bytes()).collect();
    let mut path = Vec::new();
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == b".." {
            let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            path.truncate(end);
            continue;
        }
        let parent_length = path.len();
        path.push(b'/');
        path.extend_from_slice(&name);
        match rustix::fs::statat(CWD, path.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                links += 1;
                let link = rustix::fs::readlink(path.as_slice(), Vec::new())
                    .or_fail(Stage::Mount, || format!("cannot mount on {target}"))?;
                path.truncate(if link.as_bytes().starts_with(b"/") {
                    0
                } else {
                    parent_length
                });
                for component in components(link.as_bytes())
                    .collect::<Vec<_>>()
                    .into_iter()
                    .rev()
                {
                    rest.push_front(component);
                }
                if links > MAX_LINKS || rest.len() > MAX_COMPONENTS {
                    return Err(failure(
                        Stage::Mount,
                        format!("cannot mount on {target}: too many symbolic links"),
                    ));
                }
            }
            Ok(_) => {}
            Err(Errno::NOENT) => {
                create(&path, parent_length, directory || !rest.is_empty(), report)
                    .or_fail(Stage::Mount, || {
                        format!("cannot make {target} to mount on it")
                    })?
            }
            Err(error) => {
                return Err(error).or_fail(Stage::Mount, || format!("cannot mount on {target}"));
            }
        }
    }
    Ok(if path.is_empty() { b"/".to_vec() } else { path })
}

fn components(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .map(<[u8]>::to_vec)
}

fn create(
    path: &[u8],
    parent_length: usize,
    directory: bool,
    report: &mut Report,
) -> Result<(), Errno> {
    let parent = if parent_length == 0 {
        b"/".as_slice()
    } else {
        &path[..parent_length]
    };
    let before = rustix::fs::statat(CWD, parent, AtFlags::empty())?;
    if directory {
        rustix::fs::mkdir(path, Mode::from_raw_mode(0o755))?;
    } else {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::from_raw_mode(0o644))?;
    }
    report.created(CreatedEntry {
        path: path[1..].to_vec(),
        directory,
        parent: as_before(&before),
    });
    Ok(())
}

#[expect(
    clippy::unnecessary_cast,
    reason = "the types differ between architectures"
)]
fn as_before(stat: &Stat) -> Before {
    Before {
        mode: stat.st_mode,
        uid: stat.st_uid,
        gid: stat.st_gid,
        modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
    }
}
