//! A context folder with its rules: scanned once, when a step first needs it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::case::{self, CaseRule};
use crate::digest::{self, FileDigest, FileFacts};
use crate::error::ContextError;
use crate::ignore::{Ignore, RuleRef};
use crate::metadata::{self, Identity};
use crate::modes::Modes;
use crate::scan;
use crate::stat_index::StatIndex;
use crate::tree::{NodeId, NodeKind, Tree};

/// A folder on the host that a build may copy from.
#[derive(Debug)]
pub struct Context {
    root: PathBuf,
    ignore: Ignore,
    modes: Modes,
    case: CaseRule,
    index: Option<StatIndex>,
    tree: OnceLock<Tree>,
    facts: OnceLock<Vec<OnceLock<FileFacts>>>,
}

impl Context {
    /// A context at `root`; nothing is read yet.
    pub fn new(root: impl Into<PathBuf>, ignore: Ignore) -> Context {
        Context {
            root: root.into(),
            ignore,
            modes: Modes::default(),
            case: CaseRule::default(),
            index: None,
            tree: OnceLock::new(),
            facts: OnceLock::new(),
        }
    }

    /// Let digests be remembered in the file at `path`.
    #[must_use]
    pub fn with_stat_index(mut self, path: &Path) -> Context {
        self.index = Some(StatIndex::open(path));
        self
    }

    /// Let files have other modes than those that the folder's file system gives them.
    #[must_use]
    pub fn with_modes(mut self, modes: Modes) -> Context {
        self.modes = modes;
        self
    }

    /// Say whether names may differ by case alone.
    #[must_use]
    pub fn with_case(mut self, case: CaseRule) -> Context {
        self.case = case;
        self
    }

    /// The context's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The rule that hides `path`, for hints.
    pub fn excluded(&self, path: &[u8]) -> Option<RuleRef> {
        self.ignore.excluded(path)
    }

    /// Everything the build may see; the walk happens at the first call.
    pub fn tree(&self) -> Result<&Tree, ContextError> {
        if let Some(tree) = self.tree.get() {
            return Ok(tree);
        }
        let mut tree = scan::scan(&self.root, &self.ignore)?;
        case::check(&self.root, &tree, self.case)?;
        self.modes.apply(&mut tree);
        Ok(self.tree.get_or_init(|| tree))
    }

    /// Digests of files, in the order asked for. Unknown ones are read, in parallel.
    pub fn facts(&self, files: &[NodeId]) -> Result<Vec<FileFacts>, ContextError> {
        let tree = self.tree()?;
        let known = self
            .facts
            .get_or_init(|| tree.nodes.iter().map(|_| OnceLock::new()).collect());
        let missing: Vec<NodeId> = files
            .iter()
            .copied()
            .filter(|id| !self.recall(tree, known, *id))
            .collect();
        let read = |id: &NodeId| {
            self.read_facts(tree, *id)
                .map(|facts| known[id.0 as usize].get_or_init(|| facts))
        };
        if missing.len() < 2 {
            missing.iter().try_for_each(|id| read(id).map(drop))?;
        } else {
            missing.par_iter().try_for_each(|id| read(id).map(drop))?;
        }
        let facts = |id: &NodeId| known[id.0 as usize].get().expect("read above").clone();
        Ok(files.iter().map(facts).collect())
    }

    /// Fill in what the stat index knows; whether the digest is known now.
    fn recall(&self, tree: &Tree, known: &[OnceLock<FileFacts>], id: NodeId) -> bool {
        let slot = &known[id.0 as usize];
        if slot.get().is_some() {
            return true;
        }
        let Some(digest) = self
            .index
            .as_ref()
            .and_then(|index| index.lookup(&tree.node(id).identity))
        else {
            return false;
        };
        slot.get_or_init(|| FileFacts {
            digest,
            capability: None,
        });
        true
    }

    fn read_facts(&self, tree: &Tree, id: NodeId) -> Result<FileFacts, ContextError> {
        let path = tree.path(id);
        let identity = &tree.node(id).identity;
        let hashed =
            digest::hash(&self.root, &path, identity).map_err(|error| failed(&path, error))?;
        if let (Some(index), true, None) = (&self.index, hashed.steady, &hashed.facts.capability) {
            index.remember(identity, hashed.facts.digest, hashed.started);
        }
        Ok(hashed.facts)
    }

    /// Open a file whose digest was asked for before. It yields exactly the bytes behind that digest, or an error.
    pub fn open(&self, id: NodeId) -> Result<OpenedFile, ContextError> {
        let tree = self.tree()?;
        let path = tree.path(id);
        let node = tree.node(id);
        debug_assert!(matches!(node.kind, NodeKind::File { .. }));
        let open = || {
            let file = metadata::open_file(&self.root, &path)?;
            let steady = digest::is_still(&file, &node.identity)?;
            Ok((file, steady))
        };
        let (file, steady) = open().map_err(|error| failed(&path, error))?;
        let proof = if steady {
            Proof::Identity(node.identity)
        } else {
            let digest = self.facts(&[id])?.remove(0).digest;
            Proof::Digest(Sha256::new(), digest)
        };
        Ok(OpenedFile {
            file,
            left: node.identity.size,
            proof,
        })
    }

    /// Write newly computed digests to the stat index. Failing costs time in later builds and nothing else.
    pub fn save_stat_index(&self) -> io::Result<()> {
        self.index.as_ref().map_or(Ok(()), StatIndex::save)
    }
}

fn failed(path: &[u8], error: io::Error) -> ContextError {
    let path = PathBuf::from(String::from_utf8_lossy(path).into_owned());
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ContextError::Changed { path },
        _ => ContextError::Read {
            path,
            source: error,
        },
    }
}

/// A file being read, as long as it was when the context was scanned.
#[derive(Debug)]
pub struct OpenedFile {
    file: File,
    left: u64,
    proof: Proof,
}

/// What shows at the end that the bytes are the ones that were hashed.
#[derive(Debug)]
enum Proof {
    /// The file still is what it was.
    Identity(Identity),
    /// It changed since the walk, so its bytes are hashed again.
    Digest(Sha256, FileDigest),
}

impl OpenedFile {
    /// Bytes still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    fn finish(&mut self) -> io::Result<()> {
        let same = match &mut self.proof {
            Proof::Identity(identity) => digest::is_still(&self.file, identity)?,
            Proof::Digest(hasher, digest) => {
                FileDigest::from(std::mem::take(hasher).finalize()) == *digest
            }
        };
        if same {
            Ok(())
        } else {
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "file changed while it was read",
            ))
        }
    }
}

impl Read for OpenedFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let want = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let len = self.file.read(&mut buffer[..want])?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Proof::Digest(hasher, _) = &mut self.proof {
            hasher.update(&buffer[..len]);
        }
        self.left -= len as u64;
        if self.left == 0 {
            self.finish()?;
        }
        Ok(len)
    }
}
