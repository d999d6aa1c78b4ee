//! One layer of an image: its index, loaded at the first look, and its tar, opened at the first read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use kiln_erofs::{Extent, Index, IndexError, Nid, Source};
use kiln_layer::Kind;
use kiln_oci::DiffId;
use kiln_store::Store;

use crate::error::CopyError;
use crate::stat::Stat;

pub(crate) struct Layer {
    diff_id: DiffId,
    origin: Origin,
    index: OnceLock<Arc<Index>>,
    tar: Mutex<Option<File>>,
}

enum Origin {
    Store(Store),
    Files { tar: PathBuf },
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Layer").field(&self.diff_id).finish()
    }
}

impl Layer {
    pub fn of_store(store: &Store, diff_id: DiffId) -> Layer {
        Layer {
            diff_id,
            origin: Origin::Store(store.clone()),
            index: OnceLock::new(),
            tar: Mutex::default(),
        }
    }

    pub fn of_files(diff_id: DiffId, index: Arc<Index>, tar: PathBuf) -> Layer {
        Layer {
            diff_id,
            origin: Origin::Files { tar },
            index: OnceLock::from(index),
            tar: Mutex::default(),
        }
    }

    pub fn diff_id(&self) -> DiffId {
        self.diff_id
    }

    fn index(&self) -> Result<&Index, CopyError> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let Origin::Store(store) = &self.origin else {
            unreachable!("a layer of files comes with its index")
        };
        let index = store
            .read_index(self.diff_id)
            .map_err(|error| self.failed(error))?;
        Ok(self.index.get_or_init(|| index))
    }
}

impl Layer {
    /// The root folder.
    pub fn root(&self) -> Result<Nid, CopyError> {
        Ok(self.index()?.root())
    }

    /// What an inode is, and whether it is a folder that hides those below it.
    pub fn stat(&self, nid: Nid) -> Result<(Stat, bool), CopyError> {
        let inode = self
            .index()?
            .inode(nid)
            .map_err(|error| self.failed(error))?;
        let several = inode.nlink > 1 && matches!(inode.kind, Kind::File { .. });
        let stat = Stat {
            kind: inode.kind,
            mode: inode.mode,
            uid: inode.uid,
            gid: inode.gid,
            mtime: inode.mtime,
            xattrs: inode.xattrs,
            inode: several.then(|| (0, nid.get())),
        };
        Ok((stat, inode.opaque))
    }

    /// The entry of a folder; nothing if `dir` is none.
    pub fn lookup(&self, dir: Nid, name: &[u8]) -> Result<Option<Nid>, CopyError> {
        match self.index()?.lookup(dir, name) {
            Err(IndexError::NotDirectory { .. }) => Ok(None),
            found => found.map_err(|error| self.failed(error)),
        }
    }

    /// Names in a folder, sorted.
    pub fn read_dir(&self, dir: Nid) -> Result<Vec<(Vec<u8>, Nid)>, CopyError> {
        let entries = self
            .index()?
            .read_dir(dir)
            .map_err(|error| self.failed(error))?;
        Ok(entries
            .into_iter()
            .map(|entry| (entry.name.to_vec(), entry.nid))
            .collect())
    }

    /// The pieces of a file.
    pub fn extents(&self, nid: Nid) -> Result<Vec<Extent>, CopyError> {
        self.index()?
            .extents(nid)
            .map_err(|error| self.failed(error))
    }

    /// Read from a piece of a file, `done` bytes after its start; `buffer` is no longer than what is left of it.
    pub fn read_extent(&self, extent: &Extent, done: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match extent.source {
            Source::Hole => buffer.fill(0),
            Source::Index(offset) => {
                let index = self.index.get().ok_or(io::ErrorKind::NotFound)?;
                let bytes = index.own_bytes(offset + done, buffer.len() as u64);
                buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            }
            Source::Tar(offset) => {
                let mut tar = self.tar.lock().unwrap_or_else(PoisonError::into_inner);
                let tar = match &mut *tar {
                    Some(tar) => tar,
                    closed => closed.insert(self.open_tar()?),
                };
                tar.seek(SeekFrom::Start(offset + done))?;
                return tar.read(buffer);
            }
        }
        Ok(buffer.len())
    }

    fn open_tar(&self) -> io::Result<File> {
        match &self.origin {
            Origin::Store(store) => store.open_layer_tar(self.diff_id).map_err(io::Error::other),
            Origin::Files { tar } => File::open(tar),
        }
    }

    fn failed(&self, error: impl std::error::Error + Send + Sync + 'static) -> CopyError {
        CopyError::Layer {
            diff_id: self.diff_id,
            source: io::Error::other(error),
        }
    }
}
