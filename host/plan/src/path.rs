//! Absolute paths of the image, as text: joined and cleaned without looking at any file system.

/// `path` seen from `dir`, without `.`, `..` and doubled slashes; `..` stops at the root.
pub(crate) fn join(dir: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let absolute = path.starts_with('/');
    let dir = if absolute { "" } else { dir };
    for part in dir.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// As [`join`] for WORKDIR: a slash at the end of `path` is kept, as BuildKit keeps it in the config.
pub(crate) fn join_workdir(dir: &str, path: &str) -> String {
    let mut joined = join(dir, path);
    if path.ends_with('/') && !joined.ends_with('/') {
        joined.push('/');
    }
    joined
}

/// As [`join`], but what is written as a directory (`x/`, `x/.`, `.`, nothing) keeps a slash at its end.
pub(crate) fn join_destination(dir: &str, path: &str) -> String {
    let directory = matches!(path, "" | ".") || path.ends_with('/') || path.ends_with("/.");
    let mut joined = join(dir, path);
    if directory && !joined.ends_with('/') {
        joined.push('/');
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_and_cleaned() {
        let cases = [
            ("/w", "a", "/w/a"),
            ("/w", "/a//b/./c", "/a/b/c"),
            ("/w", "../../..", "/"),
            ("", "a/..", "/"),
            ("/", "", "/"),
            ("w", "x", "/w/x"),
        ];
        for (dir, path, expected) in cases {
            assert_eq!(join(dir, path), expected, "{dir} {path}");
        }
    }

    #[test]
    fn destinations_keep_their_slash() {
        let cases = [
            ("/w", ".", "/w/"),
            ("/w", "", "/w/"),
            ("/w", "a/", "/w/a/"),
            ("/w", "a/.", "/w/a/"),
            ("/", "./", "/"),
            ("/", "/a", "/a"),
        ];
        for (dir, path, expected) in cases {
            assert_eq!(join_destination(dir, path), expected, "{dir} {path}");
        }
    }
}
