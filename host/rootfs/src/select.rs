//! Which files a COPY or ADD takes: patterns, symlinks, `--parents` and `--exclude`, as BuildKit reads them.
//!
//! The result says nothing of the destination. A folder gives what it holds, a file gives itself; a pattern that
//! matches nothing gives nothing, while a plain path has to exist.

use kiln_context::{Glob, clean, fold, has_wildcards};
use kiln_layer::{Kind, file_name, join, whiteout};

use crate::error::{CopyError, show};
use crate::filter::{Filter, FilterState};
use crate::resolve::{Lookup, resolve};
use crate::source::{SourceNode, SourceTree};
use crate::spec::CopySpec;
use crate::stat::Stat;

/// One file or folder that a source names.
#[derive(Debug)]
pub(crate) struct Selected {
    pub tree: SourceTree,
    pub node: SourceNode,
    pub stat: Stat,
    /// Name in a destination folder, if this is no folder itself.
    pub name: Vec<u8>,
    /// For a folder: what it holds, folders before their entries.
    pub picks: Vec<Pick>,
}

/// Something below a selected folder.
#[derive(Debug)]
pub(crate) struct Pick {
    /// Relative to the selected folder.
    pub path: Vec<u8>,
    pub node: SourceNode,
    pub stat: Stat,
    /// A folder that is not taken itself and only holds something that is.
    pub on_the_way: bool,
}

impl Selected {
    /// All regular files among it, in order.
    pub fn files(&self) -> impl Iterator<Item = (&SourceNode, &Stat)> {
        let picks = self.picks.iter().map(|pick| (&pick.node, &pick.stat));
        let all = std::iter::once((&self.node, &self.stat)).chain(picks);
        all.filter(|(_, stat)| matches!(stat.kind, Kind::File { .. }))
    }
}

/// Find what `path` of `tree` names.
pub(crate) fn select(
    spec: &CopySpec,
    tree: &SourceTree,
    path: &[u8],
) -> Result<Vec<Selected>, CopyError> {
    let (start, pattern) = if spec.parents {
        split_pivot(path)
    } else {
        (path.to_vec(), None)
    };
    let rooted = clean(&[b"/", start.as_slice()].concat());
    let filter = Filter::new(pattern.as_deref(), &spec.excludes)?;
    if let Some(pattern) = &pattern {
        require(tree, &[&rooted, b"/".as_slice(), pattern].concat())?;
    }
    let mut selected = Vec::new();
    for (path, node) in expand(tree, &rooted)? {
        let stat = tree.stat(&node)?;
        let name = file_name(&path).to_vec();
        let mut picks = Vec::new();
        if stat.is_dir() {
            let walk = Walk {
                tree,
                filter: &filter,
                on_the_way: Vec::new(),
                picks: Vec::new(),
            };
            picks = walk.run(&node)?;
        } else if filter.excludes_file(&name) || is_marker(&name) {
            continue;
        }
        selected.push(Selected {
            tree: tree.clone(),
            node,
            stat,
            name,
            picks,
        });
    }
    Ok(selected)
}

/// What is named without a pattern has to exist.
fn require(tree: &SourceTree, path: &[u8]) -> Result<(), CopyError> {
    if !has_wildcards(path) {
        find(tree, &clean(path))?;
    }
    Ok(())
}

/// `--parents`: where to start, and the pattern of what to take from there. Without a pattern, everything.
fn split_pivot(path: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let pivot = path.windows(3).position(|window| window == b"/./");
    let (start, pattern) = match pivot {
        Some(at) => (&path[..at], &path[at + 3..]),
        None => (&b"/"[..], path),
    };
    let pattern = clean(&[b"/", pattern].concat());
    (
        start.to_vec(),
        (pattern.len() > 1).then(|| pattern[1..].to_vec()),
    )
}

/// The node at a plain path, all symlinks followed.
fn find(tree: &SourceTree, path: &[u8]) -> Result<SourceNode, CopyError> {
    if let Some(node) = resolve(tree, path)?.node {
        return Ok(node);
    }
    Err(CopyError::NotFound {
        path: show(path),
        place: tree.place(),
        ignored_by: tree.ignored_by(path),
        similar: similar(tree, path)?.map(|path| show(&path)),
    })
}

/// The path that is there if upper and lower case do not count. Links are not followed.
fn similar(tree: &SourceTree, path: &[u8]) -> Result<Option<Vec<u8>>, CopyError> {
    let (mut at, mut found) = (tree.root()?, Vec::new());
    for wanted in path.split(|&b| b == b'/').filter(|part| !part.is_empty()) {
        if !tree.stat(&at)?.is_dir() {
            return Ok(None);
        }
        let alike = |(name, _): &(Vec<u8>, SourceNode)| fold(name) == fold(wanted);
        let entry = match tree.child(&at, wanted)? {
            Some(node) => Some((wanted.to_vec(), node)),
            None => tree.children(&at)?.into_iter().find(alike),
        };
        let Some((name, node)) = entry else {
            return Ok(None);
        };
        found.push(b'/');
        found.extend_from_slice(&name);
        at = node;
    }
    Ok(Some(found))
}

/// All paths that a rooted, clean path or pattern stands for, in order.
fn expand(tree: &SourceTree, path: &[u8]) -> Result<Vec<(Vec<u8>, SourceNode)>, CopyError> {
    let parts: Vec<&[u8]> = path
        .split(|&b| b == b'/')
        .filter(|part| !part.is_empty())
        .collect();
    let Some(first) = parts.iter().position(|part| has_wildcards(part)) else {
        return Ok(vec![(path.to_vec(), find(tree, path)?)]);
    };
    let base = [b"/".as_slice(), &parts[..first].join(&b'/')].concat();
    // A malformed pattern matches nothing, as in Go's walk.
    let globs: Result<Vec<Glob>, _> = parts[first..].iter().map(|part| Glob::go(part)).collect();
    let Ok(globs) = globs else {
        return Ok(Vec::new());
    };
    let mut level = vec![(base.clone(), find(tree, &base)?)];
    for glob in &globs {
        let mut next = Vec::new();
        for (path, node) in level
            .iter()
            .filter_map(|(path, node)| Some((path, node.as_folder(tree)?)))
        {
            for (name, child) in tree.children(node)? {
                if glob.matches(&name) && !is_marker(&name) {
                    next.push((join(path.strip_suffix(b"/").unwrap_or(path), &name), child));
                }
            }
        }
        level = next;
    }
    // What matches is looked up anew: a match that is a symlink is followed.
    level
        .into_iter()
        .map(|(path, _)| Ok((path.clone(), find(tree, &path)?)))
        .collect()
}

impl SourceNode {
    fn as_folder(&self, tree: &SourceTree) -> Option<&SourceNode> {
        tree.stat(self)
            .is_ok_and(|stat| stat.is_dir())
            .then_some(self)
    }
}

/// A name that layers keep for themselves: such a file cannot be stored.
fn is_marker(name: &[u8]) -> bool {
    name.starts_with(whiteout::PREFIX)
}

/// A folder that is being walked.
struct Level {
    entries: std::vec::IntoIter<(Vec<u8>, SourceNode)>,
    path: Vec<u8>,
    state: FilterState,
    /// How many folders waited in `on_the_way` before this one.
    waiting: usize,
}

struct Walk<'a> {
    tree: &'a SourceTree,
    filter: &'a Filter,
    /// Folders entered but not taken, and not yet in `picks`.
    on_the_way: Vec<Pick>,
    picks: Vec<Pick>,
}

impl Walk<'_> {
    /// Take what the filter lets through, folders before their entries. No recursion: trees may be very deep.
    fn run(mut self, root: &SourceNode) -> Result<Vec<Pick>, CopyError> {
        let mut levels = vec![self.level(root, Vec::new(), FilterState::default(), 0)?];
        while let Some(level) = levels.last_mut() {
            let Some((name, node)) = level.entries.next() else {
                self.on_the_way.truncate(level.waiting);
                levels.pop();
                continue;
            };
            if is_marker(&name) {
                continue;
            }
            let stat = self.tree.stat(&node)?;
            let path = join(&level.path, &name);
            let verdict = self.filter.judge(&path, stat.is_dir(), &level.state);
            let waiting = self.on_the_way.len();
            if !verdict.take && !verdict.enter {
                continue;
            }
            self.take(&path, &node, stat, verdict.take);
            if verdict.enter {
                levels.push(self.level(&node, path, verdict.state, waiting)?);
            }
        }
        Ok(self.picks)
    }

    fn take(&mut self, path: &[u8], node: &SourceNode, stat: Stat, taken: bool) {
        let pick = Pick {
            path: path.to_vec(),
            node: node.clone(),
            stat,
            on_the_way: !taken,
        };
        if taken {
            self.picks.append(&mut self.on_the_way);
            self.picks.push(pick);
        } else {
            self.on_the_way.push(pick);
        }
    }

    fn level(
        &self,
        dir: &SourceNode,
        path: Vec<u8>,
        state: FilterState,
        waiting: usize,
    ) -> Result<Level, CopyError> {
        let entries = self.tree.children(dir)?.into_iter();
        Ok(Level {
            entries,
            path,
            state,
            waiting,
        })
    }
}
