//! What can be asked of the share, in types: how a request was written down is its caller's matter.
//!
//! The FUSE messages of [`Server::handle`] are one way to ask; a VMM that has decoded them itself calls these
//! methods. Both get the same answers.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use crate::error::ShareError;
use crate::file::SharedFile;
use crate::tree::{Node, Tree};

/// How long the guest may believe what it was told: for its whole life, as neither a name's meaning nor a
/// file's content ever changes.
pub const VALID: Duration = Duration::from_secs(24 * 60 * 60);

/// Preferred size of reads, told to programs through `st_blksize`.
pub const BLOCK_SIZE: u32 = 4096;

const DIRECTORY_MODE: u32 = 0o040_555;
const FILE_MODE: u32 = 0o100_444;

/// Unit of `st_blocks`.
const SECTOR: u64 = 512;

/// Bit of an `access` mask that asks for writing: `W_OK`.
const ACCESS_WRITE: u32 = 2;

/// Error numbers of the guest's Linux, whatever the host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Errno {
    /// No such name.
    NoEntry = 2,
    /// The host could not read the file.
    Io = 5,
    /// A file where a directory must be.
    NotDirectory = 20,
    /// A directory where a file must be.
    IsDirectory = 21,
    /// The request is malformed.
    Invalid = 22,
    /// It would change something.
    ReadOnly = 30,
    /// The share does without this request.
    NoSuchCall = 38,
    /// Another version of the protocol.
    Protocol = 71,
    /// The node is gone or was never there.
    Stale = 116,
}

/// What is known of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Its number.
    pub nodeid: u64,
    /// Type and permissions, as `st_mode` has them.
    pub mode: u32,
    /// Names that lead to it.
    pub links: u32,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: u64,
}

/// A name in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryEntry<'a> {
    /// The node that it names.
    pub nodeid: u64,
    /// Where the listing goes on after it.
    pub offset: u64,
    /// Type and permissions, as `st_mode` has them.
    pub mode: u32,
    /// The name.
    pub name: &'a [u8],
}

/// Serves the share to one guest. All methods may be called from any thread.
#[derive(Debug, Default)]
pub struct Server {
    tree: RwLock<Tree>,
}

impl Server {
    /// A share without files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the regular file at `path` as `layers/<name>`. It must not change from now on.
    pub fn add(&self, name: &str, path: &Path) -> Result<(), ShareError> {
        self.tree
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .add(name, path)
    }

    /// Takes `layers/<name>` out and closes its file; whether it was there. The name stays used up.
    pub fn remove(&self, name: &str) -> bool {
        self.tree
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name)
    }

    /// The node called `name` in the directory `parent`. That there is none must not be remembered: the file
    /// may come later.
    pub fn lookup(&self, parent: u64, name: &[u8]) -> Result<Attributes, Errno> {
        let tree = self.tree();
        directory_of(&tree, parent)?;
        let nodeid = tree.lookup(parent, name).ok_or(Errno::NoEntry)?;
        let node = tree.node(nodeid).ok_or(Errno::NoEntry)?;
        Ok(attributes_of(nodeid, &node))
    }

    /// What is known of a node.
    pub fn attributes(&self, nodeid: u64) -> Result<Attributes, Errno> {
        let node = self.tree().node(nodeid).ok_or(Errno::Stale)?;
        Ok(attributes_of(nodeid, &node))
    }

    /// The file with this number.
    pub fn file(&self, nodeid: u64) -> Result<Arc<SharedFile>, Errno> {
        match self.tree().node(nodeid).ok_or(Errno::Stale)? {
            Node::Directory => Err(Errno::IsDirectory),
            Node::File(file) => Ok(file),
        }
    }

    /// Whether `nodeid` is a directory.
    pub fn directory(&self, nodeid: u64) -> Result<(), Errno> {
        directory_of(&self.tree(), nodeid)
    }

    /// Whether a node may be accessed in the ways that `mask` has: reading always, writing never.
    pub fn access(&self, nodeid: u64, mask: u32) -> Result<(), Errno> {
        if mask & ACCESS_WRITE != 0 {
            return Err(Errno::ReadOnly);
        }
        self.attributes(nodeid).map(drop)
    }

    /// Gives `take` the entries of a directory that come after the offset `after`, 0 being the start, until it
    /// says false.
    pub fn list(
        &self,
        directory: u64,
        after: u64,
        mut take: impl FnMut(DirectoryEntry<'_>) -> bool,
    ) -> Result<(), Errno> {
        let tree = self.tree();
        directory_of(&tree, directory)?;
        for (offset, nodeid, name) in tree.list(directory, after) {
            let mode = tree.node(nodeid).map_or(0, |node| mode_of(&node));
            let entry = DirectoryEntry {
                nodeid,
                offset,
                mode,
                name,
            };
            if !take(entry) {
                break;
            }
        }
        Ok(())
    }

    fn tree(&self) -> RwLockReadGuard<'_, Tree> {
        self.tree.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attributes {
    /// Blocks of 512 bytes, as `st_blocks` counts.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.size.div_ceil(SECTOR)
    }
}

fn directory_of(tree: &Tree, nodeid: u64) -> Result<(), Errno> {
    match tree.node(nodeid).ok_or(Errno::Stale)? {
        Node::File(_) => Err(Errno::NotDirectory),
        Node::Directory => Ok(()),
    }
}

fn mode_of(node: &Node) -> u32 {
    match node {
        Node::Directory => DIRECTORY_MODE,
        Node::File(_) => FILE_MODE,
    }
}

fn attributes_of(nodeid: u64, node: &Node) -> Attributes {
    let (size, mtime, links) = match node {
        Node::Directory => (0, 0, 2),
        Node::File(file) => (file.len(), file.mtime(), 1),
    };
    Attributes {
        nodeid,
        mode: mode_of(node),
        links,
        size,
        mtime,
    }
}
