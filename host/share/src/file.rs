//! One shared host file: opened once, read at offsets, its length fixed when it was opened.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::error::ShareError;

/// An open, immutable file.
#[derive(Debug)]
pub struct SharedFile {
    file: File,
    len: u64,
    /// Seconds since 1970; 0 where unknown or earlier.
    mtime: u64,
}

impl SharedFile {
    pub(crate) fn open(path: &Path) -> Result<Self, ShareError> {
        let at_open = |source| ShareError::Open {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(at_open)?;
        let metadata = file.metadata().map_err(at_open)?;
        if !metadata.is_file() {
            return Err(ShareError::NotAFile {
                path: path.to_owned(),
            });
        }
        let modified = metadata.modified().ok();
        let age = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Ok(Self {
            file,
            len: metadata.len(),
            mtime: age.map_or(0, |age| age.as_secs()),
        })
    }

    /// Its length; what is appended to it later is not part of the share.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn mtime(&self) -> u64 {
        self.mtime
    }

    /// The open file, for who can read from it more directly. Only what [`SharedFile::readable`] allows may
    /// be read.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// How many of `len` bytes there are from `offset` on.
    #[must_use]
    pub fn readable(&self, offset: u64, len: usize) -> usize {
        let rest = self.len.saturating_sub(offset);
        len.min(usize::try_from(rest).unwrap_or(usize::MAX))
    }

    /// Appends up to `len` bytes from `offset` on to `out`; fewer only at the end of the file.
    pub(crate) fn read_into(&self, offset: u64, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let len = self.readable(offset, len);
        let start = out.len();
        out.resize(start + len, 0);
        let mut filled = 0;
        while filled < len {
            let buf = &mut out[start + filled..];
            match read_at(&self.file, buf, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    out.truncate(start);
                    return Err(error);
                }
            }
        }
        out.truncate(start + filled);
        Ok(())
    }
}

#[cfg(unix)]
fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, offset)
}
