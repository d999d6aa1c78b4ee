//! Puts selected files into an image: what lands where, and what it may take the place of.
//!
//! The rules are BuildKit's. Folders that are made for the destination are plain; a folder that is copied onto one
//! that exists gives it its mode and owner, except the outermost, which is left alone. A file replaces a file or a
//! link, never a folder.

use std::collections::HashMap;

use kiln_context::clean;
use kiln_layer::{Kind, join, parent};

use crate::archive;
use crate::chmod::Chmod;
use crate::content::Content;
use crate::error::{CopyError, show};
use crate::owner::Owner;
use crate::select::{Pick, Selected};
use crate::source::SourceTree;
use crate::staging::{Below, NewDirs, Staging, Standing};
use crate::stat::Stat;

/// One step's copying: the image so far and the flags.
pub(crate) struct Copier<'s, 'v> {
    pub staging: &'s mut Staging<'v>,
    pub dest: &'s [u8],
    pub chmod: Option<&'s Chmod>,
    pub owner: Option<Owner>,
    pub epoch: Option<i64>,
    pub scratch: &'s std::path::Path,
}

/// A file that comes from no tree.
pub(crate) struct LooseFile {
    pub name: Vec<u8>,
    pub stat: Stat,
    pub content: Content,
}

/// A folder of the destination and what the image below has there, as the last file found it.
struct Folder {
    path: Vec<u8>,
    below: Below,
}

impl Folder {
    fn find(staging: &Staging<'_>, path: &[u8]) -> Result<Folder, CopyError> {
        let below = staging.dir_below(path)?;
        let path = path.to_vec();
        Ok(Folder { path, below })
    }
}

impl Copier<'_, '_> {
    /// Copy what a source selected.
    pub fn copy(&mut self, selected: &Selected, unpack: bool) -> Result<(), CopyError> {
        if !selected.stat.is_dir() {
            let content = match selected.stat.kind {
                Kind::File { .. } => Some(selected.tree.content(&selected.node)?),
                _ => None,
            };
            let mut stat = selected.stat.clone();
            stat.xattrs = selected.tree.xattrs(&selected.node, &stat)?;
            return self.copy_file(&selected.name, stat, content, unpack);
        }
        let dest = self.prepare()?;
        let target = self.staging.resolve(&dest)?.path;
        match self.staging.lstat(&target)? {
            Some(stat) if !stat.is_dir() => {
                return Err(CopyError::DirOverFile {
                    path: show(&target),
                });
            }
            Some(_) => {}
            None => self.make_dirs(&target)?,
        }
        self.copy_picks(&selected.tree, &target, &selected.picks)
    }

    /// Copy a file that comes from no tree.
    pub fn copy_loose(&mut self, file: LooseFile, unpack: bool) -> Result<(), CopyError> {
        self.copy_file(&file.name, file.stat, Some(file.content), unpack)
    }

    fn copy_file(
        &mut self,
        name: &[u8],
        stat: Stat,
        content: Option<Content>,
        unpack: bool,
    ) -> Result<(), CopyError> {
        if let (true, Some(content)) = (unpack, &content)
            && archive::is_archive(content)
        {
            return self.unpack(name, content);
        }
        let dest = self.prepare()?;
        let mut target = self.staging.resolve(&dest)?.path;
        let there = self.staging.lstat(&target)?;
        if there.is_some_and(|stat| stat.is_dir()) {
            target = join(&target, name);
        }
        let folder = parent(&target).unwrap_or_default();
        self.make_dirs(folder)?;
        let folder = Folder::find(self.staging, folder)?;
        let inode = None;
        self.put_file(&folder, target, Stat { inode, ..stat }, content)
    }

    fn unpack(&mut self, name: &[u8], content: &Content) -> Result<(), CopyError> {
        let dest = self.staging.resolve(&clean(self.dest))?.path;
        // --chmod does not reach into archives, nor to the folder they go to.
        let mode = 0o755;
        let new = self.new_dirs();
        self.staging.make_dirs(&dest, &NewDirs { mode, ..new })?;
        let name = show(name);
        let mut unpacker =
            archive::Unpacker::new(self.staging, &dest, name, self.owner, self.epoch);
        unpacker.unpack(content, self.scratch)
    }

    /// Make the destination's folder, or the destination if it is one by its slash; the clean destination.
    fn prepare(&mut self) -> Result<Vec<u8>, CopyError> {
        let end = match self.dest.iter().rposition(|&b| b == b'/') {
            Some(slash) if slash + 1 == self.dest.len() || &self.dest[slash + 1..] == b"." => {
                self.dest.len()
            }
            Some(slash) => slash,
            None => 0,
        };
        let folder = self.staging.resolve(&self.dest[..end])?.path;
        self.make_dirs(&folder)?;
        Ok(clean(self.dest))
    }

    fn make_dirs(&mut self, path: &[u8]) -> Result<(), CopyError> {
        let new = self.new_dirs();
        self.staging.make_dirs(path, &new)
    }

    fn new_dirs(&self) -> NewDirs {
        NewDirs {
            mode: Chmod::for_created_dirs(self.chmod),
            owner: self.owner.unwrap_or_default(),
            mtime: self.epoch.unwrap_or(0),
        }
    }

    fn copy_picks(
        &mut self,
        tree: &SourceTree,
        target: &[u8],
        picks: &[Pick],
    ) -> Result<(), CopyError> {
        // Names of one inode stay linked within one source, as they do when BuildKit copies it.
        let mut inodes: HashMap<(u64, u64), (u64, u64)> = HashMap::new();
        let mut folder = Folder::find(self.staging, target)?;
        for pick in picks {
            let path = join(target, &pick.path);
            let dir = parent(&path).unwrap_or_default();
            if dir != folder.path {
                folder = Folder::find(self.staging, dir)?;
            }
            if pick.stat.is_dir() {
                self.put_dir(&folder, path, pick)?;
                continue;
            }
            let mut stat = pick.stat.clone();
            let mut content = None;
            if let Kind::File { .. } = stat.kind {
                content = Some(tree.content(&pick.node)?);
                stat.xattrs = tree.xattrs(&pick.node, &stat)?;
                let new = || self.staging.new_inode();
                let number = |inode| *inodes.entry(inode).or_insert_with(new);
                stat.inode = stat.inode.map(number);
            }
            self.put_file(&folder, path, stat, content)?;
        }
        Ok(())
    }

    fn put_dir(&mut self, folder: &Folder, path: Vec<u8>, pick: &Pick) -> Result<(), CopyError> {
        let standing = self.staging.standing(&folder.below, &path)?;
        let stat = match standing {
            Standing::Other => return Err(CopyError::DirOverFile { path: show(&path) }),
            // Only its mode goes to a folder that is there already, as it is in the source.
            Standing::Dir if pick.on_the_way => {
                let old = self.staging.lstat(&path)?.unwrap_or_else(Stat::implied_dir);
                Stat {
                    mode: pick.stat.mode,
                    ..old
                }
            }
            _ => self.dress(pick.stat.clone()),
        };
        self.staging.put(path, stat, None)
    }

    fn put_file(
        &mut self,
        folder: &Folder,
        path: Vec<u8>,
        stat: Stat,
        content: Option<Content>,
    ) -> Result<(), CopyError> {
        if self.staging.standing(&folder.below, &path)? == Standing::Dir {
            return Err(CopyError::FileOverDir { path: show(&path) });
        }
        let stat = self.dress(stat);
        self.staging.put(path, stat, content)
    }

    /// Apply the flags to a copied file or folder.
    fn dress(&self, mut stat: Stat) -> Stat {
        if let Some(owner) = self.owner {
            (stat.uid, stat.gid) = (owner.uid, owner.gid);
        }
        if let (Some(chmod), false) = (self.chmod, matches!(stat.kind, Kind::Symlink { .. })) {
            stat.mode = chmod.apply(stat.mode, stat.is_dir());
        }
        if let Some(epoch) = self.epoch {
            stat.mtime = stat.mtime.min(epoch);
        }
        stat
    }
}
