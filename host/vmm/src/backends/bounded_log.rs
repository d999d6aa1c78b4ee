//! A log file that cannot fill the disk, whatever is written to it: of a long one only the end is kept.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Length at which the file is cut. A boot writes a few KiB.
const MAX_LEN: usize = 1 << 20;

/// What is left of it then.
const KEPT_LEN: usize = 64 << 10;

/// Copies `from` into the file at `path` until it ends.
pub(super) fn copy(mut from: impl Read, path: &Path) -> io::Result<()> {
    let mut log = Log::create(path)?;
    let mut buf = [0; 4096];
    loop {
        match from.read(&mut buf) {
            Ok(0) => return Ok(()),
            // A log that cannot be written must not stop its writer.
            Ok(read) => drop(log.append(&buf[..read])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

struct Log {
    file: File,
    len: usize,
    end: VecDeque<u8>,
}

impl Log {
    fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: File::create(path)?,
            len: 0,
            end: VecDeque::new(),
        })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.end.extend(bytes);
        let excess = self.end.len().saturating_sub(KEPT_LEN);
        self.end.drain(..excess);
        self.len += bytes.len();
        if self.len <= MAX_LEN {
            return self.file.write_all(bytes);
        }
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.len = self.end.len();
        self.file.write_all(self.end.make_contiguous())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_log_is_kept_whole_and_of_an_endless_one_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        copy(b"short".as_slice(), &path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"short");

        let long: Vec<u8> = (0..3_000_001u32).map(|i| (i % 251) as u8).collect();
        copy(long.as_slice(), &path).unwrap();
        let kept = std::fs::read(&path).unwrap();
        assert!(kept.len() <= MAX_LEN, "{}", kept.len());
        assert!(kept.len() >= KEPT_LEN, "{}", kept.len());
        assert!(long.ends_with(&kept));
    }
}
