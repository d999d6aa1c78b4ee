//! Files with holes: where their data lie.
//!
//! Where the OS cannot tell holes from zeros, the whole file counts as data; results stay right, only
//! slower and larger.

use std::fs::File;
use std::io;
use std::ops::Range;

/// The ranges of a file that are stored, in order; everything between them reads as zeros.
pub fn data_ranges(file: &File) -> io::Result<Vec<Range<u64>>> {
    let len = file.metadata()?.len();
    imp::data_ranges(file, len)
}

#[cfg(target_os = "linux")]
mod imp {
    use rustix::fs::{SeekFrom as OsSeek, seek};
    use rustix::io::Errno;

    use super::{File, Range, io};

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
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use super::{File, Range, io};

    pub(super) fn data_ranges(_file: &File, len: u64) -> io::Result<Vec<Range<u64>>> {
        Ok(std::iter::once(0..len)
            .filter(|range| !range.is_empty())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::*;

    #[test]
    fn ranges_hold_every_byte_that_is_not_zero() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let offsets = [0, 10 << 20, (64 << 20) - 3];
        let mut file = File::create(&path).unwrap();
        file.set_len(64 << 20).unwrap();
        for offset in offsets {
            file.seek(SeekFrom::Start(offset)).unwrap();
            file.write_all(b"abc").unwrap();
        }
        let ranges = data_ranges(&File::open(&path).unwrap()).unwrap();
        for offset in offsets {
            let holds = |range: &Range<u64>| range.start <= offset && offset + 3 <= range.end;
            assert!(ranges.iter().any(holds), "{offset} in {ranges:?}");
        }
        if cfg!(target_os = "linux") {
            let stored: u64 = ranges.iter().map(|range| range.end - range.start).sum();
            assert!(stored < 1 << 20, "{ranges:?}");
        }
    }

    #[test]
    fn empty_file_has_no_data() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("empty");
        File::create(&path).unwrap();
        assert_eq!(data_ranges(&File::open(&path).unwrap()).unwrap(), []);
    }
}
