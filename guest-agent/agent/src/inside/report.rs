//! What the inside tells the agent before the exec: one JSON line a note, then the end of the pipe.

use std::fs::File;
use std::io::{self, Read, Write};

use kiln_protocol::{Failure, Stage};
use serde::{Deserialize, Serialize};

use crate::failure::failure;

/// Longest text of all notes: what is made for 200 mounts in deep folders fits.
const MAX_NOTES: u64 = 4 << 20;

/// One thing told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Note {
    /// A mount point was made in the root; it must not get into the layer.
    Created(CreatedEntry),
    /// The command cannot be started.
    Failed(Failure),
}

/// A mount point that was made, and the folder that it was made in as it was before.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CreatedEntry {
    /// Path without leading slash, free of symlinks.
    pub path: Vec<u8>,
    /// Whether it is a directory.
    pub directory: bool,
    /// The folder that it was made in.
    pub parent: Before,
}

/// A folder as it was before something was made in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Modification time: seconds and nanoseconds.
    pub modified: (i64, i64),
}

/// The inside's end.
pub(super) struct Report {
    pipe: File,
}

impl Report {
    pub fn new(pipe: File) -> Self {
        Self { pipe }
    }

    pub fn created(&mut self, entry: CreatedEntry) {
        self.send(&Note::Created(entry));
    }

    pub fn failed(&mut self, failure: Failure) {
        self.send(&Note::Failed(failure));
    }

    fn send(&mut self, note: &Note) {
        let Ok(mut line) = serde_json::to_vec(note) else {
            return;
        };
        line.push(b'\n');
        // If the agent is gone, so is everything.
        let _ = self.pipe.write_all(&line);
    }
}

/// Reads to the end: what was made in the root, and why the command was not started if it was not.
pub(crate) fn read_notes(pipe: File) -> (Vec<CreatedEntry>, Option<Failure>) {
    let mut text = Vec::new();
    let read: io::Result<usize> = pipe.take(MAX_NOTES).read_to_end(&mut text);
    let mut created = Vec::new();
    if let Err(error) = read {
        return (
            created,
            Some(failure(
                Stage::Spawn,
                format!("cannot hear from the run: {error}"),
            )),
        );
    }
    for line in text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        match serde_json::from_slice(line) {
            Ok(Note::Created(entry)) => created.push(entry),
            Ok(Note::Failed(failure)) => return (created, Some(failure)),
            Err(error) => {
                return (
                    created,
                    Some(failure(Stage::Spawn, format!("malformed note: {error}"))),
                );
            }
        }
    }
    (created, None)
}
