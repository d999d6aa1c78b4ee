//! Systems that are no Unix: what the standard library knows, modes of 0755.
//!
//! There is no inode: a hash of the full path stands for it, the time of creation for the time of change.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File, Metadata};
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Facts, Identity, Listed, Time, Type};

/// Whether an open file tells which file it is.
pub(crate) const HAS_INODES: bool = false;

/// A folder of the context.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub fn open(root: &Path, relative: &[u8]) -> io::Result<Folder> {
        Ok(Folder(host_path(root, relative)))
    }

    pub fn list(&self) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let name = entry
                .file_name()
                .to_string_lossy()
                .into_owned()
                .into_bytes();
            listed.push(Listed {
                name,
                is_dir: Some(kind.is_dir() && !kind.is_symlink()),
            });
        }
        Ok(listed)
    }

    pub fn facts(&self, name: &[u8]) -> io::Result<Facts> {
        let path = host_path(&self.0, name);
        Ok(facts(&fs::symlink_metadata(&path)?, &path))
    }

    pub fn own_facts(&self) -> io::Result<Facts> {
        Ok(facts(&fs::metadata(&self.0)?, &self.0))
    }

    pub fn link_target(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        let target = fs::read_link(host_path(&self.0, name))?;
        Ok(target.to_string_lossy().replace('\\', "/").into_bytes())
    }
}

/// A context path on this host.
pub(crate) fn host_path(root: &Path, relative: &[u8]) -> PathBuf {
    let mut path = root.to_path_buf();
    path.extend(
        relative
            .split(|&b| b == b'/')
            .filter(|part| !part.is_empty())
            .map(|part| {
                // Names came out of this system as text, so this is the way back.
                String::from_utf8_lossy(part).into_owned()
            }),
    );
    path
}

/// Open a regular file.
pub(crate) fn open_file(root: &Path, relative: &[u8]) -> io::Result<File> {
    File::open(host_path(root, relative))
}

pub(crate) fn facts_of_open(file: &File) -> io::Result<Facts> {
    // The path is not known here, so callers compare all but the inode.
    Ok(facts(&file.metadata()?, Path::new("")))
}

pub(crate) fn capability(_file: &File) -> io::Result<Option<Vec<u8>>> {
    Ok(None)
}

fn facts(metadata: &Metadata, path: &Path) -> Facts {
    let file_type = metadata.file_type();
    let kind = match (file_type.is_symlink(), file_type.is_dir()) {
        (true, _) => Type::Symlink,
        (_, true) => Type::Dir,
        _ => Type::File,
    };
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    Facts {
        kind,
        mode: 0o755,
        links: 1,
        identity: Identity {
            device: 0,
            inode: hasher.finish(),
            size: metadata.len(),
            mtime: time(metadata.modified()),
            ctime: time(metadata.created()),
        },
    }
}

fn time(time: io::Result<SystemTime>) -> Time {
    let elapsed = time
        .unwrap_or(UNIX_EPOCH)
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Time {
        seconds: elapsed.as_secs() as i64,
        nanos: elapsed.subsec_nanos(),
    }
}
