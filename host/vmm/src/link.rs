//! What arrives from the helper: guest streams, answers to commands, and the VM's end.
//!
//! Two threads of the engine's process listen; both end when the helper does or the owner closes.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::ChildStdout;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kiln_platform::local_socket::LocalListener;

use crate::console::ConsoleTail;
use crate::control::Event;
use crate::error::ExitReason;
use crate::vm::GuestStream;

/// Longest line that the helper may send.
const MAX_EVENT_LEN: u64 = 64 << 10;

/// Streams that may wait to be accepted. A guest that opens more loses them, not the engine its descriptors.
const MAX_WAITING: usize = 32;

/// What the listening threads tell the owner of the VM.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// The guest opened a stream.
    Stream(GuestStream),
    /// The VM is gone; [`Link::ended`] knows why.
    Ended,
}

/// What the listening threads and the owner share.
#[derive(Debug, Default)]
pub(crate) struct Link {
    ended: Mutex<Option<(ExitReason, ConsoleTail)>>,
    pending: Mutex<HashMap<u64, Sender<Option<String>>>>,
    closing: AtomicBool,
    vmm_pid: AtomicU32,
}

impl Link {
    /// Why the VM ended and its console then; `None` while it runs.
    pub(crate) fn ended(&self) -> MutexGuard<'_, Option<(ExitReason, ConsoleTail)>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers where the answer to command `id` goes.
    pub(crate) fn expect_answer(&self, id: u64, to: Sender<Option<String>>) {
        self.pending().insert(id, to);
    }

    /// Tells the accepting thread that it is over; true for the first caller.
    pub(crate) fn close(&self) -> bool {
        !self.closing.swap(true, Ordering::AcqRel)
    }

    /// Process that runs the guest, once there is one.
    pub(crate) fn vmm_pid(&self) -> Option<u32> {
        Some(self.vmm_pid.load(Ordering::Acquire)).filter(|pid| *pid != 0)
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<u64, Sender<Option<String>>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts both threads.
pub(crate) fn listen(
    link: Arc<Link>,
    listener: LocalListener,
    events: ChildStdout,
    console: PathBuf,
) -> io::Result<Receiver<Incoming>> {
    let (sender, receiver) = mpsc::sync_channel(MAX_WAITING);
    let (accept_link, accept_sender) = (Arc::clone(&link), sender.clone());
    std::thread::Builder::new()
        .name("vm-accept".to_owned())
        .spawn(move || {
            while let Ok(stream) = listener.accept() {
                if accept_link.closing.load(Ordering::Acquire) {
                    return;
                }
                let stream = Incoming::Stream(GuestStream::new(stream));
                if let Err(TrySendError::Disconnected(_)) = accept_sender.try_send(stream) {
                    return;
                }
            }
        })?;
    std::thread::Builder::new()
        .name("vm-events".to_owned())
        .spawn(move || {
            let reason = read_events(events, &link);
            *link.ended() = Some((reason, ConsoleTail::read(&console)));
            // Whoever waits for an answer learns that none comes.
            link.pending().clear();
            let _ = sender.send(Incoming::Ended);
        })?;
    Ok(receiver)
}

/// Reads the helper's lines until the VM's end or the helper's.
fn read_events(events: ChildStdout, link: &Link) -> ExitReason {
    let mut events = BufReader::new(events);
    let mut line = Vec::new();
    loop {
        line.clear();
        match events
            .by_ref()
            .take(MAX_EVENT_LEN)
            .read_until(b'\n', &mut line)
        {
            Ok(read) if read > 0 => {}
            _ => {
                return ExitReason::HelperLost {
                    status: String::new(),
                };
            }
        }
        // A line that is no event is somebody's stray output, and not worth the VM.
        let Ok(event) = serde_json::from_slice(&line) else {
            continue;
        };
        match event {
            Event::Started { vmm_pid } => link.vmm_pid.store(vmm_pid, Ordering::Release),
            Event::Shared { id, error } => {
                if let Some(waiting) = link.pending().remove(&id) {
                    let _ = waiting.send(error);
                }
            }
            Event::Exited { reason } => return reason,
        }
    }
}
