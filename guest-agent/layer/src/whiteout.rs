//! OCI whiteouts: the marker files by which a layer says that something below it is gone.
//!
//! Name                   | meaning in its directory
//! -----------------------|---------------------------------------------------------
//! `.wh.<name>`           | `<name>` of the layers below is removed
//! `.wh..wh..opq`         | nothing of the layers below shows in this directory
//! `.wh..wh.<other>`      | bookkeeping of AUFS, to be left out
//!
//! Owns the names only; what a whiteout becomes (char device 0:0, an attribute) is the reader's business.

use crate::path::{file_name, join, parent};

/// A file so prefixed removes what the rest of its name says.
pub const PREFIX: &[u8] = b".wh.";

/// A file of this name makes its directory opaque.
pub const OPAQUE: &[u8] = b".wh..wh..opq";

/// What an entry's path says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRole {
    /// The entry is what it seems.
    Normal,
    /// The entry removes this path from the layers below.
    Whiteout(Vec<u8>),
    /// The entry hides whatever the layers below have in this directory.
    Opaque(Vec<u8>),
    /// The entry is bookkeeping or malformed and stands for nothing.
    Ignored,
}

/// Tells markers from entries, by the (normalised) path.
pub fn classify(path: &[u8]) -> PathRole {
    // Most paths hold no marker anywhere: one scan tells.
    if !path.windows(PREFIX.len()).any(|window| window == PREFIX) {
        return PathRole::Normal;
    }
    let dir = parent(path).unwrap_or_default();
    if dir
        .split(|&byte| byte == b'/')
        .any(|name| name.starts_with(PREFIX))
    {
        return PathRole::Ignored;
    }
    let name = file_name(path);
    if name == OPAQUE {
        return PathRole::Opaque(dir.to_vec());
    }
    match name.strip_prefix(PREFIX) {
        None => PathRole::Normal,
        Some(b"" | b"." | b"..") => PathRole::Ignored,
        Some(target) if target.starts_with(PREFIX) => PathRole::Ignored,
        Some(target) => PathRole::Whiteout(join(dir, target)),
    }
}

/// Path of the marker that removes `target`.
pub fn marker_for(target: &[u8]) -> Vec<u8> {
    let name = [PREFIX, file_name(target)].concat();
    join(parent(target).unwrap_or_default(), &name)
}

/// Path of the marker that makes `dir` opaque.
pub fn opaque_marker_for(dir: &[u8]) -> Vec<u8> {
    join(dir, OPAQUE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_markers() {
        let whiteout = |path: &str| PathRole::Whiteout(path.into());
        let opaque = |path: &str| PathRole::Opaque(path.into());
        for (path, want) in [
            ("", PathRole::Normal),
            ("a/b", PathRole::Normal),
            ("a/x.wh.b", PathRole::Normal),
            ("a/.whb", PathRole::Normal),
            (".wh.b", whiteout("b")),
            ("a/.wh.b", whiteout("a/b")),
            ("a/.wh..b", whiteout("a/.b")),
            (".wh..wh..opq", opaque("")),
            ("a/b/.wh..wh..opq", opaque("a/b")),
            (".wh..wh.plnk", PathRole::Ignored),
            (".wh..wh.plnk/12.34", PathRole::Ignored),
            ("a/.wh.", PathRole::Ignored),
            ("a/.wh..", PathRole::Ignored),
            ("a/.wh...", PathRole::Ignored),
            ("a/.wh.b/c", PathRole::Ignored),
        ] {
            assert_eq!(classify(path.as_bytes()), want, "{path}");
        }
    }

    #[test]
    fn markers_are_read_back() {
        for target in ["b", "a/b", "a/.b"] {
            let marker = marker_for(target.as_bytes());
            assert_eq!(classify(&marker), PathRole::Whiteout(target.into()));
        }
        assert_eq!(
            classify(&opaque_marker_for(b"a")),
            PathRole::Opaque(b"a".to_vec())
        );
        assert_eq!(
            classify(&opaque_marker_for(b"")),
            PathRole::Opaque(Vec::new())
        );
    }
}
