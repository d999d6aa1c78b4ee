//! Making file system changes survive a power loss.

use std::io;
use std::path::Path;

/// Writes a folder's entries to disk, so that names created, renamed or removed in it last.
///
/// Windows has no such call; its file system journals names itself.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        std::fs::File::open(path)?.sync_all()
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(())
    }
}
