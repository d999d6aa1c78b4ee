//! Paths inside a layer: bytes, relative, without `.` and `..`.
//!
//! Owns the one rule by which names from tars become paths. Must not know any file system.
//! Invariant: what [`normalise`] returns joins safely below any root.

/// Longest path accepted, as Linux's `PATH_MAX`.
pub const MAX_PATH_LEN: usize = 4096;

/// Longest single name, as Linux's `NAME_MAX`; EROFS has the same bound.
pub const MAX_NAME_LEN: usize = 255;

/// Why a name cannot be a path in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// `..` climbs above the root of the layer.
    #[error("path leads out of the layer")]
    Escapes,
    /// More than [`MAX_PATH_LEN`] bytes, or a component of more than [`MAX_NAME_LEN`].
    #[error("path is too long")]
    TooLong,
    /// Holds a zero byte.
    #[error("path holds a zero byte")]
    ZeroByte,
}

/// Makes a tar name relative and lexically clean: `./a//b/../c/` and `/a/c` are both `a/c`.
pub fn normalise(raw: &[u8]) -> Result<Vec<u8>, PathError> {
    if raw.len() > MAX_PATH_LEN {
        return Err(PathError::TooLong);
    }
    if raw.contains(&0) {
        return Err(PathError::ZeroByte);
    }
    let mut path = Vec::with_capacity(raw.len());
    for name in raw.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." if path.is_empty() => return Err(PathError::Escapes),
            b".." => path.truncate(parent(&path).map_or(0, <[u8]>::len)),
            _ if name.len() > MAX_NAME_LEN => return Err(PathError::TooLong),
            _ => {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(name);
            }
        }
    }
    Ok(path)
}

/// The directory that holds `path`; `None` for the root itself.
pub fn parent(path: &[u8]) -> Option<&[u8]> {
    if path.is_empty() {
        return None;
    }
    let slash = path.iter().rposition(|&byte| byte == b'/');
    Some(&path[..slash.unwrap_or(0)])
}

/// The last component of `path`; empty for the root.
pub fn file_name(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => &path[slash + 1..],
        None => path,
    }
}

/// `dir/name`, or `name` where `dir` is the root.
pub fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(dir.len() + 1 + name.len());
    path.extend_from_slice(dir);
    if !dir.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_relative_clean_paths() {
        for (raw, want) in [
            ("", ""),
            (".", ""),
            ("./", ""),
            ("/", ""),
            ("a", "a"),
            ("./a/b/", "a/b"),
            ("//a//./b", "a/b"),
            ("a/../b", "b"),
            ("a/b/../../c", "c"),
            ("...", "..."),
        ] {
            assert_eq!(normalise(raw.as_bytes()), Ok(want.into()), "{raw}");
        }
    }

    #[test]
    fn unsafe_names_are_refused() {
        for (raw, want) in [
            (b"..".to_vec(), PathError::Escapes),
            (b"a/../../b".to_vec(), PathError::Escapes),
            (b"/../etc".to_vec(), PathError::Escapes),
            (b"a\0b".to_vec(), PathError::ZeroByte),
            (vec![b'a'; 256], PathError::TooLong),
            (b"ab/".repeat(2000), PathError::TooLong),
        ] {
            assert_eq!(normalise(&raw), Err(want), "{raw:?}");
        }
    }

    #[test]
    fn parts_of_a_path() {
        assert_eq!(parent(b""), None);
        assert_eq!(parent(b"a"), Some(&b""[..]));
        assert_eq!(parent(b"a/b/c"), Some(&b"a/b"[..]));
        assert_eq!(file_name(b"a/b/c"), b"c");
        assert_eq!(join(b"", b"c"), b"c");
        assert_eq!(join(b"a/b", b"c"), b"a/b/c");
    }
}
