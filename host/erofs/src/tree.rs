//! The tree that a layer's entries add up to.
//!
//! Owns the rules of the tar and of OCI: parents are implied, the later entry of a path replaces the earlier, a
//! directory over a directory keeps what is in it, a whiteout speaks of the layers below only, so that a path both
//! whited out and present in one layer is present and hides what is below it.
//! Must not know positions or bytes of the index.
//! Invariant: node 0 is the root and a directory; every other reachable node has a name.

use kiln_layer::{Entry, Kind, MAX_NAME_LEN, MAX_PATH_LEN, file_name, parent, whiteout};

use crate::error::BuildError;
use crate::links::{self, names_of};
use crate::node::{Child, Node, NodeId, NodeKind};

pub(crate) const ROOT: NodeId = 0;

/// More inodes than any layer seen by a factor of six; bounds memory at some 1 GiB.
const MAX_NODES: usize = 4_000_000;

/// Names, targets, attributes and sparse maps together.
const MAX_TEXT: u64 = 1 << 29;

#[derive(Debug)]
pub(crate) struct Tree {
    pub nodes: Vec<Node>,
    text: u64,
    pub link_steps: usize,
    /// The directory of the entry before, as most entries share it with the next.
    last_dir: (Vec<u8>, NodeId),
}

impl Tree {
    pub fn new() -> Self {
        Self {
            nodes: vec![Node::implied_dir()],
            text: 0,
            link_steps: links::MAX_STEPS,
            last_dir: (Vec::new(), ROOT),
        }
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    pub fn add(
        &mut self,
        entry: &Entry,
        tar_offset: u64,
        sparse: Option<&[(u64, u64)]>,
    ) -> Result<(), BuildError> {
        let path = entry.path.as_slice();
        if path.len() > MAX_PATH_LEN {
            return Err(BuildError::Name {
                path: path.to_vec(),
            });
        }
        match whiteout::classify(path) {
            whiteout::PathRole::Ignored => Ok(()),
            whiteout::PathRole::Opaque(dir) => {
                let dir = self.directory(&dir)?;
                self.nodes[dir as usize].opaque = true;
                Ok(())
            }
            whiteout::PathRole::Whiteout(target) => self.add_whiteout(&target),
            whiteout::PathRole::Normal => self.add_normal(entry, tar_offset, sparse),
        }
    }

    fn add_whiteout(&mut self, target: &[u8]) -> Result<(), BuildError> {
        let dir = self.directory(parent(target).unwrap_or_default())?;
        let child = self.child(dir, file_name(target), target)?;
        child.whiteout = true;
        // Present as well: what is below must not shine through a directory.
        if let Some(node) = child.node {
            self.nodes[node as usize].opaque = true;
        }
        Ok(())
    }

    fn add_normal(
        &mut self,
        entry: &Entry,
        tar_offset: u64,
        sparse: Option<&[(u64, u64)]>,
    ) -> Result<(), BuildError> {
        if let Kind::Hardlink { target } = &entry.kind {
            return self.add_link(&entry.path, target);
        }
        let mut node = Node::from_entry(entry, tar_offset, sparse)?;
        self.text += node.text_len() as u64;
        check_text(self.text)?;
        if entry.path.is_empty() {
            return self.replace_root(node);
        }
        let dir = self.directory(parent(&entry.path).unwrap_or_default())?;
        let child = self.child(dir, file_name(&entry.path), &entry.path)?;
        node.opaque = child.whiteout;
        let Some(present) = child.node else {
            let id = self.push(node)?;
            self.child(dir, file_name(&entry.path), &entry.path)?.node = Some(id);
            return Ok(());
        };
        if self.node(present).children().is_some() && entry.is_dir() {
            self.merge_directory(present, node);
            return Ok(());
        }
        let id = self.push(node)?;
        self.set_child(dir, &entry.path, id)
    }

    /// New metadata for a directory that is there; its children and opaqueness stay.
    fn merge_directory(&mut self, present: NodeId, newer: Node) {
        let older = &mut self.nodes[present as usize];
        let kind = std::mem::replace(&mut older.kind, NodeKind::Fifo);
        *older = Node {
            kind,
            opaque: older.opaque || newer.opaque,
            ..newer
        };
    }

    fn replace_root(&mut self, node: Node) -> Result<(), BuildError> {
        if node.children().is_none() {
            return Err(BuildError::RootNotDirectory);
        }
        self.merge_directory(ROOT, node);
        Ok(())
    }

    fn add_link(&mut self, path: &[u8], target: &[u8]) -> Result<(), BuildError> {
        let missing = || BuildError::LinkTarget {
            path: path.to_vec(),
            target: target.to_vec(),
        };
        let node = self.lookup(target).ok_or_else(missing)?;
        if self.node(node).children().is_some() || path.is_empty() {
            return Err(missing());
        }
        // May replace a directory that holds the target: the node lives on, only its other name goes.
        self.directory(parent(path).unwrap_or_default())?;
        self.set_child_at(path, node)
    }

    fn set_child_at(&mut self, path: &[u8], node: NodeId) -> Result<(), BuildError> {
        let dir = self.directory(parent(path).unwrap_or_default())?;
        self.set_child(dir, path, node)
    }

    fn set_child(&mut self, dir: NodeId, path: &[u8], node: NodeId) -> Result<(), BuildError> {
        self.child(dir, file_name(path), path)?.node = Some(node);
        // A directory may have gone, the remembered one among them.
        self.last_dir = (Vec::new(), ROOT);
        Ok(())
    }

    /// The node at `path` within this layer; links in the path are not followed.
    fn lookup(&self, path: &[u8]) -> Option<NodeId> {
        let names = path
            .split(|&byte| byte == b'/')
            .filter(|name| !name.is_empty());
        names
            .into_iter()
            .try_fold(ROOT, |dir, name| self.node(dir).children()?.get(name)?.node)
    }

    /// The directory at `path`, made with its parents where missing or where something else stands there.
    ///
    /// A link to a directory of this layer is followed, as by an extractor that has just made it.
    fn directory(&mut self, path: &[u8]) -> Result<NodeId, BuildError> {
        if self.last_dir.0 == path {
            return Ok(self.last_dir.1);
        }
        let mut trail = vec![ROOT];
        for name in names_of(path) {
            let dir = trail[trail.len() - 1];
            let child = self.child(dir, name, path)?;
            let (present, hidden) = (child.node, child.whiteout);
            let kind = present.map(|node| (node, &self.node(node).kind));
            let linked = match kind {
                Some((node, NodeKind::Dir(_))) => {
                    trail.push(node);
                    continue;
                }
                Some((link, NodeKind::Symlink(_))) => self.follow(&trail, link),
                _ => None,
            };
            if let Some(linked) = linked {
                trail = linked;
                continue;
            }
            let node = self.push(Node {
                opaque: hidden,
                ..Node::implied_dir()
            })?;
            self.child(dir, name, path)?.node = Some(node);
            trail.push(node);
        }
        let dir = trail[trail.len() - 1];
        self.last_dir = (path.to_vec(), dir);
        Ok(dir)
    }

    /// The slot of a name, made if missing.
    fn child(&mut self, dir: NodeId, name: &[u8], path: &[u8]) -> Result<&mut Child, BuildError> {
        let bad = || BuildError::Name {
            path: path.to_vec(),
        };
        if name.is_empty()
            || name.len() > MAX_NAME_LEN
            || name == b"."
            || name == b".."
            || name.contains(&0)
        {
            return Err(bad());
        }
        let children = self.nodes[dir as usize].children_mut().ok_or_else(bad)?;
        // `entry` would allocate the name each time.
        if !children.contains_key(name) {
            self.text += name.len() as u64;
            check_text(self.text)?;
            children.insert(name.into(), Child::default());
        }
        Ok(children.get_mut(name).expect("the name was just inserted"))
    }

    fn push(&mut self, node: Node) -> Result<NodeId, BuildError> {
        if self.nodes.len() >= MAX_NODES {
            return Err(BuildError::TooMany {
                what: "entries",
                limit: MAX_NODES as u64,
            });
        }
        self.nodes.push(node);
        Ok((self.nodes.len() - 1) as NodeId)
    }
}

fn check_text(text: u64) -> Result<(), BuildError> {
    match text <= MAX_TEXT {
        true => Ok(()),
        false => Err(BuildError::TooMany {
            what: "bytes of names and attributes",
            limit: MAX_TEXT,
        }),
    }
}
