//! Lexical paths of bytes, as Go's `path.Clean` sees them.

/// The shortest path equal to `path`: `.`, `..` and doubled slashes are resolved by text alone.
///
/// A rooted path stays rooted and cannot climb above its root; an empty result is `.`.
pub fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match parts.last() {
                Some(&last) if last != b".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(part),
            },
            _ => parts.push(part),
        }
    }
    let joined = parts.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn clean_resolves_by_text_alone() {
        for (given, wanted) in [
            ("", "."),
            (".", "."),
            ("/", "/"),
            ("//a//b/", "/a/b"),
            ("a/./b/../c", "a/c"),
            ("../a", "../a"),
            ("/../../a", "/a"),
            ("a/../..", ".."),
            ("./.hid", ".hid"),
        ] {
            assert_eq!(
                String::from_utf8(clean(given.as_bytes())).unwrap(),
                wanted,
                "{given:?}"
            );
        }
    }
}
