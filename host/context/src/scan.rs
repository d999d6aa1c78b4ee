//! The walk: folders level by level, their entries in parallel.
//!
//! Excluded files cost one comparison and no system call; excluded folders are entered only when a `!` rule might
//! bring back something below. Sockets have no meaning in an image and are left out, as everywhere else.

use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::error::ContextError;
use crate::ignore::{Ignore, MatchState};
use crate::metadata::{Facts, Folder, Type};
use crate::tree::{Node, NodeKind, Text, Tree};

/// Most entries of a context. The arrays hold 32-bit indexes; real contexts stay far below.
const MAX_ENTRIES: usize = 20_000_000;
/// Folders that are open at one time: well below the usual limit of 1,024 files or, on macOS, 256.
const OPEN_FOLDERS: usize = 64;
/// Entries that one task asks the system about: some tens of microseconds of work.
const ENTRIES_PER_TASK: usize = 128;

/// A folder still to be read.
struct Job {
    node: u32,
    path: Vec<u8>,
    state: MatchState,
}

/// A name that survived the rules, or an excluded folder that has to be entered.
struct Candidate {
    name: Vec<u8>,
    excluded: bool,
    state: MatchState,
}

struct Found {
    candidate: Candidate,
    facts: Facts,
    target: Vec<u8>,
}

/// Walk `root`.
pub(crate) fn scan(root: &Path, ignore: &Ignore) -> Result<Tree, ContextError> {
    let open = |source| ContextError::Open {
        path: root.to_path_buf(),
        source,
    };
    let facts = Folder::open(root, b"")
        .and_then(|folder| folder.own_facts())
        .map_err(open)?;
    if facts.kind != Type::Dir {
        return Err(open(io::ErrorKind::NotADirectory.into()));
    }
    let mut tree = Tree::default();
    tree.nodes
        .push(node(&facts, 0, true).expect("a folder is kept"));
    let mut level = vec![Job {
        node: 0,
        path: Vec::new(),
        state: MatchState::default(),
    }];
    while !level.is_empty() {
        let mut next = Vec::new();
        for batch in level.chunks(OPEN_FOLDERS) {
            let found = read_batch(root, ignore, batch)?;
            for (job, entries) in batch.iter().zip(found) {
                add_entries(&mut tree, job, entries, &mut next)?;
            }
        }
        level = next;
    }
    show_parents(&mut tree);
    Ok(tree)
}

fn read_batch(
    root: &Path,
    ignore: &Ignore,
    batch: &[Job],
) -> Result<Vec<Vec<Found>>, ContextError> {
    let listed: Vec<(Folder, Vec<Candidate>)> = if batch.len() < 4 {
        batch
            .iter()
            .map(|job| list(root, ignore, job))
            .collect::<Result<_, _>>()?
    } else {
        batch
            .par_iter()
            .map(|job| list(root, ignore, job))
            .collect::<Result<_, _>>()?
    };
    let total: usize = listed.iter().map(|(_, candidates)| candidates.len()).sum();
    let (folders, candidates): (Vec<Folder>, Vec<Vec<Candidate>>) = listed.into_iter().unzip();
    let look = |(index, candidate)| look_at(&folders[index], &batch[index], candidate);
    let flat = || {
        candidates
            .into_iter()
            .enumerate()
            .flat_map(|(index, list)| list.into_iter().map(move |c| (index, c)))
    };
    let looked: Vec<(usize, Option<Found>)> = if total < 2 * ENTRIES_PER_TASK {
        flat()
            .map(|item| Ok((item.0, look(item)?)))
            .collect::<Result<_, ContextError>>()?
    } else {
        let flat: Vec<(usize, Candidate)> = flat().collect();
        flat.into_par_iter()
            .with_min_len(ENTRIES_PER_TASK)
            .map(|item| Ok((item.0, look(item)?)))
            .collect::<Result<_, ContextError>>()?
    };
    let mut found: Vec<Vec<Found>> = (0..batch.len()).map(|_| Vec::new()).collect();
    for (index, entry) in looked {
        found[index].extend(entry);
    }
    Ok(found)
}

fn list(root: &Path, ignore: &Ignore, job: &Job) -> Result<(Folder, Vec<Candidate>), ContextError> {
    let fail = |source| read_error(&job.path, source);
    let folder = Folder::open(root, &job.path).map_err(fail)?;
    let mut listed = folder.list().map_err(fail)?;
    listed.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let mut candidates = Vec::with_capacity(listed.len());
    let mut path = job.path.clone();
    if !path.is_empty() {
        path.push(b'/');
    }
    let stem = path.len();
    for entry in listed {
        path.truncate(stem);
        path.extend_from_slice(&entry.name);
        let plain = |excluded, state| Candidate {
            name: entry.name.clone(),
            excluded,
            state,
        };
        if ignore.is_empty() {
            candidates.push(Candidate {
                name: entry.name,
                excluded: false,
                state: MatchState::default(),
            });
            continue;
        }
        let is_dir = match entry.is_dir {
            Some(is_dir) => is_dir,
            None => {
                folder
                    .facts(&entry.name)
                    .map_err(|e| read_error(&path, e))?
                    .kind
                    == Type::Dir
            }
        };
        if is_dir {
            let (excluded, state) = ignore.check(&path, &job.state);
            if !excluded || ignore.may_bring_back_below(&path) {
                candidates.push(plain(excluded, state));
            }
        } else if !ignore.excludes_file(&path, &job.state) {
            candidates.push(plain(false, MatchState::default()));
        }
    }
    Ok((folder, candidates))
}

/// Ask for metadata; a file that vanished meanwhile is no longer part of the context.
fn look_at(
    folder: &Folder,
    job: &Job,
    candidate: Candidate,
) -> Result<Option<Found>, ContextError> {
    let looked = folder.facts(&candidate.name).and_then(|facts| {
        let target = match facts.kind {
            Type::Symlink => folder.link_target(&candidate.name)?,
            _ => Vec::new(),
        };
        Ok((facts, target))
    });
    match looked {
        Ok((facts, target)) => Ok(Some(Found {
            candidate,
            facts,
            target,
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(read_error(&join(&job.path, &candidate.name), error)),
    }
}

fn add_entries(
    tree: &mut Tree,
    job: &Job,
    entries: Vec<Found>,
    next: &mut Vec<Job>,
) -> Result<(), ContextError> {
    let first = tree.nodes.len();
    let room = u32::MAX as usize / 2;
    if first + entries.len() > MAX_ENTRIES || tree.names.len() > room {
        return Err(ContextError::TooManyEntries { limit: MAX_ENTRIES });
    }
    for Found {
        candidate,
        facts,
        target,
    } in entries
    {
        let Some(mut node) = node(&facts, job.node, !candidate.excluded) else {
            continue;
        };
        node.name = store(&mut tree.names, &candidate.name);
        node.target = store(&mut tree.names, &target);
        if node.kind == NodeKind::Dir {
            let path = join(&job.path, &candidate.name);
            next.push(Job {
                node: tree.nodes.len() as u32,
                path,
                state: candidate.state,
            });
        }
        tree.nodes.push(node);
    }
    let children = (tree.nodes.len() - first) as u32;
    let dir = &mut tree.nodes[job.node as usize];
    dir.first_child = first as u32;
    dir.children = children;
    Ok(())
}

/// An excluded folder shows if something below it does. Children come after parents, so one pass backwards does.
fn show_parents(tree: &mut Tree) {
    for index in (1..tree.nodes.len()).rev() {
        if tree.nodes[index].visible {
            let parent = tree.nodes[index].parent as usize;
            tree.nodes[parent].visible = true;
        }
    }
}

fn node(facts: &Facts, parent: u32, visible: bool) -> Option<Node> {
    let kind = match facts.kind {
        Type::File => NodeKind::File {
            size: facts.identity.size,
        },
        Type::Dir => NodeKind::Dir,
        Type::Symlink => NodeKind::Symlink,
        Type::Fifo => NodeKind::Fifo,
        Type::CharDevice { major, minor } => NodeKind::CharDevice { major, minor },
        Type::BlockDevice { major, minor } => NodeKind::BlockDevice { major, minor },
        Type::Socket => return None,
    };
    Some(Node {
        name: Text::default(),
        target: Text::default(),
        parent,
        first_child: 0,
        children: 0,
        visible,
        identity: facts.identity,
        kind,
        mode: facts.mode,
        links: facts.links,
    })
}

fn store(names: &mut Vec<u8>, text: &[u8]) -> Text {
    let start = names.len() as u32;
    names.extend_from_slice(text);
    Text {
        start,
        len: text.len() as u32,
    }
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() {
        name.to_vec()
    } else {
        [dir, b"/", name].concat()
    }
}

fn read_error(path: &[u8], source: io::Error) -> ContextError {
    ContextError::Read {
        path: PathBuf::from(String::from_utf8_lossy(path).into_owned()),
        source,
    }
}
