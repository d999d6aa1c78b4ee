//! The walk: folders level by level, their entries in parallel.
//!
//! Excluded files cost one comparison and no system call; excluded folders are entered only when a `!` rule might
//! bring back something below. Sockets have no meaning in an image and are left out, as everywhere else.

use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::error::ContextError;
use crate::ignore::{Ignore, MatchState};
use crate::metadata::{Facts, Folder, Listed, Type};
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
    let (folders, candidates): (Vec<Folder>, Vec<Vec<Candidate>>) = listed.into_iter().unzip();
    let numbered = candidates.into_iter().enumerate();
    let flat: Vec<(usize, Candidate)> = numbered
        .flat_map(|(index, list)| list.into_iter().map(move |candidate| (index, candidate)))
        .collect();
    let look = |(index, candidate): (usize, Candidate)| {
        let found = look_at(&folders[index], &batch[index], candidate)?;
        Ok((index, found))
    };
    let looked: Vec<(usize, Option<Found>)> = if flat.len() < 2 * ENTRIES_PER_TASK {
        flat.into_iter()
            .map(look)
            .collect::<Result<_, ContextError>>()?
    } else {
        flat.into_par_iter()
            .with_min_len(ENTRIES_PER_TASK)
            .map(look)
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
        let judged = judge(&folder, ignore, job, &path, &entry);
        if let Some((excluded, state)) = judged.map_err(|error| read_error(&path, error))? {
            let name = entry.name;
            candidates.push(Candidate {
                name,
                excluded,
                state,
            });
        }
    }
    Ok((folder, candidates))
}

/// Whether an entry is excluded and only has to be entered; nothing if it is of no interest at all.
fn judge(
    folder: &Folder,
    ignore: &Ignore,
    job: &Job,
    path: &[u8],
    entry: &Listed,
) -> io::Result<Option<(bool, MatchState)>> {
    if ignore.is_empty() {
        return Ok(Some((false, MatchState::default())));
    }
    let is_dir = match entry.is_dir {
        Some(is_dir) => is_dir,
        None => folder.facts(&entry.name)?.kind == Type::Dir,
    };
    if !is_dir {
        let excluded = ignore.excludes_file(path, &job.state);
        return Ok((!excluded).then(|| (false, MatchState::default())));
    }
    let (excluded, state) = ignore.check(path, &job.state);
    let wanted = !excluded || ignore.may_bring_back_below(path);
    Ok(wanted.then_some((excluded, state)))
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
