//! An image with the changes of one step on top, before they become a layer.
//!
//! Changes lie by path in one sorted map; what is not in it is what the layers below have. The map never holds
//! anything below a path that it says is no folder.

use std::collections::BTreeMap;

use kiln_layer::{Entry, Kind, MAX_NAME_LEN, MAX_PATH_LEN, join, parent, whiteout};

use crate::content::Content;
use crate::error::{CopyError, show};
use crate::owner::Owner;
use crate::resolve::{Lookup, Resolved, resolve};
use crate::stat::Stat;
use crate::view::{MergedView, ViewNode};

/// A path that a step creates or changes.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub stat: Stat,
    pub content: Option<Content>,
    /// A folder that took the place of another file, so that nothing of a folder further below shows.
    pub opaque: bool,
}

/// What folders that are made on the way look like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewDirs {
    pub mode: u32,
    pub owner: Owner,
    pub mtime: i64,
}

/// The image as the step sees it.
pub(crate) struct Staging<'a> {
    below: &'a MergedView,
    changes: BTreeMap<Vec<u8>, Change>,
    inodes: u64,
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Nothing,
    Dir,
    Other,
}

/// A folder of the image below a step's changes; none if it is new.
pub(crate) type Below = Option<ViewNode>;

#[derive(Debug, Clone)]
pub(crate) struct StagedNode {
    path: Vec<u8>,
    below: Below,
}

impl<'a> Staging<'a> {
    pub fn new(below: &'a MergedView) -> Staging<'a> {
        Staging {
            below,
            changes: BTreeMap::new(),
            inodes: 0,
        }
    }

    /// A mark for the names of one file, unlike any that an image or context has.
    pub fn new_inode(&mut self) -> (u64, u64) {
        self.inodes += 1;
        (u64::MAX, self.inodes)
    }

    /// Whether the step has changed `path`.
    pub fn is_changed(&self, path: &[u8]) -> bool {
        self.changes.contains_key(path)
    }

    /// The node at a path without symlinks.
    pub fn node(&self, path: &[u8]) -> Result<Option<StagedNode>, CopyError> {
        let mut node = Some(self.root()?);
        for name in path.split(|&b| b == b'/').filter(|name| !name.is_empty()) {
            node = match node {
                Some(parent) => self.child(&parent, name)?,
                None => None,
            };
        }
        Ok(node)
    }

    /// Follow `path` through the changes and the image.
    pub fn resolve(&self, path: &[u8]) -> Result<Resolved<StagedNode>, CopyError> {
        resolve(self, path)
    }

    /// The image's own folder at a path without symlinks, if its entries show through.
    pub fn dir_below(&self, path: &[u8]) -> Result<Below, CopyError> {
        let node = self.node(path)?;
        Ok(node.and_then(|node| node.below))
    }

    /// What is at `path`, whose folder is `dir` in the image below.
    pub fn standing(&self, dir: &Below, path: &[u8]) -> Result<Standing, CopyError> {
        let is_dir = match (self.changes.get(path), dir) {
            (Some(change), _) => change.stat.is_dir(),
            (None, None) => return Ok(Standing::Nothing),
            (None, Some(dir)) => match self.below.child(dir, kiln_layer::file_name(path))? {
                None => return Ok(Standing::Nothing),
                Some(node) => self.below.node_stat(&node)?.is_dir(),
            },
        };
        Ok(if is_dir {
            Standing::Dir
        } else {
            Standing::Other
        })
    }

    /// What is at `path` without following a link there.
    pub fn lstat(&self, path: &[u8]) -> Result<Option<Stat>, CopyError> {
        if let Some(change) = self.changes.get(path) {
            return Ok(Some(change.stat.clone()));
        }
        let Some(folder) = parent(path) else {
            return self.below.node_stat(&self.below.root()?).map(Some);
        };
        let Some(dir) = self.dir_below(folder)? else {
            return Ok(None);
        };
        let node = self.below.child(&dir, kiln_layer::file_name(path))?;
        node.map(|node| self.below.node_stat(&node)).transpose()
    }

    /// The content of a file at `path`.
    pub fn content(&self, path: &[u8]) -> Result<Option<Content>, CopyError> {
        if let Some(change) = self.changes.get(path) {
            return Ok(change.content.clone());
        }
        let Some(dir) = self.dir_below(parent(path).unwrap_or_default())? else {
            return Ok(None);
        };
        let node = self.below.child(&dir, kiln_layer::file_name(path))?;
        node.map(|node| self.below.content(&node).map(Content::Layer))
            .transpose()
    }

    /// Make the folder at `path`, which has no symlinks, and those above it.
    pub fn make_dirs(&mut self, path: &[u8], new: &NewDirs) -> Result<(), CopyError> {
        let ends = (0..path.len())
            .filter(|&at| path[at] == b'/')
            .chain([path.len()]);
        for end in ends.filter(|&end| end > 0) {
            let dir = &path[..end];
            let below = self.dir_below(parent(dir).unwrap_or_default())?;
            match self.standing(&below, dir)? {
                Standing::Dir => {}
                Standing::Other => return Err(CopyError::NotADirectory { path: show(dir) }),
                Standing::Nothing => {
                    let stat = Stat {
                        mode: new.mode,
                        uid: new.owner.uid,
                        gid: new.owner.gid,
                        mtime: new.mtime,
                        ..Stat::implied_dir()
                    };
                    self.put(dir.to_vec(), stat, None)?;
                }
            }
        }
        Ok(())
    }

    /// Create or change `path`; the caller has looked at what stands there.
    pub fn put(
        &mut self,
        path: Vec<u8>,
        stat: Stat,
        content: Option<Content>,
    ) -> Result<(), CopyError> {
        let name = kiln_layer::file_name(&path);
        if path.len() > MAX_PATH_LEN || name.len() > MAX_NAME_LEN {
            let start = &path[..path.len().min(MAX_NAME_LEN)];
            return Err(CopyError::PathTooLong { path: show(start) });
        }
        if name.starts_with(whiteout::PREFIX) {
            return Err(CopyError::ReservedName { path: show(&path) });
        }
        let opaque = match self.changes.get(&path) {
            Some(old) => stat.is_dir() && (old.opaque || !old.stat.is_dir()),
            None => false,
        };
        self.changes.insert(
            path,
            Change {
                stat,
                content,
                opaque,
            },
        );
        Ok(())
    }

    /// Forget the changes below a folder that something else takes the place of.
    pub fn drop_below(&mut self, path: &[u8]) {
        let start = [path, b"/"].concat();
        let doomed: Vec<Vec<u8>> = self
            .changes
            .range(start.clone()..)
            .take_while(|(path, _)| path.starts_with(&start))
            .map(|(path, _)| path.clone())
            .collect();
        doomed
            .iter()
            .for_each(|path| drop(self.changes.remove(path)));
    }

    /// All changes by path, with every folder that they are in as it is.
    pub fn finish(mut self) -> Result<BTreeMap<Vec<u8>, Change>, CopyError> {
        let mut missing: BTreeMap<Vec<u8>, Change> = BTreeMap::new();
        for path in self.changes.keys() {
            let mut at = path.as_slice();
            while let Some(folder) = parent(at).filter(|folder| !folder.is_empty()) {
                if self.changes.contains_key(folder) || missing.contains_key(folder) {
                    break;
                }
                let stat = self
                    .lstat(folder)?
                    .ok_or_else(|| CopyError::NotADirectory { path: show(folder) })?;
                missing.insert(
                    folder.to_vec(),
                    Change {
                        stat,
                        content: None,
                        opaque: false,
                    },
                );
                at = folder;
            }
        }
        self.changes.append(&mut missing);
        Ok(self.changes)
    }
}

impl Lookup for Staging<'_> {
    type Node = StagedNode;

    fn root(&self) -> Result<StagedNode, CopyError> {
        Ok(StagedNode {
            path: Vec::new(),
            below: Some(self.below.root()?),
        })
    }

    fn child(&self, dir: &StagedNode, name: &[u8]) -> Result<Option<StagedNode>, CopyError> {
        let path = join(&dir.path, name);
        let change = self.changes.get(&path);
        let below = match (&dir.below, change) {
            (Some(dir), None) => self.below.child(dir, name)?,
            // What was changed shows its old entries only if it is a folder upon a folder.
            (Some(dir), Some(change)) if change.stat.is_dir() && !change.opaque => {
                let old = self.below.child(dir, name)?;
                old.map(|old| Ok::<_, CopyError>((self.below.node_stat(&old)?.is_dir(), old)))
                    .transpose()?
                    .and_then(|(is_dir, old)| is_dir.then_some(old))
            }
            _ => None,
        };
        Ok((change.is_some() || below.is_some()).then_some(StagedNode { path, below }))
    }

    fn link_target(&self, node: &StagedNode) -> Result<Option<Vec<u8>>, CopyError> {
        match (self.changes.get(&node.path), &node.below) {
            (
                Some(Change {
                    stat:
                        Stat {
                            kind: Kind::Symlink { target },
                            ..
                        },
                    ..
                }),
                _,
            ) => Ok(Some(target.clone())),
            (None, Some(below)) => self.below.link_target(below),
            _ => Ok(None),
        }
    }
}

impl Change {
    /// The entry of a layer that makes this change at `path`.
    pub fn entry(&self, path: &[u8]) -> Entry {
        let Stat {
            kind,
            mode,
            uid,
            gid,
            mtime,
            xattrs,
            ..
        } = self.stat.clone();
        let mode = if matches!(kind, Kind::Symlink { .. }) {
            0o777
        } else {
            mode
        };
        Entry {
            path: path.to_vec(),
            kind,
            mode,
            uid,
            gid,
            mtime,
            xattrs,
        }
    }
}
