//! The scanned context: names and metadata of everything a build may see.
//!
//! Nodes lie in one array, folders before what they hold, the entries of a folder next to each other and sorted by
//! the bytes of their names. Names lie in one buffer.

use crate::metadata::Identity;

/// A node of one [`Tree`]; means nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
    },
    /// A folder.
    Dir,
    /// A symlink; see [`Tree::link_target`].
    Symlink,
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Text {
    pub start: u32,
    pub len: u32,
}

/// One file, folder or link of the context.
#[derive(Debug, Clone)]
pub struct Node {
    pub(crate) name: Text,
    pub(crate) target: Text,
    pub(crate) parent: u32,
    pub(crate) first_child: u32,
    pub(crate) children: u32,
    /// False for an excluded folder that has nothing visible below it.
    pub(crate) visible: bool,
    pub(crate) identity: Identity,
    /// What it is.
    pub kind: NodeKind,
    /// Permission bits, 07777.
    pub mode: u32,
    /// Names that the inode has, on the whole file system.
    pub links: u64,
}

impl Node {
    /// Last modification, whole seconds.
    pub fn mtime(&self) -> i64 {
        self.identity.mtime.seconds
    }
}

/// A snapshot of the context's names and metadata.
#[derive(Debug, Default)]
pub struct Tree {
    pub(crate) nodes: Vec<Node>,
    pub(crate) names: Vec<u8>,
}

impl Tree {
    /// The context folder itself.
    pub const ROOT: NodeId = NodeId(0);

    /// The context folder itself.
    pub fn root(&self) -> NodeId {
        Tree::ROOT
    }

    /// Number of entries that are visible, the root not counted.
    pub fn len(&self) -> usize {
        self.nodes
            .iter()
            .skip(1)
            .filter(|node| node.visible)
            .count()
    }

    /// Whether nothing is visible.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The node behind an id of this tree.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Name of a node in its folder; empty for the root.
    pub fn name(&self, id: NodeId) -> &[u8] {
        self.text(self.node(id).name)
    }

    /// Target of a symlink, empty for anything else.
    pub fn link_target(&self, id: NodeId) -> &[u8] {
        self.text(self.node(id).target)
    }

    fn text(&self, text: Text) -> &[u8] {
        &self.names[text.start as usize..][..text.len as usize]
    }

    /// The folder that holds a node; the root holds itself.
    pub fn parent(&self, id: NodeId) -> NodeId {
        NodeId(self.node(id).parent)
    }

    /// Entries of a folder, sorted by name.
    pub fn children(&self, dir: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.all_children(dir).filter(|&id| self.node(id).visible)
    }

    /// Entries of a folder that were looked at, with those that nothing shows of.
    pub(crate) fn all_children(&self, dir: NodeId) -> impl Iterator<Item = NodeId> + Clone + use<> {
        let node = self.node(dir);
        (node.first_child..node.first_child + node.children).map(NodeId)
    }

    /// The entry of a folder with this name.
    pub fn child(&self, dir: NodeId, name: &[u8]) -> Option<NodeId> {
        let node = self.node(dir);
        let entries = &self.nodes[node.first_child as usize..][..node.children as usize];
        let index = entries
            .binary_search_by(|entry| self.text(entry.name).cmp(name))
            .ok()?;
        let id = NodeId(node.first_child + index as u32);
        self.node(id).visible.then_some(id)
    }

    /// Path of a node below the context, without a leading slash; empty for the root.
    pub fn path(&self, id: NodeId) -> Vec<u8> {
        let mut parts = Vec::new();
        let mut at = id;
        while at.0 != 0 {
            parts.push(self.name(at));
            at = self.parent(at);
        }
        parts.reverse();
        parts.join(&b'/')
    }

    /// Key that two nodes share if they are names of one inode.
    pub fn inode(&self, id: NodeId) -> (u64, u64) {
        let identity = &self.node(id).identity;
        (identity.device, identity.inode)
    }
}
