//! ADD's archives: tars, compressed or not, put into the image entry by entry.
//!
//! An archive is untrusted. Its root is the destination folder: absolute names and symlinks, also those of the image,
//! lead no further. What an entry takes the place of goes, except that folders merge. File contents wait in a spool,
//! since entries come in any order and layers are sorted.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use kiln_layer::{
    Entry, Kind, Limits, TarEntry, TarError, TarReader, file_name, join, parent, whiteout,
};
use kiln_oci::decompress;

use crate::content::{Content, Spool};
use crate::error::{CopyError, show};
use crate::owner::Owner;
use crate::resolve::{Lookup, resolve};
use crate::source::CAPABILITY;
use crate::staging::{NewDirs, StagedNode, Staging, Standing};
use crate::stat::Stat;

/// Most bytes that an archive may unpack to, headers included. Ten times the largest image layers seen.
const MAX_UNPACKED: u64 = 100 << 30;

/// Whether the bytes, decompressed, start as a tar does. Names do not count.
pub(crate) fn is_archive(content: &Content) -> bool {
    let Ok((_, reader)) = content.open().and_then(decompress) else {
        return false;
    };
    let first = TarReader::new(reader.take(MAX_UNPACKED), Limits::default()).next_entry();
    matches!(
        first,
        Ok(Some(_)) | Err(TarError::Path { .. } | TarError::UnsupportedType { .. })
    )
}

/// Puts one archive into the image.
pub(crate) struct Unpacker<'s, 'v> {
    staging: &'s mut Staging<'v>,
    dest: Vec<u8>,
    name: String,
    owner: Option<Owner>,
    epoch: Option<i64>,
    spool: Arc<Spool>,
    spooled: u64,
}

/// The destination folder as a root of its own.
struct Jail<'s, 'v> {
    staging: &'s Staging<'v>,
    root: StagedNode,
}

impl Lookup for Jail<'_, '_> {
    type Node = StagedNode;

    fn root(&self) -> Result<StagedNode, CopyError> {
        Ok(self.root.clone())
    }

    fn child(&self, dir: &StagedNode, name: &[u8]) -> Result<Option<StagedNode>, CopyError> {
        self.staging.child(dir, name)
    }

    fn link_target(&self, node: &StagedNode) -> Result<Option<Vec<u8>>, CopyError> {
        self.staging.link_target(node)
    }
}

impl<'s, 'v> Unpacker<'s, 'v> {
    pub fn new(
        staging: &'s mut Staging<'v>,
        dest: &[u8],
        name: String,
        owner: Option<Owner>,
        epoch: Option<i64>,
    ) -> Unpacker<'s, 'v> {
        let spool = Arc::new(Spool::new());
        Unpacker {
            staging,
            dest: dest.to_vec(),
            name,
            owner,
            epoch,
            spool,
            spooled: 0,
        }
    }

    /// Read the whole archive; large contents wait in a file in `scratch`.
    pub fn unpack(&mut self, content: &Content, scratch: &Path) -> Result<(), CopyError> {
        let (_, stream) = content
            .open()
            .and_then(decompress)
            .map_err(|error| self.broken(error.into()))?;
        // One byte more than allowed tells "too large" from "cut off".
        let mut tar = TarReader::new(stream.take(MAX_UNPACKED + 1), Limits::default());
        while let Some(TarEntry { entry, .. }) =
            tar.next_entry().map_err(|error| self.broken(error))?
        {
            if self.spooled.saturating_add(entry.data_len()) > MAX_UNPACKED {
                return Err(CopyError::ArchiveTooLarge {
                    name: self.name.clone(),
                    limit: MAX_UNPACKED,
                });
            }
            let markers = entry
                .path
                .split(|&b| b == b'/')
                .any(|name| name.starts_with(whiteout::PREFIX));
            if !entry.path.is_empty() && !markers {
                self.put(entry, &mut tar, scratch)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, entry: Entry, data: &mut dyn Read, scratch: &Path) -> Result<(), CopyError> {
        let folder = self.locate(parent(&entry.path).unwrap_or_default())?;
        let new = NewDirs {
            mode: 0o755,
            owner: self.owner.unwrap_or_default(),
            mtime: self.epoch.unwrap_or(0),
        };
        self.staging.make_dirs(&folder, &new)?;
        let path = join(&folder, file_name(&entry.path));
        let (stat, content) = match &entry.kind {
            Kind::Hardlink { target } => match self.link(target)? {
                Some(linked) => linked,
                None => return Err(self.dangling(&entry.path, target)),
            },
            Kind::File { size } => {
                let content = self.spool(data, *size, scratch)?;
                (self.stat(&entry), Some(content))
            }
            _ => (self.stat(&entry), None),
        };
        let below = self.staging.dir_below(&folder)?;
        if self.staging.standing(&below, &path)? == Standing::Dir && !stat.is_dir() {
            self.staging.drop_below(&path);
        }
        self.staging.put(path, stat, content)
    }

    /// A path of the archive as a path of the image, symlinks followed inside the destination.
    fn locate(&self, path: &[u8]) -> Result<Vec<u8>, CopyError> {
        let root = self.staging.node(&self.dest)?;
        let inside = match root {
            Some(root) => {
                resolve(
                    &Jail {
                        staging: self.staging,
                        root,
                    },
                    path,
                )?
                .path
            }
            None => path.to_vec(),
        };
        Ok(if inside.is_empty() {
            self.dest.clone()
        } else {
            join(&self.dest, &inside)
        })
    }

    /// Give a file that is there another name: both become names of one inode.
    fn link(&mut self, target: &[u8]) -> Result<Option<(Stat, Option<Content>)>, CopyError> {
        let folder = self.locate(parent(target).unwrap_or_default())?;
        let path = join(&folder, file_name(target));
        let Some(mut stat) = self.staging.lstat(&path)? else {
            return Ok(None);
        };
        let content = match stat.kind {
            Kind::Dir => return Ok(None),
            Kind::File { .. } => self.staging.content(&path)?,
            _ => None,
        };
        if !self.staging.is_changed(&path) || stat.inode.is_none() {
            stat.inode = Some(self.staging.new_inode());
            self.staging.put(path, stat.clone(), content.clone())?;
        }
        Ok(Some((stat, content)))
    }

    fn spool(
        &mut self,
        data: &mut dyn Read,
        size: u64,
        scratch: &Path,
    ) -> Result<Content, CopyError> {
        let offset = self.spooled;
        let spooled = self.spool.append(offset, data, size, scratch);
        spooled.map_err(|error| self.broken(error.into()))?;
        self.spooled += size;
        Ok(Content::Spooled {
            spool: self.spool.clone(),
            offset,
            size,
        })
    }

    fn stat(&self, entry: &Entry) -> Stat {
        let owner = self.owner.unwrap_or(Owner {
            uid: entry.uid,
            gid: entry.gid,
        });
        let mut xattrs = entry.xattrs.clone();
        xattrs.retain(|name, _| name == CAPABILITY);
        Stat {
            kind: entry.kind.clone(),
            mode: entry.mode,
            uid: owner.uid,
            gid: owner.gid,
            mtime: self
                .epoch
                .map_or(entry.mtime, |epoch| entry.mtime.min(epoch)),
            xattrs,
            inode: None,
        }
    }

    fn broken(&self, source: TarError) -> CopyError {
        CopyError::Archive {
            name: self.name.clone(),
            source,
        }
    }

    fn dangling(&self, link: &[u8], target: &[u8]) -> CopyError {
        CopyError::ArchiveLink {
            name: self.name.clone(),
            link: show(link),
            target: show(target),
        }
    }
}
