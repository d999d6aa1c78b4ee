//! One guest connection: bytes both ways between the guest and a local stream, with credit.
//!
//! Guest → host: the guest may have [`BUFFER`] bytes under way; what the stream does not take at once
//! waits in `backlog`, so a slow reader stops the guest and not this process. Host → guest: nothing is
//! read from the stream before the guest has room for it, so nothing has to be kept.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

use kiln_platform::local_socket::LocalStream;

use super::packet::{SHUTDOWN_RECEIVE, SHUTDOWN_SEND};

/// What a guest may have under way on one connection. Large enough that credit updates, each of which
/// interrupts the guest, are rare in a bulk transfer; small enough that all connections together
/// (see `MAX_CONNECTIONS`) hold a bounded amount when nobody reads.
pub(crate) const BUFFER: u32 = 1 << 20;

/// The guest broke the rules: the connection is reset.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation;

/// What there is to send to the guest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Nothing for now.
    Nothing,
    /// That many bytes were put into the buffer.
    Data(usize),
    /// The host sends no more.
    EndOfData,
    /// The host is gone.
    Gone,
    /// The guest's buffer is full and it did not say how it gets on.
    AskForCredit,
    /// The guest should learn how much was taken.
    TellCredit,
}

/// The local stream, and what is known of its readiness.
#[derive(Debug)]
struct Local {
    stream: LocalStream,
    /// It may have bytes, or its end, to read.
    readable: bool,
    /// It may take bytes.
    writable: bool,
    /// Its other end is closed: what is written goes nowhere.
    hung_up: bool,
    /// Bytes it was rid of, modulo 2³²: what the guest gets back as room.
    forwarded: u32,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) guest_port: u32,
    local: Local,
    end_was_told: bool,

    backlog: VecDeque<u8>,
    /// Bytes taken from the guest, and `forwarded` as the guest knows it.
    received: u32,
    told: u32,
    /// The guest closed its sending, its receiving side.
    sends_no_more: bool,
    receives_no_more: bool,
    end_was_passed_on: bool,

    /// The guest's buffer, what it took from it, and what was sent to it.
    guest_buffer: u32,
    guest_forwarded: u32,
    sent: u32,
    asked_for_credit: bool,
}

impl Local {
    /// Writes what the stream takes now; everything, into nothing, once nobody reads.
    fn write(&mut self, mut data: &[u8]) -> usize {
        let whole = data.len();
        while !data.is_empty() && self.writable && !self.hung_up {
            match (&self.stream).write(data) {
                Ok(taken) if taken > 0 => data = &data[taken..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                // What it sent before may still be there to read.
                _ => (self.hung_up, self.readable) = (true, true),
            }
        }
        let taken = if self.hung_up {
            whole
        } else {
            whole - data.len()
        };
        self.forwarded = self.forwarded.wrapping_add(taken as u32);
        taken
    }

    /// Reads what is there: `None` for nothing now, 0 at the end.
    fn read(&mut self, buf: &mut [u8]) -> Option<usize> {
        while self.readable {
            match (&self.stream).read(buf) {
                Ok(read) => return Some(read),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(_) => {
                    self.hung_up = true;
                    return Some(0);
                }
            }
        }
        None
    }
}

impl Connection {
    /// `stream` must not block.
    pub(crate) fn new(guest_port: u32, stream: LocalStream) -> Self {
        let local = Local {
            stream,
            readable: true,
            writable: true,
            hung_up: false,
            forwarded: 0,
        };
        Self {
            guest_port,
            local,
            end_was_told: false,
            backlog: VecDeque::new(),
            received: 0,
            told: 0,
            sends_no_more: false,
            receives_no_more: false,
            end_was_passed_on: false,
            guest_buffer: 0,
            guest_forwarded: 0,
            sent: 0,
            asked_for_credit: false,
        }
    }

    pub(crate) fn stream(&self) -> &LocalStream {
        &self.local.stream
    }

    /// Notes what the guest says about its buffer; every packet does.
    pub(crate) fn note_guest_credit(&mut self, buffer: u32, forwarded: u32) {
        self.guest_buffer = buffer;
        self.guest_forwarded = forwarded;
        self.asked_for_credit = false;
    }

    /// Notes what the event loop saw of the stream.
    pub(crate) fn note_readiness(&mut self, readable: bool, writable: bool, hung_up: bool) {
        self.local.readable |= readable || hung_up;
        self.local.writable |= writable;
        self.local.hung_up |= hung_up;
    }

    /// Takes `data` from the guest.
    pub(crate) fn take(&mut self, data: &[u8]) -> Result<(), Violation> {
        let under_way = self.received.wrapping_sub(self.local.forwarded) as usize;
        if self.sends_no_more || under_way + data.len() > BUFFER as usize {
            return Err(Violation);
        }
        self.received = self.received.wrapping_add(data.len() as u32);
        let taken = if self.backlog.is_empty() {
            self.local.write(data)
        } else {
            0
        };
        self.backlog.extend(&data[taken..]);
        Ok(())
    }

    /// Passes on what waits, as far as the stream takes it, and then the guest's end of data.
    pub(crate) fn flush(&mut self) {
        while !self.backlog.is_empty() {
            let taken = self.local.write(self.backlog.as_slices().0);
            if taken == 0 {
                return;
            }
            self.backlog.drain(..taken);
        }
        // A transfer that once stalled must not keep its buffer for ever.
        self.backlog.shrink_to(0);
        if self.sends_no_more && !self.end_was_passed_on {
            self.end_was_passed_on = true;
            let _ = self.local.stream.shutdown(Shutdown::Write);
        }
    }

    /// Notes a SHUTDOWN of the guest; true when the guest has closed both sides.
    pub(crate) fn note_guest_shutdown(&mut self, flags: u32) -> bool {
        if flags & SHUTDOWN_RECEIVE != 0 && !self.receives_no_more {
            self.receives_no_more = true;
            let _ = self.local.stream.shutdown(Shutdown::Read);
        }
        self.sends_no_more |= flags & SHUTDOWN_SEND != 0;
        self.flush();
        self.sends_no_more && self.receives_no_more
    }

    /// Whether everything that the guest sent was passed on.
    pub(crate) fn is_drained(&self) -> bool {
        self.backlog.is_empty()
    }

    /// What the guest is to be told about this side's buffer: size and bytes taken from it.
    pub(crate) fn tell_credit(&mut self) -> (u32, u32) {
        self.told = self.local.forwarded;
        (BUFFER, self.told)
    }

    /// What there is to send; data go to the front of `buf`.
    pub(crate) fn output(&mut self, buf: &mut [u8]) -> Output {
        if self.local.readable && !self.receives_no_more && !self.end_was_told {
            let room = buf.len().min(self.guest_credit() as usize);
            if room == 0 {
                if !self.asked_for_credit {
                    self.asked_for_credit = true;
                    return Output::AskForCredit;
                }
            } else if let Some(read) = self.local.read(&mut buf[..room]) {
                if read > 0 {
                    self.sent = self.sent.wrapping_add(read as u32);
                    return Output::Data(read);
                }
                self.end_was_told = true;
                return if self.local.hung_up {
                    Output::Gone
                } else {
                    Output::EndOfData
                };
            }
        }
        if self.local.hung_up && (self.end_was_told || self.receives_no_more) {
            return Output::Gone;
        }
        // The guest believes it has BUFFER - (received - told) left, or less: newer kernels send no more than
        // their own buffer's size (256 KiB unless set) unacknowledged. Half of that gone is soon enough.
        let believed_used = self.received.wrapping_sub(self.told);
        if believed_used >= BUFFER.min(self.guest_buffer) / 2 && self.told != self.local.forwarded {
            return Output::TellCredit;
        }
        Output::Nothing
    }

    /// Room in the guest's buffer; nonsense from the guest makes it zero.
    fn guest_credit(&self) -> u32 {
        let under_way = self.sent.wrapping_sub(self.guest_forwarded);
        self.guest_buffer.saturating_sub(under_way)
    }
}
