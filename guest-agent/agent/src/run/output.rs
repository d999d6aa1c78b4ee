//! A run's output, from its pipes to the host as it comes.

use std::os::fd::BorrowedFd;

use kiln_protocol::{FrameKind, RunId};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::Active;
use crate::connection::Sender;

/// A pipe's capacity: more cannot come at once.
const BUFFER: usize = 64 * 1024;

/// Sends until both pipes are closed, which they are when the last process of the run is gone.
pub(super) fn pump(
    run: RunId,
    active: &Active,
    sender: &Sender,
    stdout: BorrowedFd<'_>,
    stderr: BorrowedFd<'_>,
) {
    let mut buffer = vec![0; BUFFER];
    let limit = sender.payload_limit().min(BUFFER);
    let mut open = vec![(stdout, FrameKind::Stdout), (stderr, FrameKind::Stderr)];
    while !open.is_empty() {
        let mut waiting: Vec<PollFd<'_>> = open
            .iter()
            .map(|(pipe, _)| PollFd::from_borrowed_fd(*pipe, PollFlags::IN))
            .collect();
        match poll(&mut waiting, None) {
            Err(Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        let ready: Vec<bool> = waiting
            .iter()
            .map(|pipe| !pipe.revents().is_empty())
            .collect();
        let mut index = 0;
        open.retain(|(pipe, kind)| {
            index += 1;
            !ready[index - 1] || forward(run, active, sender, (*pipe, *kind), &mut buffer, limit)
        });
    }
}

/// Sends what one pipe has; false at its end.
fn forward(
    run: RunId,
    active: &Active,
    sender: &Sender,
    (pipe, kind): (BorrowedFd<'_>, FrameKind),
    buffer: &mut [u8],
    limit: usize,
) -> bool {
    let mut rest = match rustix::io::read(pipe, &mut *buffer) {
        Ok(0) => return false,
        Ok(count) => &buffer[..count],
        Err(Errno::INTR | Errno::AGAIN) => return true,
        Err(_) => return false,
    };
    while !rest.is_empty() {
        let taken = active.credit.take(rest.len().min(limit));
        let (part, after) = rest.split_at(taken);
        if sender.frame(run.0, kind, part).is_err() {
            return false;
        }
        rest = after;
    }
    true
}
