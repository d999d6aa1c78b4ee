//! Files with holes: where their data lie, and copying them without filling the holes.
//!
//! Where the OS cannot tell holes from zeros, the whole file counts as data; results stay right, only
//! slower and larger.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

/// The ranges of a file that are stored, in order; everything between them reads as zeros.
pub fn data_ranges(file: &File) -> io::Result<Vec<Range<u64>>> {
    let len = file.metadata()?.len();
    imp::data_ranges(file, len)
}

/// Copies `from` to the new file `to`, sharing blocks where the file system can and keeping holes.
pub fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
    imp::copy_sparse(from, to)
}

#[cfg(target_os = "linux")]
mod imp {
    use std::io::{Read, Seek, SeekFrom, Write};

    use rustix::fs::{SeekFrom as OsSeek, seek};
    use rustix::io::Errno;

    use super::{File, Path, Range, io};

    pub(super) fn data_ranges(file: &File, len: u64) -> io::Result<Vec<Range<u64>>> {
        let mut ranges = Vec::new();
        let mut position = 0;
        while position < len {
            let start = match seek(file, OsSeek::Data(position)) {
                Ok(start) => start,
                Err(Errno::NXIO) => break,
                Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                    return Ok(std::iter::once(0..len).collect());
                }
                Err(error) => return Err(error.into()),
            };
            let end = seek(file, OsSeek::Hole(start))?.min(len);
            if start >= end {
                break;
            }
            ranges.push(start..end);
            position = end;
        }
        Ok(ranges)
    }

    pub(super) fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
        let mut source = File::open(from)?;
        let mut target = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(to)?;
        if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
            return Ok(());
        }
        let len = source.metadata()?.len();
        target.set_len(len)?;
        for range in data_ranges(&source, len)? {
            source.seek(SeekFrom::Start(range.start))?;
            target.seek(SeekFrom::Start(range.start))?;
            let wanted = range.end - range.start;
            if io::copy(&mut Read::by_ref(&mut source).take(wanted), &mut target)? != wanted {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        target.flush()
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use super::{File, Path, Range, io};

    pub(super) fn data_ranges(_file: &File, len: u64) -> io::Result<Vec<Range<u64>>> {
        Ok(std::iter::once(0..len)
            .filter(|range| !range.is_empty())
            .collect())
    }

    /// The standard library clones where the file system can (APFS, ReFS).
    pub(super) fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
        std::fs::copy(from, to).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::*;

    #[test]
    fn copy_has_the_same_bytes_and_the_same_holes() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let mut file = File::create(&from).unwrap();
        file.set_len(64 << 20).unwrap();
        for offset in [0, 10 << 20, (64 << 20) - 3] {
            file.seek(SeekFrom::Start(offset)).unwrap();
            file.write_all(b"abc").unwrap();
        }
        copy_sparse(&from, &to).unwrap();
        assert_eq!(std::fs::read(&from).unwrap(), std::fs::read(&to).unwrap());
        let stored = |path: &Path| -> u64 {
            data_ranges(&File::open(path).unwrap())
                .unwrap()
                .iter()
                .map(|range| range.end - range.start)
                .sum()
        };
        assert_eq!(stored(&from), stored(&to));
    }

    #[test]
    fn empty_file_has_no_data() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("empty");
        File::create(&path).unwrap();
        assert_eq!(data_ranges(&File::open(&path).unwrap()).unwrap(), []);
    }
}
