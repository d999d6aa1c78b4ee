//! The multiplexer against a guest that is honest, slow, or hostile.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use kiln_platform::local_socket::LocalStream;

use super::connection::BUFFER;
use super::mux::{GUEST_CID, MAX_CONNECTIONS, Mux, Streams};
use super::packet::{HEADER_LEN, Header, Op, SHUTDOWN_RECEIVE, SHUTDOWN_SEND, TYPE_STREAM};
use crate::{AGENT_PORT, HOST_CID};

/// The engine's ends of what the guest opened.
#[derive(Default)]
struct Engine {
    ends: Vec<UnixStream>,
    open: usize,
    refuse: bool,
}

impl Streams for Engine {
    fn open(&mut self, _slot: usize) -> io::Result<LocalStream> {
        if self.refuse {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (near, far) = UnixStream::pair()?;
        let near = LocalStream::from(near);
        near.set_nonblocking(true)?;
        self.ends.push(far);
        self.open += 1;
        Ok(near)
    }

    fn forget(&mut self, _slot: usize, _stream: &LocalStream) {
        self.open -= 1;
    }
}

/// A guest that keeps what it is sent.
struct Guest {
    mux: Mux<Engine>,
}

fn header(port: u32, op: Op, len: usize) -> Header {
    Header {
        src_cid: GUEST_CID,
        dst_cid: u64::from(HOST_CID),
        src_port: port,
        dst_port: AGENT_PORT,
        len: len as u32,
        kind: TYPE_STREAM,
        op: Some(op),
        flags: 0,
        buf_alloc: 1 << 18,
        fwd_cnt: 0,
    }
}

impl Guest {
    fn new() -> Self {
        Self {
            mux: Mux::new(Engine::default()),
        }
    }

    fn say(&mut self, port: u32, op: Op, data: &[u8]) {
        self.mux.take(&header(port, op, data.len()), data);
    }

    fn hear(&mut self) -> Option<(Header, Vec<u8>)> {
        let mut packet = vec![0; 4096];
        let len = self.mux.next_packet(&mut packet);
        let (head, data) = packet[..len].split_first_chunk::<HEADER_LEN>()?;
        Some((Header::parse(head), data.to_vec()))
    }

    fn hear_op(&mut self) -> Option<Op> {
        self.hear().and_then(|(header, _)| header.op)
    }

    fn dial(&mut self, port: u32) -> UnixStream {
        self.say(port, Op::Request, b"");
        assert_eq!(self.hear_op(), Some(Op::Response));
        self.mux.streams().ends.pop().unwrap()
    }

    fn open(&mut self) -> usize {
        self.mux.streams().open
    }
}

#[test]
fn data_goes_both_ways() {
    let mut guest = Guest::new();
    let mut engine = guest.dial(7);
    guest.say(7, Op::Data, b"from guest");
    let mut buf = [0; 10];
    engine.read_exact(&mut buf).unwrap();
    assert_eq!(&buf, b"from guest");
    engine.write_all(b"from host").unwrap();
    guest.mux.note_readiness(0, true, false, false);
    let (header, data) = guest.hear().unwrap();
    assert_eq!(
        (header.op, data.as_slice()),
        (Some(Op::Data), b"from host".as_slice())
    );
    assert_eq!((header.dst_port, header.fwd_cnt), (7, 10));
    assert_eq!(guest.hear(), None);
}

#[test]
fn guest_gets_no_more_than_its_buffer_holds() {
    let mut guest = Guest::new();
    let mut engine = guest.dial(7);
    let small = |op, fwd_cnt| Header {
        buf_alloc: 100,
        fwd_cnt,
        ..header(7, op, 0)
    };
    guest.mux.take(&small(Op::CreditUpdate, 0), b"");
    engine.write_all(&[1; 250]).unwrap();
    guest.mux.note_readiness(0, true, false, false);
    assert_eq!(guest.hear().unwrap().1.len(), 100);
    assert_eq!(guest.hear_op(), Some(Op::CreditRequest));
    assert_eq!(guest.hear(), None, "one request is enough");
    guest.mux.take(&small(Op::CreditUpdate, 60), b"");
    assert_eq!(guest.hear().unwrap().1.len(), 60);
    // A guest that took more than it was sent talks nonsense, and gets nothing.
    guest.mux.take(&small(Op::CreditUpdate, u32::MAX), b"");
    assert_eq!(guest.hear_op(), Some(Op::CreditRequest));
    assert_eq!(guest.hear(), None);
}

#[test]
fn slow_engine_is_waited_for_and_credit_returns_as_it_reads() {
    let mut guest = Guest::new();
    let mut engine = guest.dial(7);
    let chunk = [3; 65_536];
    let chunks = BUFFER as usize / chunk.len();
    for _ in 0..chunks {
        guest.say(7, Op::Data, &chunk);
    }
    let mut got = 0;
    let mut buf = vec![0; 1 << 20];
    let mut told = 0;
    while got < BUFFER as usize {
        got += engine.read(&mut buf).unwrap();
        guest.mux.note_readiness(0, false, true, false);
        while let Some((header, _)) = guest.hear() {
            assert_eq!(header.op, Some(Op::CreditUpdate));
            told = header.fwd_cnt;
        }
    }
    assert!(told >= BUFFER / 2, "the guest could not go on: {told}");
}

#[test]
fn guest_that_sends_more_than_its_credit_is_reset() {
    let mut guest = Guest::new();
    let _engine = guest.dial(7);
    let chunk = [3; 65_536];
    // The socket itself takes some without anybody reading.
    for _ in 0..2 * BUFFER as usize / chunk.len() {
        guest.say(7, Op::Data, &chunk);
    }
    assert_eq!(guest.open(), 0);
    let answers: Vec<_> = std::iter::from_fn(|| guest.hear_op()).collect();
    assert!(answers.contains(&Op::Reset), "{answers:?}");
}

#[test]
fn what_was_sent_before_a_close_arrives_although_the_guest_is_done() {
    let mut guest = Guest::new();
    let mut engine = guest.dial(7);
    let data: Vec<u8> = (0..BUFFER).map(|i| (i % 251) as u8).collect();
    for chunk in data.chunks(65_536) {
        guest.say(7, Op::Data, chunk);
    }
    let both = Header {
        flags: SHUTDOWN_RECEIVE | SHUTDOWN_SEND,
        ..header(7, Op::Shutdown, 0)
    };
    guest.mux.take(&both, b"");
    assert_eq!(guest.hear_op(), Some(Op::Reset));
    // The port is free again at once.
    guest.say(7, Op::Request, b"");
    assert_eq!(guest.hear_op(), Some(Op::Response));
    let mut got = Vec::new();
    let mut buf = vec![0; 100_000];
    loop {
        match engine.read(&mut buf).unwrap() {
            0 => break,
            read => got.extend_from_slice(&buf[..read]),
        }
        guest.mux.note_readiness(0, false, true, false);
    }
    assert!(got == data, "{} of {} bytes", got.len(), data.len());
    assert_eq!(guest.open(), 1);
}

#[test]
fn engine_that_hangs_up_is_told_after_its_last_data() {
    let mut guest = Guest::new();
    let mut engine = guest.dial(7);
    engine.write_all(b"last words").unwrap();
    drop(engine);
    guest.mux.note_readiness(0, true, true, true);
    assert_eq!(guest.hear().unwrap().1, b"last words");
    let (header, _) = guest.hear().unwrap();
    assert_eq!(header.op, Some(Op::Shutdown));
    assert_eq!(header.flags, SHUTDOWN_RECEIVE | SHUTDOWN_SEND);
    assert_eq!(guest.open(), 0);
    guest.say(7, Op::Data, b"to nobody");
    assert_eq!(guest.hear_op(), Some(Op::Reset));
}

#[test]
fn engine_that_only_ends_its_data_still_gets_the_guests() {
    let mut guest = Guest::new();
    let mut engine = guest.dial(7);
    engine.shutdown(std::net::Shutdown::Write).unwrap();
    guest.mux.note_readiness(0, true, true, false);
    let (header, _) = guest.hear().unwrap();
    assert_eq!(
        (header.op, header.flags),
        (Some(Op::Shutdown), SHUTDOWN_SEND)
    );
    guest.say(7, Op::Data, b"more");
    guest.mux.take(
        &Header {
            flags: SHUTDOWN_SEND,
            ..header_of_shutdown()
        },
        b"",
    );
    let mut got = String::new();
    engine.read_to_string(&mut got).unwrap();
    assert_eq!(got, "more");
}

fn header_of_shutdown() -> Header {
    header(7, Op::Shutdown, 0)
}

#[test]
fn strangers_and_nonsense_are_reset() {
    let mut guest = Guest::new();
    let good = header(7, Op::Request, 0);
    for bad in [
        Header {
            dst_port: 22,
            ..good
        },
        Header { dst_cid: 1, ..good },
        Header { src_cid: 4, ..good },
        Header { kind: 2, ..good },
        Header { op: None, ..good },
        Header { len: 5, ..good },
        Header {
            op: Some(Op::Data),
            ..good
        },
        Header {
            op: Some(Op::Response),
            ..good
        },
    ] {
        guest.mux.take(&bad, b"");
        assert_eq!(guest.hear_op(), Some(Op::Reset), "{bad:?}");
    }
    assert_eq!(guest.open(), 0);
    guest.mux.streams().refuse = true;
    guest.say(7, Op::Request, b"");
    assert_eq!(guest.hear_op(), Some(Op::Reset));
    guest.say(7, Op::Reset, b"");
    assert_eq!(guest.hear(), None, "a reset is never answered");
}

#[test]
fn second_request_for_a_port_resets_it() {
    let mut guest = Guest::new();
    let _engine = guest.dial(7);
    guest.say(7, Op::Request, b"");
    assert_eq!(guest.hear_op(), Some(Op::Reset));
    assert_eq!(guest.open(), 0);
}

#[test]
fn connections_are_limited() {
    let mut guest = Guest::new();
    let engines: Vec<_> = (0..MAX_CONNECTIONS as u32)
        .map(|port| guest.dial(port))
        .collect();
    guest.say(10_000, Op::Request, b"");
    assert_eq!(guest.hear_op(), Some(Op::Reset));
    guest.say(0, Op::Reset, b"");
    guest.dial(10_000);
    drop(engines);
}

#[test]
fn guest_that_takes_no_answers_is_not_listened_to() {
    let mut guest = Guest::new();
    let mut said = 0;
    while guest.mux.accepts() {
        guest.say(said, Op::Data, b"");
        said += 1;
        assert!(said < 10_000);
    }
    while guest.hear().is_some() {}
    assert!(guest.mux.accepts());
}

#[test]
fn random_packets_neither_panic_nor_leak_connections() {
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: u64| {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise % below
    };
    let mut guest = Guest::new();
    let data = vec![9; 65_536];
    for _ in 0..20_000 {
        let ops = [
            Some(Op::Request),
            Some(Op::Response),
            Some(Op::Reset),
            Some(Op::Shutdown),
            Some(Op::Data),
            Some(Op::CreditUpdate),
            Some(Op::CreditRequest),
            None,
        ];
        let op = ops[next(8) as usize];
        let len = if op == Some(Op::Data) {
            next(65_537) as usize
        } else {
            0
        };
        let claimed = if next(10) == 0 {
            next(1 << 32) as u32
        } else {
            len as u32
        };
        let packet = Header {
            op,
            len: claimed,
            flags: next(4) as u32,
            buf_alloc: [0, 1000, u32::MAX][next(3) as usize],
            fwd_cnt: [0, 500, u32::MAX][next(3) as usize],
            ..header(next(300) as u32, Op::Data, 0)
        };
        if guest.mux.accepts() {
            guest.mux.take(&packet, &data[..len]);
        }
        let slot = next(MAX_CONNECTIONS as u64 + 5) as usize;
        guest
            .mux
            .note_readiness(slot, next(2) == 0, next(2) == 0, next(20) == 0);
        if next(3) == 0 {
            guest.hear();
        }
        assert!(guest.open() <= MAX_CONNECTIONS);
        if next(4) == 0 {
            guest.mux.streams().ends.pop();
        }
    }
    guest.mux.close_all();
    assert_eq!(guest.open(), 0);
}
