//! Modes that a project gives to files of its context, in place of those that the host's file system has.
//!
//! A file system without Unix modes (NTFS, and whatever Windows shares) shows everything as 0755. Rules say what is
//! meant, on every host alike, so that the same context gives the same image everywhere. The last rule that
//! matches decides. Symlinks and special files keep what they have: a link's mode means nothing.

use crate::glob::{Glob, GlobError};
use crate::path::clean;
use crate::tree::{NodeId, NodeKind, Tree};

/// Most rules. Each one is tried on each path.
pub const MAX_MODE_RULES: usize = 1000;

/// A rule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModeRuleError {
    /// The pattern is malformed.
    #[error(transparent)]
    Pattern(#[from] GlobError),
    /// There is nothing to match.
    #[error("the pattern is empty")]
    Empty,
    /// `!` has no meaning here.
    #[error("a pattern cannot start with `!`: the last one that matches decides")]
    Negated,
    /// Bits that no file has.
    #[error("a mode has at most the bits 7777")]
    Mode,
    /// More rules than any real file has.
    #[error("more than {MAX_MODE_RULES} rules")]
    TooMany,
}

#[derive(Debug, Clone)]
struct Rule {
    glob: Glob,
    folders: bool,
    mode: u32,
}

/// Patterns with the modes of what they match.
#[derive(Debug, Clone, Default)]
pub struct Modes {
    rules: Vec<Rule>,
}

impl Modes {
    /// Add a rule. `pattern` is written as in `.dockerignore`: it counts from the context's root, and `**` crosses
    /// folders. It matches files, or with a '/' at its end folders. What lies below a folder that is matched is not
    /// matched with it.
    ///
    /// # Errors
    /// When the pattern is malformed, or the mode has more than the bits 07777.
    pub fn add(&mut self, pattern: &[u8], mode: u32) -> Result<(), ModeRuleError> {
        if self.rules.len() == MAX_MODE_RULES {
            return Err(ModeRuleError::TooMany);
        }
        if mode > 0o7777 {
            return Err(ModeRuleError::Mode);
        }
        if pattern.starts_with(b"!") {
            return Err(ModeRuleError::Negated);
        }
        let rooted = clean(&[b"/", pattern].concat());
        if rooted.len() < 2 {
            return Err(ModeRuleError::Empty);
        }
        self.rules.push(Rule {
            glob: Glob::docker(&rooted[1..])?,
            folders: pattern.ends_with(b"/"),
            mode,
        });
        Ok(())
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The mode that rules give to a file or folder.
    fn of(&self, path: &[u8], is_folder: bool) -> Option<u32> {
        let matching = |rule: &&Rule| rule.folders == is_folder && rule.glob.matches(path);
        self.rules.iter().rev().find(matching).map(|rule| rule.mode)
    }

    /// Change the modes of all of `tree` that is matched.
    pub(crate) fn apply(&self, tree: &mut Tree) {
        if self.is_empty() {
            return;
        }
        for index in 1..tree.nodes.len() {
            let is_folder = match tree.nodes[index].kind {
                NodeKind::Dir => true,
                NodeKind::File { .. } => false,
                _ => continue,
            };
            let path = tree.path(NodeId(index as u32));
            if let Some(mode) = self.of(&path, is_folder) {
                tree.nodes[index].mode = mode;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ModeRuleError, Modes};

    fn modes(rules: &[(&str, u32)]) -> Modes {
        let mut modes = Modes::default();
        for (pattern, mode) in rules {
            modes.add(pattern.as_bytes(), *mode).unwrap();
        }
        modes
    }

    #[test]
    fn the_last_matching_rule_of_the_right_kind_decides() {
        let modes = modes(&[
            ("**", 0o644),
            ("**/", 0o755),
            ("bin/*", 0o755),
            ("/bin/data.txt", 0o600),
            ("*.sh", 0o700),
        ]);
        for (path, folder, wanted) in [
            ("a", false, 0o644),
            ("d", true, 0o755),
            ("d/e", true, 0o755),
            ("bin", true, 0o755),
            ("bin/tool", false, 0o755),
            ("bin/data.txt", false, 0o600),
            ("x.sh", false, 0o700),
            // As in .dockerignore, a pattern without `**` counts from the root.
            ("d/x.sh", false, 0o644),
        ] {
            assert_eq!(modes.of(path.as_bytes(), folder), Some(wanted), "{path}");
        }
    }

    #[test]
    fn what_is_not_matched_keeps_its_mode() {
        let modes = modes(&[("*.sh", 0o755), ("lib/", 0o711)]);
        assert_eq!(modes.of(b"a", false), None);
        assert_eq!(modes.of(b"lib/a", false), None);
        assert_eq!(modes.of(b"a.sh", true), None, "a folder of such a name");
    }

    #[test]
    fn unusable_rules_are_refused() {
        let add = |pattern: &str, mode| Modes::default().add(pattern.as_bytes(), mode);
        assert_eq!(add("", 0), Err(ModeRuleError::Empty));
        assert_eq!(add("/", 0), Err(ModeRuleError::Empty));
        assert_eq!(add("!a", 0), Err(ModeRuleError::Negated));
        assert_eq!(add("a", 0o10000), Err(ModeRuleError::Mode));
        assert!(matches!(add("a[", 0), Err(ModeRuleError::Pattern(_))));
    }
}
