//! Waits for the guest that end when the build is cancelled. The guest is hostile: it may never dial, never say a
//! word, and never stop a run.

use std::io::ErrorKind::{ConnectionAborted, TimedOut, WouldBlock};
use std::io::Read;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use kiln_agent_client::AgentClient;
use kiln_protocol::RunId;
use kiln_vmm::{GuestStream, Vm};

use crate::error::Cause;
use crate::request::Cancel;

/// How often a wait looks whether the build was cancelled.
const CANCEL_POLL: Duration = Duration::from_millis(50);

/// How long a RUN that was asked to stop may take before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(1);

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// Waits for the guest's next stream, looking for a cancelled build meanwhile.
pub fn accept(vm: &mut Vm, cancel: &Cancel, timeout: Duration) -> Result<GuestStream, Cause> {
    let end = Instant::now() + timeout;
    loop {
        if cancel.is_cancelled() {
            return Err(Cause::Interrupted);
        }
        match vm.accept(CANCEL_POLL) {
            Err(kiln_vmm::VmError::Timeout { .. }) if Instant::now() < end => {}
            Err(kiln_vmm::VmError::Timeout { console, .. }) => {
                return Err(kiln_vmm::VmError::Timeout {
                    waited: timeout,
                    console,
                }
                .into());
            }
            other => return Ok(other?),
        }
    }
}

/// Stops a run when the build is cancelled: asks first, kills then, and at last hangs up on an agent that does
/// neither. Ends when `finished` closes.
pub fn stop_when_cancelled(
    agent: &AgentClient,
    control: &GuestStream,
    run: RunId,
    cancel: &Cancel,
    finished: &std::sync::mpsc::Receiver<()>,
) {
    let mut told = 0;
    let mut since = Instant::now();
    while let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = finished.recv_timeout(CANCEL_POLL) {
        if !cancel.is_cancelled() || (told > 0 && since.elapsed() < STOP_GRACE) {
            continue;
        }
        // An agent that is gone has no run left to stop.
        match told {
            0 => drop(agent.signal(run, SIGTERM)),
            1 => drop(agent.signal(run, SIGKILL)),
            _ => drop(control.shutdown(Shutdown::Both)),
        }
        (told, since) = (told + 1, Instant::now());
    }
}

/// A stream that ends when the build is cancelled: what dials may never say a word.
pub struct Cancellable<'a> {
    stream: GuestStream,
    cancel: &'a Cancel,
}

impl<'a> Cancellable<'a> {
    /// Takes over the stream.
    pub fn new(stream: GuestStream, cancel: &'a Cancel) -> std::io::Result<Self> {
        stream.set_read_timeout(Some(CANCEL_POLL))?;
        Ok(Self { stream, cancel })
    }
}

impl Read for Cancellable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if matches!(error.kind(), WouldBlock | TimedOut) => {}
                other => return other,
            }
            if self.cancel.is_cancelled() {
                return Err(ConnectionAborted.into());
            }
        }
    }
}
