//! Walks the changes in the order of the tar and writes each entry.
//!
//! The order is that of whole path bytes. `a-b` comes between `a` and `a/b`, so the children of a directory do not
//! follow it directly: in its parent's list a directory stands twice, as itself under `name`, and as its contents
//! under `name/`.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use kiln_layer::{Entry, Kind, TarWriter, whiteout};
use kiln_protocol::Stage;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, SeekFrom, Stat};
use rustix::io::Errno;

use super::attributes::{self, Opacity};
use super::{DiffError, LayerSink, from_tar};
use crate::failure::OrFail;

/// Longest path that goes into a layer: readers of tars refuse longer ones.
const MAX_PATH: usize = 4096;

/// Size from which on holes are looked for.
const MIN_SPARSE: u64 = 64 * 1024;

type Tar<'a> = TarWriter<LayerSink<'a>>;

/// One thing to do in a directory.
enum Item {
    Whiteout,
    Opaque,
    Node(Box<Stat>),
    /// The contents of this directory.
    Contents,
}

/// A directory under way.
struct Level {
    directory: OwnedFd,
    /// Length of its path.
    path_length: usize,
    /// What is left to do, last first, by the key that orders it and the name on disk.
    items: Vec<(Vec<u8>, Vec<u8>, Item)>,
}

/// Writes all entries below `upper`, which stood on `lowers`; gives their number.
pub(super) fn write(
    upper: OwnedFd,
    lowers: &[PathBuf],
    tar: &mut Tar<'_>,
) -> Result<u64, DiffError> {
    let mut walk = Walk {
        tar,
        lowers,
        path: Vec::new(),
        linked: HashMap::new(),
        entries: 0,
    };
    let mut levels = vec![walk.open(upper)?];
    while let Some(level) = levels.last_mut() {
        walk.path.truncate(level.path_length);
        let Some((_, name, item)) = level.items.pop() else {
            levels.pop();
            continue;
        };
        if let Some(deeper) = walk.take(level, &name, item)? {
            levels.push(deeper);
        }
    }
    Ok(walk.entries)
}

struct Walk<'t, 's> {
    tar: &'t mut Tar<'s>,
    lowers: &'t [PathBuf],
    path: Vec<u8>,
    /// First path of each inode that has several names.
    linked: HashMap<u64, Vec<u8>>,
    entries: u64,
}

impl Walk<'_, '_> {
    fn fail<T>(&self, result: Result<T, impl Into<io::Error>>) -> Result<T, DiffError> {
        let what = || {
            format!(
                "cannot read the change of {}",
                String::from_utf8_lossy(&self.path)
            )
        };
        result
            .map_err(Into::<io::Error>::into)
            .or_fail(Stage::Diff, what)
            .map_err(DiffError::Changes)
    }

    /// Lists a directory in the order of its entries in the tar.
    fn open(&self, directory: OwnedFd) -> Result<Level, DiffError> {
        let opacity = self.fail(attributes::opacity(directory.as_fd()))?;
        let mut items = Vec::new();
        // The kernel also marks directories that are new, as there may be something below one day.
        if opacity == Opacity::Opaque && self.hides_something() {
            items.push((whiteout::OPAQUE.to_vec(), Vec::new(), Item::Opaque));
        }
        for entry in self.fail(Dir::read_from(&directory))? {
            let entry = self.fail(entry)?;
            let name = entry.file_name().to_bytes();
            // Names with the prefix mean something else in a layer.
            if name == b"." || name == b".." || name.starts_with(whiteout::PREFIX) {
                continue;
            }
            self.fail(list(&directory, opacity, name.to_vec(), &mut items))?;
        }
        items.sort_unstable_by(|(a, ..), (b, ..)| b.cmp(a));
        Ok(Level {
            directory,
            path_length: self.path.len(),
            items,
        })
    }

    /// Whether any layer below has something at the present path.
    fn hides_something(&self) -> bool {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.lowers.iter().any(|lower| {
            // What cannot be looked at may be there: a marker too many does no harm.
            rustix::fs::open(
                lower,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .and_then(|lower| {
                rustix::fs::openat2(&lower, self.path.as_slice(), flags, Mode::empty(), resolve)
            })
            .map_or_else(
                |error| !matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP),
                |_| true,
            )
        })
    }

    /// Does one thing; gives the directory whose contents come next if that is what it is.
    fn take(&mut self, level: &Level, name: &[u8], item: Item) -> Result<Option<Level>, DiffError> {
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        let parent_length = self.path.len();
        self.path.extend_from_slice(name);
        if self.path.len() > MAX_PATH {
            return Err(self
                .fail::<()>(Err(Errno::NAMETOOLONG))
                .expect_err("an error was given"));
        }
        match item {
            Item::Whiteout => {
                let marker = whiteout::marker_for(&self.path);
                self.append(
                    &Entry::new(marker, Kind::File { size: 0 }, 0),
                    &mut io::empty(),
                )?;
            }
            Item::Opaque => {
                let directory = self.path[..parent_length.saturating_sub(1)].to_vec();
                let marker = whiteout::opaque_marker_for(&directory);
                self.append(
                    &Entry::new(marker, Kind::File { size: 0 }, 0),
                    &mut io::empty(),
                )?;
            }
            Item::Node(stat) => self.node(&level.directory, name, &stat)?,
            Item::Contents => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let directory = self.fail(rustix::fs::openat(
                    &level.directory,
                    name,
                    flags,
                    Mode::empty(),
                ))?;
                return self.open(directory).map(Some);
            }
        }
        Ok(None)
    }

    fn append(&mut self, entry: &Entry, data: &mut dyn io::Read) -> Result<(), DiffError> {
        self.tar
            .append(entry, data)
            .map_err(|error| from_tar(error, &entry.path))?;
        self.entries += 1;
        Ok(())
    }

    fn node(&mut self, directory: &OwnedFd, name: &[u8], stat: &Stat) -> Result<(), DiffError> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::Directory && stat.st_nlink > 1 {
            if let Some(first) = self.linked.get(&stat.st_ino) {
                let link = entry(
                    &self.path,
                    Kind::Hardlink {
                        target: first.clone(),
                    },
                    stat,
                );
                return self.append(&link, &mut io::empty());
            }
            self.linked.insert(stat.st_ino, self.path.clone());
        }
        let (major, minor) = (
            rustix::fs::major(stat.st_rdev),
            rustix::fs::minor(stat.st_rdev),
        );
        let kind = match kind {
            FileType::RegularFile => return self.file(directory, name, stat),
            FileType::Directory => Kind::Dir,
            FileType::Symlink => {
                let target = self.fail(rustix::fs::readlinkat(directory, name, Vec::new()))?;
                Kind::Symlink {
                    target: target.into_bytes(),
                }
            }
            FileType::CharacterDevice => Kind::CharDevice { major, minor },
            FileType::BlockDevice => Kind::BlockDevice { major, minor },
            FileType::Fifo => Kind::Fifo,
            _ => return Ok(()),
        };
        self.append(&entry(&self.path, kind, stat), &mut io::empty())
    }

    fn file(&mut self, directory: &OwnedFd, name: &[u8], stat: &Stat) -> Result<(), DiffError> {
        let flags = OFlags::RDONLY
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::NOATIME
            | OFlags::CLOEXEC;
        let fd = self.fail(rustix::fs::openat(directory, name, flags, Mode::empty()))?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let mut entry = entry(&self.path, Kind::File { size }, stat);
        entry.xattrs = self.fail(attributes::kept(fd.as_fd()))?;
        // Blocks of 512 bytes, whatever the file system's own.
        let is_sparse = size >= MIN_SPARSE
            && u64::try_from(stat.st_blocks)
                .unwrap_or(0)
                .saturating_mul(512)
                < size;
        if !is_sparse {
            return self.append(&entry, &mut File::from(fd));
        }
        self.tar
            .begin(&entry)
            .map_err(|error| from_tar(error, &entry.path))?;
        self.sparse(&fd, size)?;
        self.tar
            .end()
            .map_err(|error| from_tar(error, &entry.path))?;
        self.entries += 1;
        Ok(())
    }

    /// Data as they are, holes as zeros that are not read.
    fn sparse(&mut self, file: &OwnedFd, size: u64) -> Result<(), DiffError> {
        let mut buffer = vec![0; 64 * 1024];
        let mut at = 0;
        while at < size {
            let data = match rustix::fs::seek(file, SeekFrom::Data(at)) {
                Ok(data) => data.min(size),
                Err(Errno::NXIO) => size,
                Err(error) => return self.fail(Err(error)),
            };
            self.tar
                .write_zeros(data - at)
                .map_err(|error| from_tar(error, &self.path))?;
            let hole = if data < size {
                self.fail(rustix::fs::seek(file, SeekFrom::Hole(data)))?
                    .min(size)
            } else {
                size
            };
            at = data;
            while at < hole {
                let wanted = usize::try_from(hole - at)
                    .unwrap_or(usize::MAX)
                    .min(buffer.len());
                let count = self.fail(rustix::io::pread(file, &mut buffer[..wanted], at))?;
                if count == 0 {
                    return self.fail(Err(Errno::IO));
                }
                self.tar
                    .write_data(&buffer[..count])
                    .map_err(|error| from_tar(error, &self.path))?;
                at += count as u64;
            }
        }
        Ok(())
    }
}

/// Adds what one name of a directory of changes stands for.
fn list(
    directory: &OwnedFd,
    opacity: Opacity,
    name: Vec<u8>,
    items: &mut Vec<(Vec<u8>, Vec<u8>, Item)>,
) -> Result<(), Errno> {
    let stat = rustix::fs::statat(directory, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if is_whiteout(directory, &name, opacity, kind, &stat)? {
        items.push((whiteout::marker_for(&name), name, Item::Whiteout));
        return Ok(());
    }
    if kind == FileType::Directory {
        let mut contents = name.clone();
        contents.push(b'/');
        items.push((contents, name.clone(), Item::Contents));
    }
    items.push((name.clone(), name, Item::Node(Box::new(stat))));
    Ok(())
}

fn is_whiteout(
    directory: &OwnedFd,
    name: &[u8],
    opacity: Opacity,
    kind: FileType,
    stat: &Stat,
) -> Result<bool, Errno> {
    if kind == FileType::CharacterDevice {
        return Ok(stat.st_rdev == 0);
    }
    if opacity != Opacity::HoldsWhiteouts || kind != FileType::RegularFile || stat.st_size != 0 {
        return Ok(false);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    attributes::is_whiteout(file.as_fd())
}

fn entry(path: &[u8], kind: Kind, stat: &Stat) -> Entry {
    let mut entry = Entry::new(path, kind, stat.st_mode & 0o7777);
    entry.uid = stat.st_uid;
    entry.gid = stat.st_gid;
    entry.mtime = stat.st_mtime;
    entry
}
