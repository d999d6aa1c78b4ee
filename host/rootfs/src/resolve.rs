//! Following a path and its symlinks inside a root, whatever the root is made of.
//!
//! Absolute targets start at that root and `..` stops there, so nothing leads out. What does not exist is kept as
//! written: COPY may create it, also behind a dangling link.

use crate::error::{CopyError, show};

/// Most symlinks that one path may lead through; as many as Linux and Docker's own resolver take.
const MAX_LINKS: usize = 255;

/// Something with folders and symlinks.
pub(crate) trait Lookup {
    /// A file, folder or link in it.
    type Node: Clone;

    /// Its root folder.
    fn root(&self) -> Result<Self::Node, CopyError>;

    /// The entry of a folder; nothing if there is none or `dir` is no folder.
    fn child(&self, dir: &Self::Node, name: &[u8]) -> Result<Option<Self::Node>, CopyError>;

    /// The target if the node is a symlink.
    fn link_target(&self, node: &Self::Node) -> Result<Option<Vec<u8>>, CopyError>;
}

/// Where a path leads.
#[derive(Debug, Clone)]
pub(crate) struct Resolved<N> {
    /// Path without symlinks, relative to the root.
    pub path: Vec<u8>,
    /// What is there, if anything.
    pub node: Option<N>,
}

/// Follow all of `path`, its last component too.
pub(crate) fn resolve<L: Lookup>(root: &L, path: &[u8]) -> Result<Resolved<L::Node>, CopyError> {
    let mut done: Vec<(Vec<u8>, Option<L::Node>)> = Vec::new();
    let mut todo: Vec<Vec<u8>> = components(path);
    let mut links = 0;
    while let Some(name) = todo.pop() {
        if name == b".." {
            done.pop();
            continue;
        }
        let parent = reached(root, &done)?;
        let node = parent
            .map(|parent| root.child(&parent, &name))
            .transpose()?
            .flatten();
        let target = node
            .as_ref()
            .map(|node| root.link_target(node))
            .transpose()?
            .flatten();
        let Some(target) = target else {
            done.push((name, node));
            continue;
        };
        links += 1;
        if links > MAX_LINKS {
            return Err(CopyError::TooManyLinks { path: show(path) });
        }
        if target.first() == Some(&b'/') {
            done.clear();
        }
        todo.extend(components(&target));
    }
    let node = reached(root, &done)?;
    let path = done
        .into_iter()
        .map(|(name, _)| name)
        .collect::<Vec<_>>()
        .join(&b'/');
    Ok(Resolved { path, node })
}

fn reached<L: Lookup>(
    root: &L,
    done: &[(Vec<u8>, Option<L::Node>)],
) -> Result<Option<L::Node>, CopyError> {
    match done.last() {
        Some((_, node)) => Ok(node.clone()),
        None => root.root().map(Some),
    }
}

/// Components of a path, the last one first.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path
        .split(|&b| b == b'/')
        .filter(|part| !part.is_empty() && *part != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Paths with the targets of those that are links; folders are implied.
    struct Links(BTreeMap<&'static str, &'static str>);

    impl Lookup for Links {
        type Node = String;

        fn root(&self) -> Result<String, CopyError> {
            Ok(String::new())
        }

        fn child(&self, dir: &String, name: &[u8]) -> Result<Option<String>, CopyError> {
            let path = format!("{dir}/{}", String::from_utf8_lossy(name));
            let known = self
                .0
                .keys()
                .any(|key| *key == path || key.starts_with(&format!("{path}/")));
            Ok(known.then_some(path))
        }

        fn link_target(&self, node: &String) -> Result<Option<Vec<u8>>, CopyError> {
            Ok(self
                .0
                .get(node.as_str())
                .filter(|target| !target.is_empty())
                .map(|t| t.as_bytes().to_vec()))
        }
    }

    #[test]
    fn links_are_followed_inside_the_root() {
        let links = Links(BTreeMap::from([
            ("/real/old", ""),
            ("/abs", "/real"),
            ("/rel", "real"),
            ("/up", "../../../real"),
            ("/dang", "nowhere"),
            ("/d/deep", "../rel/old"),
            ("/loop", "loop"),
        ]));
        for (path, wanted, exists) in [
            ("/abs/old", "real/old", true),
            ("/rel/old", "real/old", true),
            ("/up", "real", true),
            ("/d/deep", "real/old", true),
            ("/dang/a", "nowhere/a", false),
            ("/none/../real", "real", true),
            ("/../../real", "real", true),
            ("/", "", true),
            ("/real/old/below", "real/old/below", false),
        ] {
            let found = resolve(&links, path.as_bytes()).unwrap();
            assert_eq!(
                (show(&found.path).as_str(), found.node.is_some()),
                (wanted, exists),
                "{path}"
            );
        }
        assert!(matches!(
            resolve(&links, b"/loop"),
            Err(CopyError::TooManyLinks { .. })
        ));
    }
}
