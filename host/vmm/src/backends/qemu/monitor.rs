//! QEMU's monitor (QMP): listens for what QEMU tells of its own accord.
//!
//! Lines of JSON; little has to be said. The VM is ended by killing the process, which asks nobody.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;

use super::SCRATCH_FILE;
use super::wires::in_thread;
use crate::error::ExitReason;

/// Longest line; events are a few hundred bytes.
const MAX_LINE: u64 = 1 << 20;

/// What is worth knowing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// QEMU has opened all its files.
    Ready,
    /// The host's disk is full.
    ScratchFull,
}

#[derive(Debug, Deserialize)]
struct Message {
    /// Present in the answer to a command.
    #[serde(rename = "return")]
    answer: Option<serde_json::Value>,
    event: Option<String>,
    #[serde(default)]
    data: Data,
}

#[derive(Debug, Default, Deserialize)]
struct Data {
    /// Of BLOCK_IO_ERROR: the host's disk is full.
    #[serde(default)]
    nospace: bool,
}

/// What the monitor has told so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Monitor {
    scratch_full: Arc<AtomicBool>,
}

impl Monitor {
    /// Connects in a thread and follows there what QEMU tells.
    pub(super) fn follow<R: Read, W: Write>(
        &self,
        connect: impl FnOnce() -> io::Result<(R, W)> + Send + 'static,
    ) -> Result<(), ExitReason> {
        let scratch_full = Arc::clone(&self.scratch_full);
        let serve = move || {
            let Ok((from, to)) = connect() else {
                return;
            };
            // A monitor that fails costs explanations, not the VM.
            let _ = follow(from, to, |told| match told {
                // Without a name the scratch disk takes no room after QEMU, whatever befalls us. Where an open file
                // keeps its name, it goes with the VM's directory.
                Told::Ready => drop(std::fs::remove_file(SCRATCH_FILE)),
                Told::ScratchFull => scratch_full.store(true, Ordering::Release),
            });
        };
        in_thread("qemu-monitor", serve).map(drop)
    }

    /// Whether the VM was ended because the host's disk is full.
    pub(super) fn scratch_full(&self) -> bool {
        self.scratch_full.load(Ordering::Acquire)
    }
}

fn follow(from: impl Read, mut to: impl Write, mut tell: impl FnMut(Told)) -> io::Result<()> {
    to.write_all(b"{\"execute\":\"qmp_capabilities\"}\n")?;
    let mut lines = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let Ok(message) = serde_json::from_slice::<Message>(&line) else {
            continue;
        };
        if message.answer.is_some() {
            tell(Told::Ready);
        }
        if message.event.as_deref() == Some("BLOCK_IO_ERROR") && message.data.nospace {
            tell(Told::ScratchFull);
            // The guest stands still now, and nobody could make it go on.
            to.write_all(b"{\"execute\":\"quit\"}\n")?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_and_a_full_disk_are_told_among_other_lines() {
        let lines = concat!(
            r#"{"QMP": {"version": {}, "capabilities": ["oob"]}}"#,
            "\nnot json\n{\"return\": {}}\n",
            r#"{"timestamp": {}, "event": "RESUME"}"#,
            "\n",
            r#"{"event": "BLOCK_IO_ERROR", "data": {"device": "scratch", "nospace": false}}"#,
            "\n",
            r#"{"event": "BLOCK_IO_ERROR", "data": {"device": "scratch", "nospace": true}}"#,
        );
        let (mut said, mut told) = (Vec::new(), Vec::new());
        follow(lines.as_bytes(), &mut said, |what| told.push(what)).unwrap();
        assert_eq!(told, [Told::Ready, Told::ScratchFull]);
        assert_eq!(
            String::from_utf8(said).unwrap(),
            "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"quit\"}\n"
        );
    }
}
