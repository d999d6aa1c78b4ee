//! Upper and lower case in names: whether a folder's file system tells them apart, and names that clash where it
//! does not.
//!
//! Names of a context are always compared byte by byte, on every host, so that a Dockerfile that builds on one
//! builds on all. What is here finds the cases in which hosts would disagree, and names that somebody meant.

use std::collections::HashMap;
use std::path::Path;

use crate::error::ContextError;
use crate::metadata::{self, Folder, Identity};
use crate::tree::{NodeId, Tree};

/// Whether two names of one folder may differ by case alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CaseRule {
    /// As the context's own file system has it.
    #[default]
    OfFolder,
    /// Never: the context must also work where case does not count.
    Insensitive,
}

/// A name as systems that ignore case compare it. Bytes that are not UTF-8 stand for themselves.
///
/// This is Unicode's simple folding, one character to one, by way of its upper case: what NTFS and APFS do but for a
/// few letters that have no place in file names of any project seen.
pub fn fold(name: &[u8]) -> Vec<u8> {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let mut folded = Vec::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        let text: String = chunk.valid().chars().map(fold_character).collect();
        folded.extend_from_slice(text.as_bytes());
        folded.extend_from_slice(chunk.invalid());
    }
    folded
}

fn fold_character(character: char) -> char {
    let upper = single(character.to_uppercase()).unwrap_or(character);
    single(upper.to_lowercase()).unwrap_or(upper)
}

/// The one character that a mapping gives; nothing if it gives several.
fn single(mut mapping: impl Iterator<Item = char>) -> Option<char> {
    let first = mapping.next()?;
    mapping.next().is_none().then_some(first)
}

/// Entries that are looked at for one that tells. Nearly always the first does.
const PROBED: usize = 16;

/// Refuse two names in one folder that differ by case alone, if `rule` or the folder's file system asks for it.
pub(crate) fn check(root: &Path, tree: &Tree, rule: CaseRule) -> Result<(), ContextError> {
    if rule == CaseRule::OfFolder && !ignores_case(root, tree) {
        return Ok(());
    }
    match clash(tree) {
        Some((first, second)) => {
            let show = |id| String::from_utf8_lossy(&tree.path(id)).into_owned().into();
            Err(ContextError::CaseClash {
                first: show(first),
                second: show(second),
            })
        }
        None => Ok(()),
    }
}

/// The first two entries of one folder whose names differ by case alone.
fn clash(tree: &Tree) -> Option<(NodeId, NodeId)> {
    let mut names = HashMap::new();
    for folder in (0..tree.nodes.len() as u32).map(NodeId) {
        names.clear();
        for child in tree.children(folder) {
            if let Some(first) = names.insert(fold(tree.name(child)), child) {
                return Some((first, child));
            }
        }
    }
    None
}

/// Whether the file system of the context's folder takes one name for another that differs by case. Nothing is
/// written to find out: a name that is there is asked for in the other case.
fn ignores_case(root: &Path, tree: &Tree) -> bool {
    let Ok(folder) = Folder::open(root, b"") else {
        return false;
    };
    let entries = tree
        .all_children(tree.root())
        .map(|id| (tree.name(id), tree.node(id).identity));
    probe(entries, |name| {
        folder.facts(name).ok().map(|facts| facts.identity)
    })
}

/// Looks for an entry under its name in the other case. If that finds the very same file, case does not count.
fn probe<'a>(
    entries: impl Iterator<Item = (&'a [u8], Identity)> + Clone,
    look: impl Fn(&[u8]) -> Option<Identity>,
) -> bool {
    let swapped = |name: &[u8]| -> Vec<u8> {
        let swap = |byte: &u8| match byte {
            b'a'..=b'z' => byte.to_ascii_uppercase(),
            _ => byte.to_ascii_lowercase(),
        };
        name.iter().map(swap).collect()
    };
    let Some((other, identity)) = entries
        .clone()
        .filter(|(name, _)| name.iter().any(u8::is_ascii_alphabetic))
        .take(PROBED)
        .map(|(name, identity)| (swapped(name), identity))
        .find(|(other, _)| entries.clone().all(|(name, _)| name != other.as_slice()))
    else {
        return false;
    };
    look(&other).is_some_and(|found| metadata::same_file(&found, &identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(inode: u64) -> Identity {
        Identity {
            inode,
            size: inode,
            ..Identity::default()
        }
    }

    #[test]
    fn names_that_fold_alike_are_those_that_hosts_confuse() {
        for (a, b) in [
            ("README", "readme"),
            ("Ärger", "äRGER"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("\u{212a}", "k"),
            ("ſ", "S"),
        ] {
            assert_eq!(fold(a.as_bytes()), fold(b.as_bytes()), "{a} {b}");
        }
        for (a, b) in [("straße", "STRASSE"), ("a", "b"), ("i", "İ"), ("ı", "İ")] {
            assert_ne!(fold(a.as_bytes()), fold(b.as_bytes()), "{a} {b}");
        }
        assert_eq!(fold(b"A\xffB\xc3"), b"a\xffb\xc3");
    }

    #[test]
    fn a_folder_ignores_case_if_the_other_case_finds_the_same_file() {
        let names: &[(&[u8], Identity)] = &[(b"1", identity(1)), (b"Aa", identity(2))];
        let insensitive = |name: &[u8]| (fold(name) == b"aa").then(|| identity(2));
        assert!(probe(names.iter().copied(), insensitive));
        let sensitive = |name: &[u8]| (name == b"Aa").then(|| identity(2));
        assert!(!probe(names.iter().copied(), sensitive));
    }

    #[test]
    fn another_file_that_the_rules_hide_is_not_taken_for_the_same() {
        let names: &[(&[u8], Identity)] = &[(b"a", identity(1))];
        let both = |name: &[u8]| match name {
            b"a" => Some(identity(1)),
            b"A" => Some(identity(2)),
            _ => None,
        };
        assert!(!probe(names.iter().copied(), both));
    }

    #[test]
    fn names_that_say_nothing_are_not_asked_for() {
        let names: &[(&[u8], Identity)] = &[
            (b"1", identity(1)),
            (b"b", identity(2)),
            (b"B", identity(3)),
        ];
        assert!(!probe(names.iter().copied(), |name| panic!("{name:?}")));
    }
}
