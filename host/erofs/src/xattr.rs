//! Extended attributes inside an inode.
//!
//! ```text
//! header (12): name filter u32, shared count u8, -       entry: name length u8, prefix u8, value length u16, name,
//! entries, each padded to 4                              value
//! ```
//!
//! Owns which attributes of a tar reach the guest: those with a prefix that EROFS knows, less `trusted.overlay.*`,
//! by which a layer could steer the overlay file system that it is stacked in.

use std::collections::BTreeMap;

use crate::format::{get_u16, put_u16};

const HEADER_LEN: usize = 12;
const ENTRY_LEN: usize = 4;

/// The inode counts attribute space in a u16 of 4-byte units, the header being the first one.
const MAX_BODY_LEN: usize = HEADER_LEN + 4 * (u16::MAX as usize - 1);

/// Kernel prefixes in an order in which the longer match comes first. The ACLs are whole names.
const PREFIXES: [(&[u8], u8); 5] = [
    (b"user.", 1),
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"trusted.", 4),
    (b"security.", 6),
];

const OVERLAY: &[u8] = b"trusted.overlay.";
const OPAQUE_NAME: &[u8] = b"overlay.opaque";
const TRUSTED: u8 = 4;

/// The header alone means "none"; the kernel refuses it, so an empty body is stored as nothing.
pub(crate) fn encode(xattrs: &Xattrs) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    for (name, value) in xattrs {
        if name.starts_with(OVERLAY) {
            continue;
        }
        let Some((suffix, index)) = split(name) else {
            continue;
        };
        push(&mut body, suffix, index, value)?;
    }
    Some(body)
}

/// Adds overlayfs's mark of a directory that hides the layers below.
pub(crate) fn add_opaque(body: &mut Vec<u8>) -> Option<()> {
    push(body, OPAQUE_NAME, TRUSTED, b"y")
}

fn split(name: &[u8]) -> Option<(&[u8], u8)> {
    PREFIXES.iter().find_map(|&(prefix, index)| {
        let suffix = name.strip_prefix(prefix)?;
        (prefix.ends_with(b".") != suffix.is_empty()).then_some((suffix, index))
    })
}

fn push(body: &mut Vec<u8>, suffix: &[u8], index: u8, value: &[u8]) -> Option<()> {
    let name_len = u8::try_from(suffix.len()).ok()?;
    let value_len = u16::try_from(value.len()).ok()?;
    if body.is_empty() {
        body.resize(HEADER_LEN, 0);
    }
    body.extend_from_slice(&[name_len, index]);
    body.extend_from_slice(&value_len.to_le_bytes());
    body.extend_from_slice(suffix);
    body.extend_from_slice(value);
    body.resize(body.len().next_multiple_of(4), 0);
    (body.len() <= MAX_BODY_LEN).then_some(())
}

/// What the inode says about a body of this length.
pub(crate) fn count(body_len: usize) -> u16 {
    match body_len {
        0 => 0,
        len => ((len - HEADER_LEN) / 4 + 1) as u16,
    }
}

/// Length of the body that an inode announces.
pub(crate) fn body_len(count: u16) -> usize {
    match count {
        0 => 0,
        count => HEADER_LEN + 4 * (usize::from(count) - 1),
    }
}

/// Attributes by full name.
pub(crate) type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Attributes by full name, and whether the opaque mark was among them. `None` for a malformed body.
pub(crate) fn decode(body: &[u8]) -> Option<(Xattrs, bool)> {
    let mut xattrs = BTreeMap::new();
    let mut opaque = false;
    let mut rest = match body {
        [] => body,
        _ => body.get(HEADER_LEN..)?,
    };
    while !rest.is_empty() {
        let &[name_len, index, ..] = rest else {
            return None;
        };
        let name_end = ENTRY_LEN + usize::from(name_len);
        let value_end = name_end + usize::from(get_u16(rest, 2)?);
        let suffix = rest.get(ENTRY_LEN..name_end)?;
        let value = rest.get(name_end..value_end)?;
        if (index, suffix) == (TRUSTED, OPAQUE_NAME) {
            opaque = true;
        } else {
            let (prefix, _) = PREFIXES.iter().find(|(_, known)| *known == index)?;
            xattrs.insert([prefix, suffix].concat(), value.to_vec());
        }
        rest = rest.get(value_end.next_multiple_of(4)..)?;
    }
    Some((xattrs, opaque))
}

/// Writes the count into an inode.
pub(crate) fn put_count(inode: &mut [u8], body: &[u8]) {
    put_u16(inode, crate::format::I_XATTR_COUNT, count(body.len()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let pair =
            |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn attributes_are_read_back() {
        let xattrs = map(&[
            ("security.capability", "\u{1}\u{2}"),
            ("system.posix_acl_access", "acl"),
            ("user.empty", ""),
            ("user.x", "12345"),
        ]);
        let body = encode(&xattrs).unwrap();
        assert_eq!(body_len(count(body.len())), body.len());
        assert_eq!(decode(&body), Some((xattrs, false)));
    }

    #[test]
    fn overlay_attributes_of_a_tar_are_dropped() {
        let xattrs = map(&[
            ("trusted.overlay.opaque", "y"),
            ("trusted.overlay.redirect", "/etc"),
        ]);
        assert_eq!(encode(&xattrs), Some(Vec::new()));
    }

    #[test]
    fn attributes_without_a_known_prefix_are_dropped() {
        let xattrs = map(&[
            ("com.apple.quarantine", "1"),
            ("user.", "1"),
            ("system.posix_acl_accessible", ""),
        ]);
        assert_eq!(encode(&xattrs), Some(Vec::new()));
    }

    #[test]
    fn the_opaque_mark_is_told_apart() {
        let mut body = encode(&map(&[("trusted.a", "b")])).unwrap();
        add_opaque(&mut body).unwrap();
        assert_eq!(decode(&body), Some((map(&[("trusted.a", "b")]), true)));
    }

    #[test]
    fn oversized_attributes_are_refused() {
        let long_value = "x".repeat(1 << 16);
        let long_name = format!("user.{}", "x".repeat(256));
        assert_eq!(encode(&map(&[("user.x", &long_value)])), None);
        assert_eq!(encode(&map(&[(&long_name, "")])), None);
    }
}
