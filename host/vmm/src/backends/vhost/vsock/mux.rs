//! The protocol of virtio-vsock between one guest and the streams of the engine.
//!
//! Knows packets, not queues: [`Mux::take`] gets what the guest sent, [`Mux::next_packet`] makes what
//! it is sent. Invariant: what a guest can make this hold is bounded by [`MAX_CONNECTIONS`] buffers and
//! [`MAX_ANSWERS`] headers.

use std::collections::{HashMap, VecDeque};
use std::io;

use kiln_platform::local_socket::LocalStream;

use super::connection::{Connection, Output};
use super::packet::{
    HEADER_LEN, Header, MAX_PAYLOAD, Op, SHUTDOWN_RECEIVE, SHUTDOWN_SEND, TYPE_STREAM,
};
use crate::{AGENT_PORT, HOST_CID};

/// Connections at a time; a build needs a handful.
pub(crate) const MAX_CONNECTIONS: usize = 128;

/// Answers that may wait for the guest to supply buffers. Until it does, nothing more is taken from it.
const MAX_ANSWERS: usize = 256;

/// Context of the guest.
pub(crate) const GUEST_CID: u64 = 3;

/// Where new connections go, and how their readiness is learnt.
pub(crate) trait Streams {
    /// A stream to the engine that does not block, watched under `slot` from now on.
    fn open(&mut self, slot: usize) -> io::Result<LocalStream>;
    /// The stream of `slot` is about to be closed.
    fn forget(&mut self, slot: usize, stream: &LocalStream);
}

/// All connections of one guest.
#[derive(Debug)]
pub(crate) struct Mux<S> {
    streams: S,
    slots: Vec<Option<Connection>>,
    /// Slot of each guest port, without those that only drain.
    ports: HashMap<u32, usize>,
    answers: VecDeque<Header>,
    /// Slot that is asked next for output, so that all get their turn.
    turn: usize,
}

impl<S: Streams> Mux<S> {
    pub(crate) fn new(streams: S) -> Self {
        Self {
            streams,
            slots: Vec::new(),
            ports: HashMap::new(),
            answers: VecDeque::new(),
            turn: 0,
        }
    }

    pub(crate) fn streams(&mut self) -> &mut S {
        &mut self.streams
    }

    /// Whether the guest may be listened to now.
    pub(crate) fn accepts(&self) -> bool {
        self.answers.len() < MAX_ANSWERS
    }

    /// Notes what the event loop saw of a slot's stream.
    pub(crate) fn note_readiness(
        &mut self,
        slot: usize,
        readable: bool,
        writable: bool,
        hung_up: bool,
    ) {
        let Some(Some(connection)) = self.slots.get_mut(slot) else {
            return;
        };
        connection.note_readiness(readable, writable, hung_up);
        connection.flush();
        let live = self.ports.get(&connection.guest_port) == Some(&slot);
        if !live && connection.is_drained() {
            self.close(slot);
        }
    }

    /// Takes one packet of the guest.
    pub(crate) fn take(&mut self, header: &Header, payload: &[u8]) {
        let addressed = header.kind == TYPE_STREAM
            && header.src_cid == GUEST_CID
            && header.dst_cid == u64::from(HOST_CID)
            && header.dst_port == AGENT_PORT
            && header.len as usize == payload.len();
        let slot = self.ports.get(&header.src_port).copied();
        match (header.op, slot) {
            (Some(Op::Request), None) if addressed => self.connect(header),
            (Some(op), Some(slot)) if addressed => self.take_for(slot, op, header, payload),
            (Some(Op::Reset), _) => {}
            _ => self.answer(header, Op::Reset),
        }
    }

    fn connect(&mut self, header: &Header) {
        let slot = self
            .slots
            .iter()
            .position(Option::is_none)
            .unwrap_or(self.slots.len());
        if slot >= MAX_CONNECTIONS {
            return self.answer(header, Op::Reset);
        }
        let Ok(stream) = self.streams.open(slot) else {
            return self.answer(header, Op::Reset);
        };
        let mut connection = Connection::new(header.src_port, stream);
        connection.note_guest_credit(header.buf_alloc, header.fwd_cnt);
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot] = Some(connection);
        self.ports.insert(header.src_port, slot);
        self.answer(header, Op::Response);
    }

    fn take_for(&mut self, slot: usize, op: Op, header: &Header, payload: &[u8]) {
        let connection = self.slots[slot].as_mut().expect("a port's slot is in use");
        connection.note_guest_credit(header.buf_alloc, header.fwd_cnt);
        match op {
            Op::Data if connection.take(payload).is_ok() => {}
            Op::CreditUpdate => {}
            Op::CreditRequest => self.answer(header, Op::CreditUpdate),
            Op::Shutdown => {
                if connection.note_guest_shutdown(header.flags) {
                    // The guest is done with it at once; the engine still gets what was sent.
                    self.answer(header, Op::Reset);
                    self.detach(slot);
                }
            }
            Op::Reset => self.close(slot),
            // Too much data, or a packet that only this side sends.
            Op::Data | Op::Request | Op::Response => {
                self.answer(header, Op::Reset);
                self.close(slot);
            }
        }
    }

    /// Puts the next packet for the guest into `packet`, which is as long as the guest's buffer;
    /// 0 if there is none.
    pub(crate) fn next_packet(&mut self, packet: &mut [u8]) -> usize {
        let Some((head, room)) = packet.split_at_mut_checked(HEADER_LEN) else {
            return 0;
        };
        if let Some(mut header) = self.answers.pop_front() {
            if let Some(slot) = self.ports.get(&header.dst_port) {
                let connection = self.slots[*slot].as_mut().expect("a port's slot is in use");
                (header.buf_alloc, header.fwd_cnt) = connection.tell_credit();
            }
            head.copy_from_slice(&header.to_bytes());
            return HEADER_LEN;
        }
        let limit = room.len().min(MAX_PAYLOAD);
        for _ in 0..self.slots.len() {
            let slot = self.turn % self.slots.len();
            self.turn = slot + 1;
            let Some(connection) = self.slots[slot].as_mut() else {
                continue;
            };
            if self.ports.get(&connection.guest_port) != Some(&slot) {
                continue;
            }
            let output = connection.output(&mut room[..limit]);
            if let Some(header) = header_of(&output, connection) {
                head.copy_from_slice(&header.to_bytes());
                if output == Output::Gone {
                    self.close(slot);
                }
                return HEADER_LEN + header.len as usize;
            }
        }
        0
    }

    fn answer(&mut self, to: &Header, op: Op) {
        self.answers.push_back(to.answer(op));
    }

    /// Takes the slot's port away; the slot lives on until its backlog is passed on.
    fn detach(&mut self, slot: usize) {
        let connection = self.slots[slot].as_ref().expect("a port's slot is in use");
        self.ports.remove(&connection.guest_port);
        if connection.is_drained() {
            self.close(slot);
        }
    }

    /// Closes every connection. What the guest sent before is still passed on as far as it goes at
    /// once.
    pub(crate) fn close_all(&mut self) {
        for slot in 0..self.slots.len() {
            if let Some(connection) = &mut self.slots[slot] {
                connection.flush();
            }
            self.close(slot);
        }
    }

    fn close(&mut self, slot: usize) {
        let Some(connection) = self.slots[slot].take() else {
            return;
        };
        if self.ports.get(&connection.guest_port) == Some(&slot) {
            self.ports.remove(&connection.guest_port);
        }
        self.streams.forget(slot, connection.stream());
    }
}

/// The packet that says `output`; `None` for nothing.
fn header_of(output: &Output, connection: &mut Connection) -> Option<Header> {
    let (op, flags, len) = match output {
        Output::Nothing => return None,
        Output::Data(len) => (Op::Data, 0, *len as u32),
        Output::EndOfData => (Op::Shutdown, SHUTDOWN_SEND, 0),
        Output::Gone => (Op::Shutdown, SHUTDOWN_SEND | SHUTDOWN_RECEIVE, 0),
        Output::AskForCredit => (Op::CreditRequest, 0, 0),
        Output::TellCredit => (Op::CreditUpdate, 0, 0),
    };
    let (buf_alloc, fwd_cnt) = connection.tell_credit();
    Some(Header {
        src_cid: u64::from(HOST_CID),
        dst_cid: GUEST_CID,
        src_port: AGENT_PORT,
        dst_port: connection.guest_port,
        len,
        kind: TYPE_STREAM,
        op: Some(op),
        flags,
        buf_alloc,
        fwd_cnt,
    })
}
