//! QEMU's monitor (QMP): listens for what QEMU tells of its own accord.
//!
//! Lines of JSON; all that has to be said is the greeting's answer. The VM is ended by killing the
//! process, which asks nobody.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;

use serde::Deserialize;

use super::host_failed;
use crate::error::ExitReason;

/// Name of the socket, in the VM's directory, at which QEMU finds us.
pub(super) const MONITOR_SOCKET: &str = "monitor.sock";

/// Longest line; events are a few hundred bytes.
const MAX_LINE: u64 = 1 << 20;

#[derive(Debug, Deserialize)]
struct Message {
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

/// Binds the socket in the current directory and listens from a thread. `scratch_full` is called when
/// the host's disk is.
pub(super) fn listen(scratch_full: Box<dyn FnOnce() + Send>) -> Result<(), ExitReason> {
    let failed = |error| host_failed("listen to QEMU", &error);
    let listener = UnixListener::bind(MONITOR_SOCKET).map_err(failed)?;
    let serve = move || {
        // A monitor that fails costs explanations, not the VM.
        if let Ok((stream, _)) = listener.accept() {
            let _ = follow(&stream, &stream, scratch_full);
        }
    };
    let thread = std::thread::Builder::new()
        .name("qemu-monitor".to_owned())
        .spawn(serve);
    thread.map(drop).map_err(failed)
}

fn follow(from: impl Read, mut to: impl Write, scratch_full: impl FnOnce()) -> std::io::Result<()> {
    to.write_all(b"{\"execute\":\"qmp_capabilities\"}\n")?;
    let mut scratch_full = Some(scratch_full);
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
        let full = message.event.as_deref() == Some("BLOCK_IO_ERROR") && message.data.nospace;
        if let Some(scratch_full) = scratch_full.take_if(|_| full) {
            scratch_full();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_is_noticed_once_among_other_events() {
        let harmless = concat!(
            r#"{"QMP": {"version": {}, "capabilities": ["oob"]}}"#,
            "\n{\"return\": {}}\nnot json\n",
            r#"{"timestamp": {}, "event": "RESUME"}"#,
            "\n",
        );
        let full = r#"{"event": "BLOCK_IO_ERROR", "data": {"device": "scratch", "nospace": true}}"#;
        for (lines, expected) in [
            (harmless.to_owned(), 0),
            (format!("{harmless}{full}\n{full}\n"), 1),
        ] {
            let (mut said, mut times) = (Vec::new(), 0);
            follow(lines.as_bytes(), &mut said, || times += 1).unwrap();
            assert_eq!(times, expected);
            assert!(said.starts_with(b"{\"execute\""));
        }
    }
}
