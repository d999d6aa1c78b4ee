//! Where COPY and ADD take files from: a context or an image, behind one set of questions.

use std::collections::BTreeMap;
use std::sync::Arc;

use kiln_context::{Context, FileFacts, NodeId, NodeKind, RuleRef, Tree};
use kiln_layer::Kind;
use kiln_oci::Hasher;
use rayon::prelude::*;

use crate::content::Content;
use crate::error::{CopyError, Place};
use crate::resolve::Lookup;
use crate::stat::Stat;
use crate::view::{MergedView, ViewNode};

/// The one extended attribute that a copy keeps, as BuildKit's layers do.
pub(crate) const CAPABILITY: &[u8] = b"security.capability";

/// Most bytes that one source may take from an image, holes included. A small layer can hold files of any length.
const MAX_IMAGE_BYTES: u64 = 256 << 30;

/// A tree of files to copy from.
#[derive(Debug, Clone)]
pub enum SourceTree {
    /// A folder on the host.
    Context(Arc<Context>),
    /// A stage or an image.
    Image(Arc<MergedView>),
}

/// A file, folder or link of a source.
#[derive(Debug, Clone)]
pub(crate) enum SourceNode {
    Context(NodeId),
    Image(ViewNode),
}

impl SourceTree {
    pub(crate) fn place(&self) -> Place {
        match self {
            SourceTree::Context(_) => Place::Context,
            SourceTree::Image(_) => Place::Image,
        }
    }

    /// The rule that hides a path of a context.
    pub(crate) fn ignored_by(&self, path: &[u8]) -> Option<RuleRef> {
        match self {
            SourceTree::Context(context) => context.excluded(path),
            SourceTree::Image(_) => None,
        }
    }

    /// Metadata, without the extended attributes of a context's files: see [`SourceTree::xattrs`].
    pub(crate) fn stat(&self, node: &SourceNode) -> Result<Stat, CopyError> {
        match (self, node) {
            (SourceTree::Context(context), SourceNode::Context(id)) => {
                Ok(context_stat(context.tree()?, *id))
            }
            (SourceTree::Image(view), SourceNode::Image(node)) => {
                let mut stat = view.node_stat(node)?;
                stat.xattrs.retain(|name, _| name == CAPABILITY);
                Ok(stat)
            }
            _ => unreachable!("a node is asked of the tree that gave it"),
        }
    }

    /// Extended attributes to keep. Reads a context's file if its digest is not known.
    pub(crate) fn xattrs(
        &self,
        node: &SourceNode,
        stat: &Stat,
    ) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, CopyError> {
        match (self, node) {
            (SourceTree::Context(context), SourceNode::Context(id))
                if matches!(stat.kind, Kind::File { .. }) =>
            {
                let facts = context
                    .facts(&[*id])?
                    .pop()
                    .and_then(|facts| facts.capability);
                Ok(facts
                    .map(|value| (CAPABILITY.to_vec(), value))
                    .into_iter()
                    .collect())
            }
            _ => Ok(stat.xattrs.clone()),
        }
    }

    /// Digests and capabilities of regular files. Those of an image are read, in parallel; a context remembers.
    pub(crate) fn facts(
        &self,
        files: &[(&SourceNode, &Stat)],
    ) -> Result<Vec<FileFacts>, CopyError> {
        match self {
            SourceTree::Context(context) => {
                let ids = files.iter().map(|(node, _)| match node {
                    SourceNode::Context(id) => *id,
                    SourceNode::Image(_) => {
                        unreachable!("a node is asked of the tree that gave it")
                    }
                });
                Ok(context.facts(&ids.collect::<Vec<_>>())?)
            }
            SourceTree::Image(_) => {
                let sizes = files.iter().map(|(_, stat)| stat.size());
                if sizes.fold(0, u64::saturating_add) > MAX_IMAGE_BYTES {
                    return Err(CopyError::TooMuch {
                        limit: MAX_IMAGE_BYTES,
                    });
                }
                files
                    .par_iter()
                    .map(|(node, stat)| self.read_facts(node, stat))
                    .collect()
            }
        }
    }

    fn read_facts(&self, node: &SourceNode, stat: &Stat) -> Result<FileFacts, CopyError> {
        let mut hasher = Hasher::new();
        let read = self
            .content(node)?
            .open()
            .and_then(|mut file| std::io::copy(&mut file, &mut hasher));
        read.map_err(|source| CopyError::Read {
            what: self.place().to_string(),
            source,
        })?;
        let capability = stat.xattrs.get(CAPABILITY).cloned();
        Ok(FileFacts {
            digest: *hasher.finish().as_bytes(),
            capability,
        })
    }

    /// Entries of a folder, sorted by name.
    pub(crate) fn children(
        &self,
        dir: &SourceNode,
    ) -> Result<Vec<(Vec<u8>, SourceNode)>, CopyError> {
        match (self, dir) {
            (SourceTree::Context(context), SourceNode::Context(id)) => {
                let tree = context.tree()?;
                let entry = |child| (tree.name(child).to_vec(), SourceNode::Context(child));
                Ok(tree.children(*id).map(entry).collect())
            }
            (SourceTree::Image(view), SourceNode::Image(node)) => {
                let children = view.children(node)?.into_iter();
                Ok(children
                    .map(|(name, child)| (name, SourceNode::Image(child)))
                    .collect())
            }
            _ => unreachable!("a node is asked of the tree that gave it"),
        }
    }

    /// The content of a regular file.
    pub(crate) fn content(&self, node: &SourceNode) -> Result<Content, CopyError> {
        match (self, node) {
            (SourceTree::Context(context), SourceNode::Context(id)) => Ok(Content::Context {
                context: context.clone(),
                node: *id,
            }),
            (SourceTree::Image(view), SourceNode::Image(node)) => {
                Ok(Content::Layer(view.content(node)?))
            }
            _ => unreachable!("a node is asked of the tree that gave it"),
        }
    }
}

impl Lookup for SourceTree {
    type Node = SourceNode;

    fn root(&self) -> Result<SourceNode, CopyError> {
        match self {
            SourceTree::Context(_) => Ok(SourceNode::Context(Tree::ROOT)),
            SourceTree::Image(view) => view.root().map(SourceNode::Image),
        }
    }

    fn child(&self, dir: &SourceNode, name: &[u8]) -> Result<Option<SourceNode>, CopyError> {
        match (self, dir) {
            (SourceTree::Context(context), SourceNode::Context(id)) => {
                Ok(context.tree()?.child(*id, name).map(SourceNode::Context))
            }
            (SourceTree::Image(view), SourceNode::Image(node)) => {
                Ok(view.child(node, name)?.map(SourceNode::Image))
            }
            _ => unreachable!("a node is asked of the tree that gave it"),
        }
    }

    fn link_target(&self, node: &SourceNode) -> Result<Option<Vec<u8>>, CopyError> {
        match (self, node) {
            (SourceTree::Context(context), SourceNode::Context(id)) => {
                let tree = context.tree()?;
                Ok((tree.node(*id).kind == NodeKind::Symlink)
                    .then(|| tree.link_target(*id).to_vec()))
            }
            (SourceTree::Image(view), SourceNode::Image(node)) => view.link_target(node),
            _ => unreachable!("a node is asked of the tree that gave it"),
        }
    }
}

/// A context's files belong to nobody on the host that the image knows: all are root's.
fn context_stat(tree: &Tree, id: NodeId) -> Stat {
    let node = tree.node(id);
    let kind = match node.kind {
        NodeKind::File { size } => Kind::File { size },
        NodeKind::Dir => Kind::Dir,
        NodeKind::Symlink => Kind::Symlink {
            target: tree.link_target(id).to_vec(),
        },
        NodeKind::Fifo => Kind::Fifo,
        NodeKind::CharDevice { major, minor } => Kind::CharDevice { major, minor },
        NodeKind::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
    };
    let several = node.links > 1 && matches!(kind, Kind::File { .. });
    Stat {
        kind,
        mode: node.mode,
        uid: 0,
        gid: 0,
        mtime: node.mtime(),
        xattrs: BTreeMap::new(),
        inode: several.then(|| tree.inode(id)),
    }
}
