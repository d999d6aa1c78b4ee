//! The extended attributes that matter for a layer.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

use rustix::fs::fgetxattr;
use rustix::io::Errno;

/// The one attribute that a layer keeps.
const CAPABILITY: &str = "security.capability";

/// Longest capability attribute that the kernel has: version 3 takes 24 bytes.
const MAX_CAPABILITY: usize = 64;

/// What an overlay says of a directory of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opacity {
    /// Shows what is below.
    Merged,
    /// Hides what is below.
    Opaque,
    /// May hold whiteouts that are files with an attribute.
    HoldsWhiteouts,
}

/// Attributes of a file that go into the layer.
pub(super) fn kept(file: BorrowedFd<'_>) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Errno> {
    Ok(get(file, CAPABILITY)?
        .map(|value| (CAPABILITY.into(), value))
        .into_iter()
        .collect())
}

/// What the overlay wrote on a directory.
pub(super) fn opacity(directory: BorrowedFd<'_>) -> Result<Opacity, Errno> {
    Ok(match get(directory, "trusted.overlay.opaque")?.as_deref() {
        Some(b"y") => Opacity::Opaque,
        Some(b"x") => Opacity::HoldsWhiteouts,
        _ => Opacity::Merged,
    })
}

/// Whether this file stands for a whiteout.
pub(super) fn is_whiteout(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(get(file, "trusted.overlay.whiteout")?.is_some())
}

fn get(file: BorrowedFd<'_>, name: &str) -> Result<Option<Vec<u8>>, Errno> {
    let mut value = [0; MAX_CAPABILITY];
    match fgetxattr(file, name, &mut value[..]) {
        Ok(length) => Ok(Some(value[..length].to_vec())),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error),
    }
}
