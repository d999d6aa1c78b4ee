//! Where everything goes: a position for each inode, and blocks for what does not fit beside it.
//!
//! Children of a directory lie together, after their directory, so that listing with attributes reads forward; and a
//! subdirectory's number is always above its parent's, by which readers know that a walk ends.
//! Must not write bytes. Invariant: no inode core and no inline tail crosses a block.

use crate::chunks::{self, Chunk, MAX_CHUNKS, Plan};
use crate::error::BuildError;
use crate::format::{BLOCK, CHUNK_INDEX_LEN, DIRENT_LEN, FIRST_INODE, INODE_LEN, SLOT};
use crate::node::{Node, NodeId, NodeKind};
use crate::tree::{ROOT, Tree};
use crate::xattr;

/// The inode that all whiteouts share.
pub(crate) const WHITEOUT: NodeId = NodeId::MAX;

/// The kernel takes 32 bits of blocks.
const MAX_LEN: u64 = (u32::MAX as u64 - 1) * BLOCK as u64;

/// Data that belong to an inode, with their size.
#[derive(Debug)]
pub(crate) enum Body {
    None,
    /// Bytes right after the attributes.
    Inline(usize),
    /// Bytes from a block of their own.
    Blocks {
        first: u32,
        len: usize,
    },
    /// Chunk indexes after the attributes; copied blocks from `first_copy`.
    Chunks {
        plan: Plan,
        first_copy: u32,
    },
}

/// One inode with its place.
#[derive(Debug)]
pub(crate) struct Placed {
    pub node: NodeId,
    pub parent: NodeId,
    pub position: usize,
    /// The attributes as stored, opaque mark included.
    pub xattrs: Vec<u8>,
    pub body: Body,
}

#[derive(Debug)]
pub(crate) struct Layout {
    /// In order of position; the root first.
    pub inodes: Vec<Placed>,
    /// Index into `inodes` by node.
    places: Vec<u32>,
    whiteout_place: u32,
    /// Names of each inode, by place.
    pub links: Vec<u32>,
    /// Where the inodes end, and the index.
    pub inodes_end: usize,
    pub total_len: usize,
}

const UNPLACED: u32 = u32::MAX;

impl Layout {
    pub fn place_of(&self, node: NodeId) -> usize {
        let place = match node {
            WHITEOUT => self.whiteout_place,
            node => self.places[node as usize],
        };
        place as usize
    }

    /// The number by which directories and the kernel call an inode.
    pub fn nid(&self, node: NodeId) -> u64 {
        (self.inodes[self.place_of(node)].position / SLOT) as u64
    }

    pub fn new(tree: &Tree, tar_len: u64) -> Result<Self, BuildError> {
        let mut layout = Self {
            inodes: Vec::new(),
            places: vec![UNPLACED; tree.nodes.len()],
            whiteout_place: UNPLACED,
            links: Vec::new(),
            inodes_end: FIRST_INODE,
            total_len: 0,
        };
        let mut chunk_budget = MAX_CHUNKS;
        layout.place(tree, ROOT, ROOT, tar_len, &mut chunk_budget)?;
        // A stack, not recursion: depth is the layer's choice.
        let mut waiting = vec![ROOT];
        while let Some(dir) = waiting.pop() {
            let before = waiting.len();
            for (_, node) in named(tree.node(dir)) {
                if layout.is_placed(node) {
                    let place = layout.place_of(node);
                    layout.links[place] += 1;
                    continue;
                }
                layout.place(tree, node, dir, tar_len, &mut chunk_budget)?;
                if node != WHITEOUT && tree.node(node).children().is_some() {
                    waiting.push(node);
                }
            }
            let place = layout.place_of(dir);
            layout.links[place] += (waiting.len() - before) as u32;
            waiting[before..].reverse();
        }
        layout.place_blocks()?;
        Ok(layout)
    }

    fn is_placed(&self, node: NodeId) -> bool {
        let place = match node {
            WHITEOUT => self.whiteout_place,
            node => self.places[node as usize],
        };
        place != UNPLACED
    }

    fn place(
        &mut self,
        tree: &Tree,
        id: NodeId,
        parent: NodeId,
        tar_len: u64,
        chunk_budget: &mut u64,
    ) -> Result<(), BuildError> {
        let place = self.inodes.len() as u32;
        let (xattrs, body, is_dir) = match id {
            WHITEOUT => (Vec::new(), Body::None, false),
            _ => {
                let node = tree.node(id);
                let xattrs = stored_xattrs(node)?;
                let body = body_of(node, &xattrs, place + 1, tar_len, chunk_budget)?;
                (xattrs, body, node.children().is_some())
            }
        };
        match id {
            WHITEOUT => self.whiteout_place = place,
            id => self.places[id as usize] = place,
        }
        let core_len = INODE_LEN + xattrs.len();
        let (together, len) = match &body {
            Body::Inline(len) => (core_len + len, core_len + len),
            Body::Chunks { plan, .. } => {
                let indexes = CHUNK_INDEX_LEN * plan.chunks.len();
                (
                    INODE_LEN,
                    core_len.next_multiple_of(CHUNK_INDEX_LEN) + indexes,
                )
            }
            Body::None | Body::Blocks { .. } => (INODE_LEN, core_len),
        };
        let mut position = self.inodes_end;
        if position % BLOCK + together > BLOCK {
            position = position.next_multiple_of(BLOCK);
        }
        self.inodes_end = (position + len).next_multiple_of(SLOT);
        self.inodes.push(Placed {
            node: id,
            parent,
            position,
            xattrs,
            body,
        });
        self.links.push(if is_dir { 2 } else { 1 });
        check_len(self.inodes_end)
    }

    fn place_blocks(&mut self) -> Result<(), BuildError> {
        let mut next = self.inodes_end.div_ceil(BLOCK);
        for inode in &mut self.inodes {
            check_len(next * BLOCK)?;
            match &mut inode.body {
                Body::Blocks { first, len } => {
                    *first = next as u32;
                    next += len.div_ceil(BLOCK);
                }
                Body::Chunks { plan, first_copy } => {
                    *first_copy = next as u32;
                    next += plan
                        .chunks
                        .iter()
                        .filter(|&&chunk| chunk == Chunk::Copy)
                        .count();
                }
                Body::None | Body::Inline(_) => {}
            }
        }
        self.total_len = next * BLOCK;
        check_len(self.total_len)
    }
}

fn check_len(len: usize) -> Result<(), BuildError> {
    match len as u64 <= MAX_LEN {
        true => Ok(()),
        false => Err(BuildError::TooMany {
            what: "bytes of index",
            limit: MAX_LEN,
        }),
    }
}

fn stored_xattrs(node: &Node) -> Result<Vec<u8>, BuildError> {
    let mut xattrs = node.xattrs.clone();
    if node.opaque && node.children().is_some() {
        let full = || BuildError::TooLarge {
            path: Vec::new(),
            field: "extended attribute",
        };
        xattr::add_opaque(&mut xattrs).ok_or_else(full)?;
    }
    Ok(xattrs)
}

fn body_of(
    node: &Node,
    xattrs: &[u8],
    ino: u32,
    tar_len: u64,
    chunk_budget: &mut u64,
) -> Result<Body, BuildError> {
    let bytes = |len: usize| match INODE_LEN + xattrs.len() + len <= BLOCK {
        true => Body::Inline(len),
        false => Body::Blocks { first: 0, len },
    };
    Ok(match &node.kind {
        NodeKind::Dir(_) => bytes(dir_len(node)),
        NodeKind::Symlink(target) if target.is_empty() => Body::None,
        NodeKind::Symlink(target) => bytes(target.len()),
        NodeKind::File(file) if file.size == 0 => Body::None,
        NodeKind::File(file) => {
            let plan = chunks::plan(file, ino, tar_len, chunk_budget)?;
            Body::Chunks {
                plan,
                first_copy: 0,
            }
        }
        NodeKind::Device { .. } | NodeKind::Fifo => Body::None,
    })
}

/// The names that the index will hold in a directory, in order, without `.` and `..`.
pub(crate) fn named(node: &Node) -> impl Iterator<Item = (&[u8], NodeId)> {
    let children = node.children().into_iter().flatten();
    children.filter_map(|(name, child)| {
        // In an opaque directory there is nothing to remove, and overlayfs would list the whiteouts.
        let whiteout = child.whiteout && !node.opaque;
        let shown = child.node.or_else(|| whiteout.then_some(WHITEOUT));
        Some((&**name, shown?))
    })
}

/// All names of a directory as stored, `.` and `..` where they sort.
pub(crate) fn listing(node: &Node, this: NodeId, parent: NodeId) -> Vec<(&[u8], NodeId)> {
    let mut names: Vec<(&[u8], NodeId)> = named(node).collect();
    for (dots, target) in [(&b"."[..], this), (b"..", parent)] {
        let at = names.partition_point(|&(name, _)| name < dots);
        names.insert(at, (dots, target));
    }
    names
}

fn dir_len(node: &Node) -> usize {
    let mut packing = Packing::default();
    for (name, _) in listing(node, ROOT, ROOT) {
        packing.add(name.len());
    }
    packing.len()
}

/// Fills directory blocks with entries.
#[derive(Debug, Default)]
pub(crate) struct Packing {
    full_blocks: usize,
    used: usize,
}

impl Packing {
    /// Whether the next entry opens a new block.
    pub fn add(&mut self, name_len: usize) -> bool {
        let opens = self.used + DIRENT_LEN + name_len > BLOCK;
        if opens {
            self.full_blocks += 1;
            self.used = 0;
        }
        self.used += DIRENT_LEN + name_len;
        opens
    }

    pub fn len(&self) -> usize {
        self.full_blocks * BLOCK + self.used
    }
}
