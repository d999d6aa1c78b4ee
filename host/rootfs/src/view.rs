//! The files of an image: its layers' indexes seen as one tree, as overlayfs would show them.
//!
//! Nothing is unpacked and nothing is read before it is asked for; a layer's index is loaded at the first look into
//! it. Whiteouts and opaque folders are applied here and never show.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use kiln_erofs::{Index, Nid};
use kiln_layer::Kind;
use kiln_oci::{DiffId, Digest, Hasher};
use kiln_store::Store;

use crate::content::LayerContent;
use crate::error::{CopyError, show};
use crate::layer::Layer;
use crate::resolve::{Lookup, resolve};
use crate::stat::Stat;

/// The layers of an image, bottom first.
#[derive(Debug, Clone, Default)]
pub struct MergedView {
    layers: Vec<Arc<Layer>>,
}

/// A file, folder or link of a view: folders by all layers that they are merged from, the top one first.
#[derive(Debug, Clone)]
pub(crate) struct ViewNode {
    merged: Vec<(usize, Nid)>,
}

impl MergedView {
    /// The image that has no files.
    pub fn empty() -> MergedView {
        MergedView::default()
    }

    /// The layers `diff_ids` of a store, bottom first; none is read yet.
    pub fn of_store(store: &Store, diff_ids: &[DiffId]) -> MergedView {
        let layer = |diff_id: &DiffId| Arc::new(Layer::of_store(store, *diff_id));
        MergedView {
            layers: diff_ids.iter().map(layer).collect(),
        }
    }

    /// This view with one more layer, given by its index and tar, on top.
    #[must_use]
    pub fn with_layer(mut self, diff_id: DiffId, index: Arc<Index>, tar: PathBuf) -> MergedView {
        self.layers
            .push(Arc::new(Layer::of_files(diff_id, index, tar)));
        self
    }

    /// Whether there are no layers at all.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// A digest that is equal for equal layers.
    pub fn identity(&self) -> Digest {
        let mut hasher = Hasher::new();
        self.layers
            .iter()
            .for_each(|layer| hasher.update(layer.diff_id().0.as_bytes()));
        hasher.finish()
    }

    /// What `path` is, symlinks followed inside the image.
    pub fn stat(&self, path: &[u8]) -> Result<Option<Stat>, CopyError> {
        resolve(self, path)?
            .node
            .map(|node| self.node_stat(&node))
            .transpose()
    }

    /// What `path` is itself; links in its folders are followed.
    pub fn lstat(&self, path: &[u8]) -> Result<Option<Stat>, CopyError> {
        let path = kiln_context::clean(&[b"/", path].concat());
        let name = kiln_layer::file_name(&path);
        let folder = &path[..path.len() - name.len()];
        if name.is_empty() {
            return self.node_stat(&self.root()?).map(Some);
        }
        let Some(folder) = resolve(self, folder)?.node else {
            return Ok(None);
        };
        self.child(&folder, name)?
            .map(|node| self.node_stat(&node))
            .transpose()
    }

    /// Names in a folder, sorted; nothing if it is no folder.
    pub fn read_dir(&self, path: &[u8]) -> Result<Option<Vec<Vec<u8>>>, CopyError> {
        let Some(node) = resolve(self, path)?.node else {
            return Ok(None);
        };
        if self.node_stat(&node)?.kind != Kind::Dir {
            return Ok(None);
        }
        Ok(Some(
            self.children(&node)?
                .into_iter()
                .map(|(name, _)| name)
                .collect(),
        ))
    }

    /// The bytes of a regular file of at most `limit` bytes; nothing if there is no such file.
    pub fn read_file(&self, path: &[u8], limit: u64) -> Result<Option<Vec<u8>>, CopyError> {
        let Some(node) = resolve(self, path)?.node else {
            return Ok(None);
        };
        let Kind::File { size } = self.node_stat(&node)?.kind else {
            return Ok(None);
        };
        if size > limit {
            return Err(CopyError::TooLarge {
                path: show(path),
                size,
                limit,
            });
        }
        let mut bytes = Vec::with_capacity(size as usize);
        let mut reader = self.content(&node)?.open();
        reader
            .read_to_end(&mut bytes)
            .map_err(|source| CopyError::Read {
                what: show(path),
                source,
            })?;
        Ok(Some(bytes))
    }

    pub(crate) fn content(&self, node: &ViewNode) -> Result<LayerContent, CopyError> {
        let (layer, nid) = node.merged[0];
        LayerContent::new(self.layers[layer].clone(), nid)
    }

    /// Entries of a folder, sorted by name.
    pub(crate) fn children(&self, dir: &ViewNode) -> Result<Vec<(Vec<u8>, ViewNode)>, CopyError> {
        let mut names: BTreeMap<Vec<u8>, Merge> = BTreeMap::new();
        for &(layer, nid) in &dir.merged {
            for (name, child) in self.layers[layer].read_dir(nid)? {
                let merge = match names.entry(name) {
                    Slot::Occupied(slot) => slot.into_mut(),
                    Slot::Vacant(slot) => slot.insert(Merge::default()),
                };
                self.merge(merge, layer, child)?;
            }
        }
        let found = names
            .into_iter()
            .filter(|(_, merge)| !merge.merged.is_empty());
        Ok(found
            .map(|(name, merge)| {
                (
                    name,
                    ViewNode {
                        merged: merge.merged,
                    },
                )
            })
            .collect())
    }

    /// Take into account what one layer, below those seen so far, has under a name.
    fn merge(&self, merge: &mut Merge, layer: usize, nid: Nid) -> Result<(), CopyError> {
        if merge.done {
            return Ok(());
        }
        let (stat, opaque) = self.layers[layer].stat(nid)?;
        match stat.kind {
            Kind::CharDevice { major: 0, minor: 0 } => merge.done = true,
            Kind::Dir => {
                merge.merged.push((layer, nid));
                merge.done = opaque;
            }
            _ => {
                if merge.merged.is_empty() {
                    merge.merged.push((layer, nid));
                }
                merge.done = true;
            }
        }
        Ok(())
    }

    pub(crate) fn node_stat(&self, node: &ViewNode) -> Result<Stat, CopyError> {
        let Some(&(layer, nid)) = node.merged.first() else {
            return Ok(Stat::implied_dir());
        };
        let (mut stat, _) = self.layers[layer].stat(nid)?;
        if let Some(inode) = &mut stat.inode {
            inode.0 = layer as u64;
        }
        Ok(stat)
    }
}

/// What the layers looked at so far make of a name.
#[derive(Debug, Default)]
struct Merge {
    merged: Vec<(usize, Nid)>,
    done: bool,
}

impl Lookup for MergedView {
    type Node = ViewNode;

    fn root(&self) -> Result<ViewNode, CopyError> {
        let mut merged = Vec::with_capacity(self.layers.len());
        for (number, layer) in self.layers.iter().enumerate().rev() {
            let root = layer.root()?;
            merged.push((number, root));
            if layer.stat(root)?.1 {
                break;
            }
        }
        Ok(ViewNode { merged })
    }

    fn child(&self, dir: &ViewNode, name: &[u8]) -> Result<Option<ViewNode>, CopyError> {
        let mut merge = Merge::default();
        for &(layer, nid) in &dir.merged {
            if let Some(child) = self.layers[layer].lookup(nid, name)? {
                self.merge(&mut merge, layer, child)?;
            }
            if merge.done {
                break;
            }
        }
        Ok((!merge.merged.is_empty()).then_some(ViewNode {
            merged: merge.merged,
        }))
    }

    fn link_target(&self, node: &ViewNode) -> Result<Option<Vec<u8>>, CopyError> {
        match self.node_stat(node)?.kind {
            Kind::Symlink { target } => Ok(Some(target)),
            _ => Ok(None),
        }
    }
}
