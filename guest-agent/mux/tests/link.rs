//! Two sides of a link over pipes: what streams promise, and what a hostile peer cannot do.
#![allow(clippy::unwrap_used, reason = "a failing test panics")]

use std::io::{self, Read, Write, pipe};
use std::net::Shutdown;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use kiln_mux::{MAX_DIALLED, MAX_PAYLOAD, MAX_STREAMS, Mux, MuxError, Stream, WINDOW};

/// Far more than any step here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A dialling side, an accepting side, and what the latter was opened.
struct Pair {
    guest: Mux,
    accepted: Receiver<Stream>,
}

impl Pair {
    fn new() -> Self {
        let (mut from_guest, to_host) = pipe().unwrap();
        let (mut from_host, to_guest) = pipe().unwrap();
        let (guest, host) = (Mux::new(to_host), Mux::new(to_guest));
        let (opened, accepted) = channel();
        let dialling = guest.clone();
        thread::spawn(move || dialling.run(&mut from_host, None));
        thread::spawn(move || {
            let mut accept = |stream| opened.send(stream).map_err(io::Error::other);
            host.run(&mut from_guest, Some(&mut accept))
        });
        Self { guest, accepted }
    }

    fn dial(&self) -> (Stream, Stream) {
        let near = self.guest.dial().unwrap();
        (near, self.accepted.recv_timeout(PATIENCE).unwrap())
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|i| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8)
        .collect()
}

fn read_all(mut stream: &Stream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn bytes_arrive_in_order_in_both_directions_at_once() {
    let pair = Pair::new();
    let (near, far) = pair.dial();
    let data = pattern(3_000_000);
    thread::scope(|scope| {
        for (mut writer, reader) in [(&near, &far), (&far, &near)] {
            let data = &data;
            scope.spawn(move || {
                writer.write_all(data).unwrap();
                writer.shutdown(Shutdown::Write);
            });
            scope.spawn(move || assert!(read_all(reader) == *data));
        }
    });
}

#[test]
fn slow_reader_stops_only_its_own_writer() {
    let pair = Pair::new();
    let (mut slow, far_slow) = pair.dial();
    let data = pattern(2 * WINDOW as usize);
    let expected = data.clone();
    let writing = thread::spawn(move || slow.write_all(&data).unwrap());
    let (mut quick, mut far_quick) = pair.dial();
    for _ in 0..100 {
        quick.write_all(b"ping").unwrap();
        far_quick.read_exact(&mut [0; 4]).unwrap();
    }
    assert!(
        !writing.is_finished(),
        "more was sent than the window holds"
    );
    assert!(read_all(&far_slow) == expected);
    writing.join().unwrap();
}

#[test]
fn what_was_sent_before_the_end_is_read_after_it() {
    let pair = Pair::new();
    let (mut near, far) = pair.dial();
    near.write_all(b"last words").unwrap();
    drop(near);
    assert_eq!(read_all(&far), b"last words");
}

#[test]
fn writer_learns_that_nobody_reads_any_more() {
    let pair = Pair::new();
    let (mut near, far) = pair.dial();
    let writing = thread::spawn(move || near.write_all(&pattern(4 * WINDOW as usize)));
    far.shutdown(Shutdown::Read);
    let error = writing.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn half_closed_stream_still_carries_the_other_half() {
    let pair = Pair::new();
    let (mut near, mut far) = pair.dial();
    near.write_all(b"question").unwrap();
    near.shutdown(Shutdown::Write);
    assert!(near.write_all(b"more").is_err());
    assert_eq!(read_all(&far), b"question");
    far.write_all(b"answer").unwrap();
    drop(far);
    assert_eq!(read_all(&near), b"answer");
}

#[test]
fn frames_of_several_parts_arrive_whole() {
    let pair = Pair::new();
    let (mut near, far) = pair.dial();
    let parts = [io::IoSlice::new(b"head"), io::IoSlice::new(b"body")];
    assert_eq!(near.write_vectored(&parts).unwrap(), 8);
    let long = vec![7; 2 * MAX_PAYLOAD];
    let sent = near
        .write_vectored(&[io::IoSlice::new(b"x"), io::IoSlice::new(&long)])
        .unwrap();
    assert_eq!(sent, MAX_PAYLOAD);
    drop(near);
    let read = read_all(&far);
    assert!(read.starts_with(b"headbodyx\x07"));
    assert_eq!(read.len(), 8 + sent);
}

#[test]
fn streams_can_be_dialled_for_ever_but_not_too_many_at_a_time() {
    let pair = Pair::new();
    for round in 0..3 * MAX_STREAMS {
        let (mut near, mut far) = pair.dial();
        near.write_all(&[round as u8]).unwrap();
        let mut byte = [0];
        far.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [round as u8]);
        drop(far);
        assert_eq!(read_all(&near), b"");
    }
    let all: Vec<_> = (0..MAX_DIALLED).map(|_| pair.dial()).collect();
    let error = pair.guest.dial().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
    drop(all);
}

#[test]
fn streams_end_with_the_link_and_none_can_be_dialled_after() {
    let (mut from_guest, to_host) = pipe().unwrap();
    let (mut from_host, to_guest) = pipe().unwrap();
    let guest = Mux::new(to_host);
    let near = guest.dial().unwrap();
    drop(to_guest);
    guest.run(&mut from_host, None).unwrap();
    assert_eq!(read_all(&near), b"");
    assert!((&near).write(b"x").is_err());
    assert!(guest.dial().is_err());
    drop((near, guest));
    let mut sent = Vec::new();
    from_guest.read_to_end(&mut sent).unwrap();
    assert_eq!(sent[..10], [0, 0, 0, 0, 1, 0, 0, 0, 1, 0]);
}

#[test]
fn link_that_fails_wakes_whoever_waits_on_its_streams() {
    let (mut from_guest, mut to_host) = pipe().unwrap();
    let (opened, accepted) = channel();
    let host = Mux::new(io::sink());
    let running = thread::spawn(move || {
        let mut accept = |stream| opened.send(stream).map_err(io::Error::other);
        host.run(&mut from_guest, Some(&mut accept))
    });
    to_host.write_all(&frame(OPEN, 1, b"")).unwrap();
    let stream = accepted.recv_timeout(PATIENCE).unwrap();
    let reading = stream.clone();
    let reading = thread::spawn(move || read_all(&reading));
    // Waits for credit that never comes.
    let writing = thread::spawn(move || (&stream).write_all(&pattern(2 * WINDOW as usize)));
    to_host.write_all(&frame(9, 1, b"")).unwrap();
    assert!(running.join().unwrap().is_err());
    assert_eq!(reading.join().unwrap(), b"");
    assert!(writing.join().unwrap().is_err());
}

fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
    bytes.extend(stream.to_le_bytes());
    bytes.extend([kind, 0]);
    bytes.extend(payload);
    bytes
}

const OPEN: u8 = 1;
const DATA: u8 = 2;
const CREDIT: u8 = 3;
const CLOSE: u8 = 4;
const STOP: u8 = 5;

/// What an accepting side says of these frames, and the streams it was opened.
fn hear(frames: &[Vec<u8>]) -> (Result<(), MuxError>, Vec<Stream>) {
    let bytes = frames.concat();
    let mut streams = Vec::new();
    let mut accept = |stream| {
        streams.push(stream);
        Ok(())
    };
    let result = Mux::new(io::sink()).run(&mut bytes.as_slice(), Some(&mut accept));
    (result, streams)
}

#[test]
fn peer_that_breaks_the_rules_ends_the_link() {
    let open = frame(OPEN, 1, b"");
    let full = vec![frame(DATA, 1, &vec![0; MAX_PAYLOAD]); WINDOW as usize / MAX_PAYLOAD + 1];
    let cases: [(&str, Vec<Vec<u8>>); 13] = [
        ("data of no stream", vec![frame(DATA, 1, b"x")]),
        ("close of no stream", vec![frame(CLOSE, 1, b"")]),
        (
            "credit for a stream to come",
            vec![frame(CREDIT, 1, &[1, 0, 0, 0])],
        ),
        ("stop of stream 0", vec![open.clone(), frame(STOP, 0, b"")]),
        ("open out of order", vec![frame(OPEN, 2, b"")]),
        ("open again", vec![open.clone(), open.clone()]),
        (
            "data after close",
            vec![open.clone(), frame(CLOSE, 1, b""), frame(DATA, 1, b"x")],
        ),
        (
            "close twice",
            vec![open.clone(), frame(CLOSE, 1, b""), frame(CLOSE, 1, b"")],
        ),
        ("more than the window", [vec![open.clone()], full].concat()),
        (
            "too much credit",
            vec![open.clone(), frame(CREDIT, 1, &1u32.to_le_bytes())],
        ),
        ("unknown kind", vec![open.clone(), frame(9, 1, b"")]),
        ("torn header", vec![open.clone(), vec![0; 5]]),
        (
            "torn payload",
            vec![open.clone(), frame(DATA, 1, b"abc")[..11].to_vec()],
        ),
    ];
    for (what, frames) in cases {
        let (result, streams) = hear(&frames);
        assert!(result.is_err(), "{what}");
        // What came before is still there, and then the end.
        for stream in streams {
            assert!(read_all(&stream).len() <= WINDOW as usize, "{what}");
        }
    }
}

#[test]
fn streams_of_a_peer_are_limited_and_hold_no_more_than_their_windows() {
    let opens: Vec<_> = (1..=MAX_STREAMS as u32 + 1)
        .flat_map(|number| [frame(OPEN, number, b""), frame(DATA, number, &[1; 100])])
        .collect();
    let (result, streams) = hear(&opens);
    assert!(
        matches!(result, Err(MuxError::TooManyStreams)),
        "{result:?}"
    );
    assert_eq!(streams.len(), MAX_STREAMS);
    let held: usize = streams.iter().map(|stream| read_all(stream).len()).sum();
    assert_eq!(held, 100 * MAX_STREAMS);
}

#[test]
fn closed_streams_count_until_they_are_dropped() {
    let frames: Vec<_> = (1..=MAX_STREAMS as u32 + 1)
        .flat_map(|number| [frame(OPEN, number, b""), frame(CLOSE, number, b"")])
        .collect();
    let (result, _streams) = hear(&frames);
    assert!(
        matches!(result, Err(MuxError::TooManyStreams)),
        "{result:?}"
    );

    let bytes = frames.concat();
    let mut dropping = |stream| {
        drop(stream);
        Ok(())
    };
    Mux::new(io::sink())
        .run(&mut bytes.as_slice(), Some(&mut dropping))
        .unwrap();
}

#[test]
fn late_words_about_a_stream_that_is_over_are_passed_over() {
    let frames = [
        frame(OPEN, 1, b""),
        frame(CLOSE, 1, b""),
        frame(CREDIT, 1, &[1, 0, 0, 0]),
        frame(STOP, 1, b""),
    ];
    let bytes = frames.concat();
    let mut dropping = |stream| {
        drop(stream);
        Ok(())
    };
    Mux::new(io::sink())
        .run(&mut bytes.as_slice(), Some(&mut dropping))
        .unwrap();
}

#[test]
fn peer_that_must_not_open_streams_and_does_ends_the_link() {
    let bytes = frame(OPEN, 1, b"");
    let result = Mux::new(io::sink()).run(&mut bytes.as_slice(), None);
    assert!(matches!(result, Err(MuxError::BadOpen { stream: 1 })));
}
