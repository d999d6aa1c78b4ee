//! The control connection's reading side: hands each run what is its own, and cuts off a guest that breaks a rule.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Mutex;
use std::sync::mpsc::Sender;

use kiln_protocol::{Event, Exit, FrameError, FrameKind, RunId, read_frame};

use crate::client::{OutputStream, RunOutcome, lock};
use crate::error::Error;
use crate::text::clean_failure;

/// What the reading thread hands to a run.
pub(crate) enum Incoming {
    Output(OutputStream, Vec<u8>),
    Ended(RunOutcome),
    Lost(Error),
}

/// A run that is waited for.
pub(crate) struct ActiveRun {
    pub(crate) sender: Sender<Incoming>,
    /// Bytes that the guest may still send.
    pub(crate) window: u64,
}

/// All runs that are waited for.
#[derive(Default)]
pub(crate) struct Runs {
    pub(crate) active: HashMap<RunId, ActiveRun>,
    /// Why the connection has ended.
    pub(crate) lost: Option<Error>,
}

/// The reading thread: ends when the connection does.
pub(crate) fn receive(reader: &mut impl Read, runs: &Mutex<Runs>) {
    let mut buffer = Vec::new();
    let error = loop {
        if let Err(error) = receive_one(reader, &mut buffer, runs) {
            break error;
        }
    };
    let mut runs = lock(runs);
    for (_, active) in runs.active.drain() {
        // The run may have stopped listening.
        let _ = active.sender.send(Incoming::Lost(error.clone()));
    }
    runs.lost = Some(error);
}

fn receive_one(
    reader: &mut impl Read,
    buffer: &mut Vec<u8>,
    runs: &Mutex<Runs>,
) -> Result<(), Error> {
    let frame = read_frame(reader, buffer)?;
    match frame.kind {
        FrameKind::Stdout => take_output(
            runs,
            RunId(frame.stream),
            OutputStream::Stdout,
            frame.payload,
        ),
        FrameKind::Stderr => take_output(
            runs,
            RunId(frame.stream),
            OutputStream::Stderr,
            frame.payload,
        ),
        FrameKind::Control if frame.flags == 0 => take_event(runs, frame.json()?),
        FrameKind::Control => Err(Error::Protocol {
            rule: "events fit into one frame",
        }),
        got => Err(FrameError::Unexpected {
            expected: FrameKind::Control,
            got,
        }
        .into()),
    }
}

fn take_output(
    runs: &Mutex<Runs>,
    run: RunId,
    stream: OutputStream,
    bytes: &[u8],
) -> Result<(), Error> {
    let mut runs = lock(runs);
    // Output of a run that has stopped listening is dropped; it can no longer get credit either.
    let Some(active) = runs.active.get_mut(&run) else {
        return Ok(());
    };
    active.window = active
        .window
        .checked_sub(bytes.len() as u64)
        .ok_or(Error::Protocol {
            rule: "no more output than credit",
        })?;
    if bytes.is_empty() {
        return Err(Error::Protocol {
            rule: "output is never empty",
        });
    }
    let _ = active.sender.send(Incoming::Output(stream, bytes.to_vec()));
    Ok(())
}

fn take_event(runs: &Mutex<Runs>, event: Event) -> Result<(), Error> {
    let (run, outcome) = match event {
        Event::Exited {
            exit: Exit::Code(code),
            ..
        } if !(0..=255).contains(&code) => {
            return Err(Error::Protocol {
                rule: "exit codes are 0 to 255",
            });
        }
        Event::Exited { run, exit } => (run, RunOutcome::Exited(exit)),
        Event::Failed { run, failure } => (run, RunOutcome::Failed(clean_failure(failure))),
    };
    let Some(active) = lock(runs).active.remove(&run) else {
        return Err(Error::Protocol {
            rule: "a run ends once",
        });
    };
    let _ = active.sender.send(Incoming::Ended(outcome));
    Ok(())
}
