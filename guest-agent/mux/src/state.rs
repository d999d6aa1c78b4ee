//! One stream's account: what may be sent, what came and was not read yet, and which ends are closed. Pure.

use std::collections::VecDeque;

use crate::WINDOW;

/// The peer did what it must not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation;

/// What is known of one stream.
#[derive(Debug)]
pub(crate) struct State {
    /// Bytes that came and were not read yet; never more than [`WINDOW`].
    inbound: VecDeque<u8>,
    /// Bytes that the peer may still send.
    granted: u32,
    /// Bytes that were read and that the peer does not know of.
    untold: u32,
    /// The peer sends no more.
    pub(crate) peer_closed: bool,
    /// This side reads no more.
    stopped: bool,
    /// Bytes that this side may still send.
    credit: u32,
    /// The peer takes no more.
    peer_stopped: bool,
    /// This side sends no more.
    pub(crate) closed: bool,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            inbound: VecDeque::new(),
            granted: WINDOW,
            untold: 0,
            peer_closed: false,
            stopped: false,
            credit: WINDOW,
            peer_stopped: false,
            closed: false,
        }
    }

    /// Both sides have said their last word.
    pub(crate) fn is_over(&self) -> bool {
        self.closed && self.peer_closed
    }

    /// Data of the peer.
    pub(crate) fn take(&mut self, data: &[u8]) -> Result<(), Violation> {
        let len = u32::try_from(data.len()).map_err(|_| Violation)?;
        if self.peer_closed {
            return Err(Violation);
        }
        self.granted = self.granted.checked_sub(len).ok_or(Violation)?;
        if !self.stopped {
            self.inbound.extend(data);
        }
        Ok(())
    }

    /// The peer's end of data.
    pub(crate) fn take_close(&mut self) -> Result<(), Violation> {
        if std::mem::replace(&mut self.peer_closed, true) {
            return Err(Violation);
        }
        Ok(())
    }

    /// Credit from the peer.
    pub(crate) fn take_credit(&mut self, bytes: u32) -> Result<(), Violation> {
        let credit = self.credit.checked_add(bytes).ok_or(Violation)?;
        if credit > WINDOW {
            return Err(Violation);
        }
        self.credit = credit;
        Ok(())
    }

    /// The peer takes no more.
    pub(crate) fn take_stop(&mut self) {
        self.peer_stopped = true;
    }

    /// The link is gone: nothing more comes, nothing more goes.
    pub(crate) fn end(&mut self) {
        self.peer_closed = true;
        self.peer_stopped = true;
    }

    /// Reads what came; `None` while there is nothing, 0 at the end.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> Option<usize> {
        if self.inbound.is_empty() {
            return (self.peer_closed || self.stopped).then_some(0);
        }
        let (front, back) = self.inbound.as_slices();
        let first = front.len().min(buf.len());
        buf[..first].copy_from_slice(&front[..first]);
        let second = back.len().min(buf.len() - first);
        buf[first..first + second].copy_from_slice(&back[..second]);
        let read = first + second;
        self.inbound.drain(..read);
        self.untold += read as u32;
        Some(read)
    }

    /// Credit that the peer should be given now; it may use it at once. Not for every byte: half a window is soon enough.
    pub(crate) fn grant(&mut self) -> Option<u32> {
        if self.untold < WINDOW / 2 || self.peer_closed {
            return None;
        }
        let bytes = std::mem::take(&mut self.untold);
        self.granted += bytes;
        Some(bytes)
    }

    /// Bytes of `wanted` that may be sent now, taken from the credit; `None` while there is none.
    pub(crate) fn spend(&mut self, wanted: usize) -> Option<usize> {
        let bytes = self.credit.min(u32::try_from(wanted).unwrap_or(u32::MAX));
        self.credit -= bytes;
        (bytes > 0).then_some(bytes as usize)
    }

    /// Whether nothing may be sent any more.
    pub(crate) fn is_deaf(&self) -> bool {
        self.closed || self.peer_stopped
    }

    /// This side reads no more; true when the peer must be told.
    pub(crate) fn stop(&mut self) -> bool {
        self.inbound = VecDeque::new();
        !std::mem::replace(&mut self.stopped, true) && !self.peer_closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_that_sends_more_than_its_window_is_in_violation() {
        let mut state = State::new();
        state.take(&vec![1; WINDOW as usize]).unwrap();
        assert_eq!(state.take(&[1]), Err(Violation));
    }

    #[test]
    fn what_was_read_may_be_sent_again_once_it_is_granted() {
        let mut state = State::new();
        state.take(&vec![1; WINDOW as usize]).unwrap();
        let mut buf = vec![0; WINDOW as usize / 2 - 1];
        assert_eq!(state.read(&mut buf), Some(buf.len()));
        assert_eq!(state.grant(), None);
        assert_eq!(state.read(&mut buf[..1]), Some(1));
        assert_eq!(state.grant(), Some(WINDOW / 2));
        state.take(&vec![2; WINDOW as usize / 2]).unwrap();
        assert_eq!(state.take(&[1]), Err(Violation));
    }

    #[test]
    fn stopped_stream_holds_nothing_and_ends_for_its_reader() {
        let mut state = State::new();
        state.take(b"unread").unwrap();
        assert!(state.stop());
        assert!(!state.stop());
        state.take(b"more").unwrap();
        assert_eq!(state.read(&mut [0; 8]), Some(0));
        assert!(state.inbound.is_empty());
    }

    #[test]
    fn credit_is_spent_and_never_exceeds_the_window() {
        let mut state = State::new();
        assert_eq!(state.take_credit(1), Err(Violation));
        assert_eq!(state.spend(100), Some(100));
        assert_eq!(state.spend(usize::MAX), Some(WINDOW as usize - 100));
        assert_eq!(state.spend(1), None);
        assert_eq!(state.take_credit(u32::MAX), Err(Violation));
        state.take_credit(5).unwrap();
        assert_eq!(state.spend(10), Some(5));
    }

    #[test]
    fn nothing_may_come_after_the_end() {
        let mut state = State::new();
        state.take(b"last").unwrap();
        state.take_close().unwrap();
        assert_eq!(state.take(b"more"), Err(Violation));
        assert_eq!(state.take_close(), Err(Violation));
        assert_eq!(state.read(&mut [0; 8]), Some(4));
        assert_eq!(state.read(&mut [0; 8]), Some(0));
    }
}
