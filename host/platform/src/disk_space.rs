//! How much room there is, and how much of it a file takes.

use std::fs::Metadata;
use std::io;
use std::path::Path;

/// Bytes that an unprivileged user may still write to the file system holding `path`; none where the
/// system does not say.
pub fn available(path: &Path) -> io::Result<Option<u64>> {
    #[cfg(unix)]
    {
        let status = rustix::fs::statvfs(path)?;
        Ok(Some(status.f_bavail.saturating_mul(status.f_frsize)))
    }
    #[cfg(windows)]
    {
        crate::windows::available(path).map(Some)
    }
    #[cfg(not(any(unix, windows)))]
    {
        let _ = path;
        Ok(None)
    }
}

/// Bytes that a file occupies on disk: less than its length where it has holes.
#[must_use]
pub fn occupied(metadata: &Metadata) -> u64 {
    #[cfg(unix)]
    {
        std::os::unix::fs::MetadataExt::blocks(metadata).saturating_mul(512)
    }
    #[cfg(not(unix))]
    {
        metadata.len()
    }
}

/// Whether an error means that the disk or the user's share of it is full.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
