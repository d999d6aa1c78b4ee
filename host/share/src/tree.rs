//! The tree's nodes: two directories and the files added so far.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::ShareError;
use crate::file::SharedFile;

/// Nodeid of the root; FUSE fixes it.
pub(crate) const ROOT: u64 = 1;

/// Nodeid of `layers`.
pub(crate) const LAYERS: u64 = 2;

/// Name of the directory that holds the files.
pub(crate) const LAYERS_NAME: &[u8] = b"layers";

/// Longest file name, as Linux has it.
pub(crate) const MAX_NAME: usize = 255;

/// A node of the tree.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Directory,
    File(Arc<SharedFile>),
}

/// What the guest can name.
#[derive(Debug)]
pub(crate) struct Tree {
    files: HashMap<u64, Arc<SharedFile>>,
    /// Every name ever given; those taken out again have no entry in `files`.
    names: BTreeMap<Vec<u8>, (u64, PathBuf)>,
    next: u64,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            files: HashMap::new(),
            names: BTreeMap::new(),
            next: LAYERS + 1,
        }
    }
}

impl Tree {
    /// Adds `name` for the file at `path`. Adding the same file again is no error.
    pub(crate) fn add(&mut self, name: &str, path: &Path) -> Result<(), ShareError> {
        let bad = name.is_empty()
            || name.len() > MAX_NAME
            || name.contains(['/', '\0'])
            || matches!(name, "." | "..");
        if bad {
            return Err(ShareError::BadName {
                name: name.to_owned(),
            });
        }
        if let Some((nodeid, known)) = self.names.get(name.as_bytes()) {
            if known == path && self.files.contains_key(nodeid) {
                return Ok(());
            }
            return Err(ShareError::NameTaken {
                name: name.to_owned(),
            });
        }
        let file = SharedFile::open(path)?;
        self.files.insert(self.next, Arc::new(file));
        self.names
            .insert(name.as_bytes().to_vec(), (self.next, path.to_owned()));
        self.next += 1;
        Ok(())
    }

    /// Takes `name` out; whether it was there.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let nodeid = self.names.get(name.as_bytes()).map(|(nodeid, _)| *nodeid);
        nodeid.is_some_and(|nodeid| self.files.remove(&nodeid).is_some())
    }

    pub(crate) fn node(&self, nodeid: u64) -> Option<Node> {
        match nodeid {
            ROOT | LAYERS => Some(Node::Directory),
            _ => self.files.get(&nodeid).cloned().map(Node::File),
        }
    }

    pub(crate) fn lookup(&self, parent: u64, name: &[u8]) -> Option<u64> {
        match parent {
            ROOT if name == LAYERS_NAME => Some(LAYERS),
            LAYERS => {
                let (nodeid, _) = self.names.get(name)?;
                self.files.contains_key(nodeid).then_some(*nodeid)
            }
            _ => None,
        }
    }

    /// The entries of a directory after the one whose offset is `after`: (offset, nodeid, name).
    ///
    /// An entry's offset is its nodeid, which only grows, so that files added or removed during a
    /// listing neither repeat nor hide others.
    pub(crate) fn list(&self, directory: u64, after: u64) -> Vec<(u64, u64, &[u8])> {
        if directory == ROOT {
            let entry = (LAYERS, LAYERS, LAYERS_NAME);
            return if after < LAYERS {
                vec![entry]
            } else {
                Vec::new()
            };
        }
        let mut entries: Vec<_> = self
            .names
            .iter()
            .filter(|(_, (nodeid, _))| *nodeid > after && self.files.contains_key(nodeid))
            .map(|(name, (nodeid, _))| (*nodeid, *nodeid, name.as_slice()))
            .collect();
        entries.sort_unstable();
        entries
    }
}
