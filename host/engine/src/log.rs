//! The full log of one build, kept in the store: every RUN's output, undecorated.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Most of a RUN's output that an error carries with it.
pub const TAIL_BYTES: usize = 8 << 10;

/// Writes the log. A log that cannot be written never fails a build: it is given up, and no path is told.
pub struct BuildLog {
    path: PathBuf,
    file: Option<BufWriter<File>>,
}

impl BuildLog {
    /// A log at `path`; the file is made when the first line is written, so a cached build leaves none.
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// Opens the part of one step.
    pub fn step(&mut self, text: &str) {
        if self.file.is_none() {
            self.file = File::create(&self.path).ok().map(BufWriter::new);
        }
        self.write(format!("\n=== {text}\n").as_bytes());
    }

    /// Adds output.
    pub fn write(&mut self, bytes: &[u8]) {
        if let Some(file) = &mut self.file
            && file.write_all(bytes).is_err()
        {
            self.file = None;
        }
    }

    /// Where the log is, if there is one; everything written so far is in it.
    pub fn flushed(&mut self) -> Option<PathBuf> {
        let file = self.file.as_mut()?;
        file.flush().ok().map(|()| Path::to_path_buf(&self.path))
    }
}

/// The last [`TAIL_BYTES`] of what passed through.
#[derive(Default)]
pub struct Tail(Vec<u8>);

impl Tail {
    /// Takes more output.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0
            .extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
        // Cut rarely: moving bytes for every line would cost more than the memory.
        if self.0.len() > 2 * TAIL_BYTES {
            self.0.drain(..self.0.len() - TAIL_BYTES);
        }
    }

    /// What is left of it, from the beginning of a line where there is one.
    pub fn finish(mut self) -> Vec<u8> {
        let excess = self.0.len().saturating_sub(TAIL_BYTES);
        if excess > 0 {
            let rest = &self.0[excess..];
            let line = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            self.0.drain(..excess + line);
        }
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_keeps_the_last_whole_lines() {
        let mut tail = Tail::default();
        for number in 0..10_000 {
            tail.push(format!("line {number}\n").as_bytes());
        }
        let kept = tail.finish();
        assert!(kept.len() <= TAIL_BYTES);
        assert!(kept.starts_with(b"line "));
        assert!(kept.ends_with(b"line 9999\n"));
    }

    #[test]
    fn short_output_is_kept_whole() {
        let mut tail = Tail::default();
        tail.push(b"one\ntwo");
        assert_eq!(tail.finish(), b"one\ntwo");
    }
}
