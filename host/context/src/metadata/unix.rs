//! Unix: `openat`, `fstatat` and `readlinkat`, through rustix.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};

use super::{Facts, Identity, Listed, Time, Type};

/// Whether an open file tells which file it is.
pub(crate) const HAS_INODES: bool = true;

/// An open folder of the context.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

impl Folder {
    pub fn open(root: &Path, relative: &[u8]) -> io::Result<Folder> {
        let path = host_path(root, relative);
        let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        flags.set(OFlags::NOFOLLOW, !relative.is_empty());
        Ok(Folder(rustix::fs::openat(
            CWD,
            &path,
            flags,
            Mode::empty(),
        )?))
    }

    pub fn list(&self) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                let is_dir = match entry.file_type() {
                    FileType::Unknown => None,
                    kind => Some(kind == FileType::Directory),
                };
                listed.push(Listed {
                    name: name.to_vec(),
                    is_dir,
                });
            }
        }
        Ok(listed)
    }

    pub fn facts(&self, name: &[u8]) -> io::Result<Facts> {
        Ok(facts(&rustix::fs::statat(
            &self.0,
            OsStr::from_bytes(name),
            AtFlags::SYMLINK_NOFOLLOW,
        )?))
    }

    pub fn own_facts(&self) -> io::Result<Facts> {
        Ok(facts(&rustix::fs::fstat(&self.0)?))
    }

    pub fn link_target(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.0, OsStr::from_bytes(name), Vec::new())?.into_bytes())
    }
}

/// A context path on this host.
pub(crate) fn host_path(root: &Path, relative: &[u8]) -> PathBuf {
    if relative.is_empty() {
        root.to_path_buf()
    } else {
        root.join(OsStr::from_bytes(relative))
    }
}

/// Open a regular file; neither a symlink nor a fifo makes this wait or go elsewhere.
pub(crate) fn open_file(root: &Path, relative: &[u8]) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(File::from(rustix::fs::openat(
        CWD,
        host_path(root, relative),
        flags,
        Mode::empty(),
    )?))
}

pub(crate) fn facts_of_open(file: &File) -> io::Result<Facts> {
    Ok(facts(&rustix::fs::fstat(file)?))
}

/// The file capabilities of an open file, the one extended attribute that a context keeps.
#[cfg(target_os = "linux")]
pub(crate) fn capability(file: &File) -> io::Result<Option<Vec<u8>>> {
    // 24 bytes is the largest the kernel knows; 64 leaves room.
    let mut value = [0_u8; 64];
    match rustix::fs::fgetxattr(file, "security.capability", &mut value) {
        Ok(len) => Ok(Some(value[..len].to_vec())),
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn capability(_file: &File) -> io::Result<Option<Vec<u8>>> {
    Ok(None)
}

// The types of these fields differ between systems.
#[allow(clippy::unnecessary_cast, reason = "needed on other systems")]
fn facts(stat: &Stat) -> Facts {
    let (major, minor) = (
        rustix::fs::major(stat.st_rdev) as u32,
        rustix::fs::minor(stat.st_rdev) as u32,
    );
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Type::Dir,
        FileType::Symlink => Type::Symlink,
        FileType::Fifo => Type::Fifo,
        FileType::Socket => Type::Socket,
        FileType::CharacterDevice => Type::CharDevice { major, minor },
        FileType::BlockDevice => Type::BlockDevice { major, minor },
        _ => Type::File,
    };
    Facts {
        kind,
        mode: stat.st_mode as u32 & 0o7777,
        links: stat.st_nlink as u64,
        identity: Identity {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size as u64,
            mtime: Time {
                seconds: stat.st_mtime as i64,
                nanos: stat.st_mtime_nsec as u32,
            },
            ctime: Time {
                seconds: stat.st_ctime as i64,
                nanos: stat.st_ctime_nsec as u32,
            },
        },
    }
}
