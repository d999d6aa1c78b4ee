//! Links among the directories of an entry's path: followed within the layer, or not at all.
//!
//! Invariant: the steps of a whole tree are bounded, whatever links a layer holds; beyond, links are not followed.

use crate::node::{NodeId, NodeKind};
use crate::tree::Tree;

/// Links in one path, as Linux allows.
const MAX_LINKS: usize = 40;

/// Names walked on behalf of links, over the whole layer: about a second.
pub(crate) const MAX_STEPS: usize = 20_000_000;

/// The components of a path.
pub(crate) fn names_of(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
}

impl Tree {
    /// The directories from the root to what `link` names, if that is a directory of this layer.
    pub fn follow(&mut self, trail: &[NodeId], link: NodeId) -> Option<Vec<NodeId>> {
        let steps = self.link_steps.saturating_sub(trail.len());
        let mut walk = Walk {
            tree: self,
            trail: trail.to_vec(),
            links: 0,
            steps,
        };
        let found = walk.follow(link);
        let Walk { trail, steps, .. } = walk;
        self.link_steps = steps;
        found.map(|()| trail)
    }
}

struct Walk<'a> {
    tree: &'a Tree,
    trail: Vec<NodeId>,
    links: usize,
    steps: usize,
}

impl Walk<'_> {
    fn follow(&mut self, link: NodeId) -> Option<()> {
        self.links += 1;
        let NodeKind::Symlink(target) = &self.tree.node(link).kind else {
            return None;
        };
        if self.links > MAX_LINKS {
            return None;
        }
        if target.starts_with(b"/") {
            self.trail.truncate(1);
        }
        names_of(target).try_for_each(|name| self.step(name))
    }

    fn step(&mut self, name: &[u8]) -> Option<()> {
        self.steps = self.steps.checked_sub(1)?;
        match name {
            b"." => {}
            // Above the root is the root.
            b".." if self.trail.len() == 1 => {}
            b".." => drop(self.trail.pop()),
            name => {
                let dir = self.tree.node(*self.trail.last()?);
                let node = dir.children()?.get(name)?.node?;
                match self.tree.node(node).kind {
                    NodeKind::Dir(_) => self.trail.push(node),
                    NodeKind::Symlink(_) => self.follow(node)?,
                    _ => return None,
                }
            }
        }
        Some(())
    }
}
