//! Unpacked file trees as data, so that two builders' results can be compared entry by entry.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What is compared of one entry. Times of folders are left out: builders make folders at different times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// `file`, `dir`, `symlink`, `fifo`, `char` or `block`.
    pub kind: &'static str,
    /// Permission bits, with setuid, setgid and sticky; 0 for symlinks.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of a file, target of a symlink, number of a device.
    pub content: Vec<u8>,
    /// Smallest path of the entries that share this file's inode, if there are others.
    pub linked_to: Option<PathBuf>,
}

/// One entry that is not the same on both sides.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// Path below the roots.
    pub path: PathBuf,
    /// What differs.
    pub what: String,
}

/// Reads everything below `root`.
///
/// # Panics
/// When something cannot be read.
#[must_use]
pub fn read_tree(root: &Path) -> BTreeMap<PathBuf, Node> {
    let mut tree = BTreeMap::new();
    let mut inodes: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    let mut paths = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder)).expect("folder is readable") {
            let path = folder.join(entry.expect("entry").file_name());
            if root
                .join(&path)
                .symlink_metadata()
                .expect("metadata")
                .is_dir()
            {
                folders.push(path.clone());
            }
            paths.insert(path);
        }
    }
    for path in paths {
        let metadata = root.join(&path).symlink_metadata().expect("metadata");
        let mut node = node(&root.join(&path), &metadata);
        if node.kind == "file" && metadata.nlink() > 1 {
            let first = inodes
                .entry((metadata.dev(), metadata.ino()))
                .or_insert_with(|| path.clone());
            node.linked_to = Some(first.clone());
        }
        tree.insert(path, node);
    }
    tree
}

fn node(path: &Path, metadata: &std::fs::Metadata) -> Node {
    let file_type = metadata.file_type();
    let (kind, content) = if file_type.is_file() {
        ("file", std::fs::read(path).expect("file is readable"))
    } else if file_type.is_dir() {
        ("dir", Vec::new())
    } else if file_type.is_symlink() {
        let target = std::fs::read_link(path).expect("link is readable");
        ("symlink", target.into_os_string().into_encoded_bytes())
    } else if file_type.is_fifo() {
        ("fifo", Vec::new())
    } else if file_type.is_char_device() {
        ("char", metadata.rdev().to_le_bytes().to_vec())
    } else {
        ("block", metadata.rdev().to_le_bytes().to_vec())
    };
    Node {
        kind,
        mode: if file_type.is_symlink() {
            0
        } else {
            metadata.mode() & 0o7777
        },
        uid: metadata.uid(),
        gid: metadata.gid(),
        content,
        linked_to: None,
    }
}

/// What differs between two trees, but for the paths for which `ignored` says so.
#[must_use]
pub fn compare_trees(
    left: &BTreeMap<PathBuf, Node>,
    right: &BTreeMap<PathBuf, Node>,
    ignored: impl Fn(&Path) -> bool,
) -> Vec<Difference> {
    let paths: BTreeSet<&PathBuf> = left.keys().chain(right.keys()).collect();
    paths
        .into_iter()
        .filter(|path| !ignored(path))
        .filter_map(|path| {
            let what = match (left.get(path), right.get(path)) {
                (Some(left), Some(right)) => describe(left, right)?,
                (Some(_), None) => "only on the left".to_owned(),
                _ => "only on the right".to_owned(),
            };
            Some(Difference {
                path: path.clone(),
                what,
            })
        })
        .collect()
}

fn describe(left: &Node, right: &Node) -> Option<String> {
    if left == right {
        return None;
    }
    if left.content != right.content {
        return Some(format!(
            "content of {} and {} bytes",
            left.content.len(),
            right.content.len()
        ));
    }
    let short = |node: &Node| {
        format!(
            "{} {:o} {}:{} {:?}",
            node.kind, node.mode, node.uid, node.gid, node.linked_to
        )
    };
    Some(format!("{} / {}", short(left), short(right)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_content_and_missing_entry_are_told() {
        let dir = tempfile::tempdir().unwrap();
        for (side, text) in [("a", "one"), ("b", "two")] {
            std::fs::create_dir(dir.path().join(side)).unwrap();
            std::fs::write(dir.path().join(side).join("f"), text).unwrap();
        }
        std::fs::write(dir.path().join("b/g"), "").unwrap();
        let (left, right) = (
            read_tree(&dir.path().join("a")),
            read_tree(&dir.path().join("b")),
        );
        let differences = compare_trees(&left, &right, |_| false);
        let paths: Vec<_> = differences
            .iter()
            .map(|d| d.path.to_str().unwrap())
            .collect();
        assert_eq!(paths, ["f", "g"]);
        assert!(compare_trees(&left, &left, |_| false).is_empty());
    }
}
