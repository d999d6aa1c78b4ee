//! The guest's console log: kept while the VM lives, and its end shown when something failed.
//!
//! The bytes come from the guest: they are bounded and made printable before anyone sees them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How much of the console's end is shown.
const TAIL_LEN: u64 = 8 << 10;

/// The last printable lines of a guest's console; empty when it said nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsoleTail(pub String);

impl ConsoleTail {
    /// Reads the end of a console log; a log that cannot be read is an empty one.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let mut bytes = Vec::new();
        let read = || -> std::io::Result<()> {
            let mut file = File::open(path)?;
            let len = file.metadata()?.len();
            file.seek(SeekFrom::Start(len.saturating_sub(TAIL_LEN)))?;
            file.take(TAIL_LEN).read_to_end(&mut bytes)?;
            Ok(())
        };
        // What could be read is still worth showing.
        let mut read = read;
        let _ = read();
        Self(printable(&bytes))
    }

    /// The kernel's panic line, if there is one.
    #[must_use]
    pub fn panic_line(&self) -> Option<&str> {
        const MARK: &str = "Kernel panic - not syncing: ";
        let line = self
            .0
            .lines()
            .rev()
            .find_map(|line| line.split_once(MARK))?;
        Some(line.1.trim())
    }
}

impl std::fmt::Display for ConsoleTail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Keeps text and line ends; control characters could move the cursor of the user's terminal.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_is_bounded_printable_and_finds_the_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console");
        let mut text = vec![b'x'; 100_000];
        text.extend_from_slice(
            b"\r\n\x1b[31m[ 0.2] Kernel panic - not syncing: No working init\r\n",
        );
        std::fs::write(&path, text).unwrap();
        let tail = ConsoleTail::read(&path);
        assert!(tail.0.len() <= TAIL_LEN as usize);
        assert!(!tail.0.contains(['\x1b', '\r']));
        assert_eq!(tail.panic_line(), Some("No working init"));
    }

    #[test]
    fn missing_log_is_an_empty_tail() {
        assert_eq!(
            ConsoleTail::read(Path::new("/nonexistent")),
            ConsoleTail::default()
        );
    }
}
