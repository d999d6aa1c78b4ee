//! QEMU's monitor (QMP): listens for what QEMU tells of its own accord.
//!
//! Lines of JSON; little has to be said. The VM is ended by killing the process, which asks nobody.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;

use super::{SCRATCH_FILE, host_failed};
use crate::error::ExitReason;

/// Name of the socket, in the VM's directory, at which QEMU finds us.
pub(super) const MONITOR_SOCKET: &str = "monitor.sock";

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
    /// Binds the socket in the current directory and follows from a thread what QEMU tells there.
    pub(super) fn listen() -> Result<Self, ExitReason> {
        let failed = |error| host_failed("listen to QEMU", &error);
        let listener = UnixListener::bind(MONITOR_SOCKET).map_err(failed)?;
        let monitor = Self::default();
        let scratch_full = Arc::clone(&monitor.scratch_full);
        let serve = move || {
            let Ok((stream, _)) = listener.accept() else {
                return;
            };
            // A monitor that fails costs explanations, not the VM.
            let _ = follow(&stream, &stream, |told| match told {
                // Without a name the scratch disk takes no room after QEMU, whatever befalls us.
                Told::Ready => drop(std::fs::remove_file(SCRATCH_FILE)),
                Told::ScratchFull => scratch_full.store(true, Ordering::Release),
            });
        };
        let thread = std::thread::Builder::new().name("qemu-monitor".to_owned());
        thread.spawn(serve).map_err(failed)?;
        Ok(monitor)
    }

    /// Whether the VM was ended because the host's disk is full.
    pub(super) fn scratch_full(&self) -> bool {
        self.scratch_full.load(Ordering::Acquire)
    }
}

fn follow(from: impl Read, mut to: impl Write, mut tell: impl FnMut(Told)) -> std::io::Result<()> {
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
