//! Frames under bytes that nobody should send, and under streams that come in pieces.

use std::io::{self, Read};

use kiln_protocol::{
    FrameError, FrameHeader, FrameKind, HEADER_LEN, LayerEnd, MAX_FRAME_LEN, MAX_MESSAGE_LEN, MORE,
    Request, credit_from_payload, read_frame, read_message, write_frame, write_message,
    zeros_from_payload,
};

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> usize {
        (self.next() % bound) as usize
    }
}

/// Gives a few bytes at a time.
struct Pieces<'a>(&'a [u8], Numbers);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.1.below(5) == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = self.1.below(7).max(1).min(buffer.len()).min(self.0.len());
        let (now, later) = self.0.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.0 = later;
        Ok(count)
    }
}

const KINDS: [FrameKind; 4] = [
    FrameKind::Stdout,
    FrameKind::Control,
    FrameKind::Data,
    FrameKind::Credit,
];

#[test]
fn frames_survive_any_cutting_of_the_stream() {
    let mut numbers = Numbers(1);
    for round in 0..50 {
        let frames: Vec<(u32, FrameKind, Vec<u8>)> = (0..numbers.below(6) + 1)
            .map(|_| {
                let payload = (0..numbers.below(600))
                    .map(|_| numbers.next() as u8)
                    .collect();
                (numbers.next() as u32, KINDS[numbers.below(4)], payload)
            })
            .collect();
        let mut wire = Vec::new();
        for (stream, kind, payload) in &frames {
            write_frame(&mut wire, *stream, *kind, 0, payload).expect("write");
        }
        let mut reader = Pieces(&wire, Numbers(round + 7));
        let mut buffer = Vec::new();
        for (stream, kind, payload) in &frames {
            let frame = read_frame(&mut reader, &mut buffer).expect("read");
            assert_eq!(
                (frame.stream, frame.kind, frame.payload),
                (*stream, *kind, payload.as_slice())
            );
        }
        assert!(matches!(
            read_frame(&mut reader, &mut buffer),
            Err(FrameError::Closed)
        ));
    }
}

#[test]
fn any_bytes_end_in_a_frame_or_an_error_and_bounded_memory() {
    let mut numbers = Numbers(99);
    let mut buffer = Vec::new();
    for _ in 0..20_000 {
        let mut bytes: Vec<u8> = (0..numbers.below(40))
            .map(|_| numbers.next() as u8)
            .collect();
        if let Some(kind) = bytes.get_mut(8) {
            *kind %= 11;
        }
        if bytes.len() > 9 && numbers.below(2) == 0 {
            bytes[1..4].fill(0);
            bytes[9] = 0;
        }
        let mut reader = bytes.as_slice();
        while let Ok(frame) = read_frame(&mut reader, &mut buffer) {
            assert!(frame.payload.len() <= bytes.len());
            let _ = (
                credit_from_payload(frame.payload),
                zeros_from_payload(frame.payload),
            );
            let _ = (LayerEnd::decode(frame.payload), frame.json::<Request>());
        }
        assert!(buffer.capacity() <= 2 * MAX_FRAME_LEN as usize);
    }
}

#[test]
fn headers_out_of_bounds_are_named() {
    let header = |len: u32, kind: u8, flags: u8| {
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        bytes[8..].copy_from_slice(&[kind, flags]);
        FrameHeader::decode(bytes)
    };
    assert!(header(MAX_FRAME_LEN, 6, 0).is_ok());
    assert!(matches!(
        header(MAX_FRAME_LEN + 1, 6, 0),
        Err(FrameError::TooLong { .. })
    ));
    assert!(matches!(
        header(0, 0, 0),
        Err(FrameError::UnknownKind { kind: 0 })
    ));
    assert!(matches!(
        header(0, 10, 0),
        Err(FrameError::UnknownKind { kind: 10 })
    ));
    assert!(header(0, 2, MORE).is_ok());
    assert!(matches!(
        header(0, 6, MORE),
        Err(FrameError::BadFlags { .. })
    ));
    assert!(matches!(header(0, 2, 2), Err(FrameError::BadFlags { .. })));
}

#[test]
fn truncated_streams_are_told_from_closed_ones() {
    let mut wire = Vec::new();
    write_frame(&mut wire, 1, FrameKind::Data, 0, b"abc").expect("write");
    for end in 1..wire.len() {
        let error = read_frame(&mut &wire[..end], &mut Vec::new()).expect_err("cut");
        assert!(matches!(error, FrameError::Truncated), "{end}");
    }
}

#[test]
fn long_messages_are_cut_and_joined_and_bounded() {
    let message = "x".repeat(3 * MAX_FRAME_LEN as usize);
    let mut wire = Vec::new();
    write_message(&mut wire, FrameKind::Control, &message).expect("write");
    let read: String =
        read_message(&mut wire.as_slice(), &mut Vec::new(), FrameKind::Control).expect("read");
    assert!(read == message);
    let too_long = "x".repeat(MAX_MESSAGE_LEN);
    let error =
        write_message(&mut io::sink(), FrameKind::Control, &too_long).expect_err("too long");
    assert!(matches!(error, FrameError::MessageTooLong));
    assert!(write_message(&mut io::sink(), FrameKind::Hello, &message).is_err());

    let part = vec![b' '; MAX_FRAME_LEN as usize];
    let mut endless = Vec::new();
    for _ in 0..=MAX_MESSAGE_LEN / part.len() {
        write_frame(&mut endless, 0, FrameKind::Control, MORE, &part).expect("write");
    }
    let result: Result<String, _> =
        read_message(&mut endless.as_slice(), &mut Vec::new(), FrameKind::Control);
    assert!(matches!(result, Err(FrameError::MessageTooLong)));
}
