//! The channel through libkrun's own traits, against the socket that the engine listens on.

use kiln_platform::local_socket::LocalListener;
use msb_krun::backends::vsock::VsockConnectState;

use super::*;
use crate::AGENT_PORT;

struct Host {
    _dir: tempfile::TempDir,
    engine: LocalListener,
    channel: Channel,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            engine: LocalListener::bind(dir.path(), STREAM_SOCKET).unwrap(),
            channel: Channel::new(dir.path().to_owned()),
            _dir: dir,
        }
    }

    fn dial(&self) -> io::Result<Box<dyn VsockStreamBackend>> {
        let request = VsockConnectRequest {
            guest_cid: 3,
            guest_port: 4000,
            host_port: AGENT_PORT,
        };
        self.channel.connect(request, VsockNotifier::new()?)
    }

    fn pair(&self) -> (Box<dyn VsockStreamBackend>, LocalStream) {
        let guest = self.dial().unwrap();
        (guest, self.engine.accept().unwrap())
    }
}

/// What is there to read, which must be something.
fn read(guest: &dyn VsockStreamBackend) -> Vec<u8> {
    let mut buf = [0; 100];
    let read = guest.read(&mut buf).unwrap();
    buf[..read].to_vec()
}

#[test]
fn bytes_pass_in_both_directions_and_nothing_waits() {
    let host = Host::new();
    let (guest, mut engine) = host.pair();
    assert_eq!(guest.connect_state().unwrap(), VsockConnectState::Connected);
    assert!(guest.pollable().is_some_and(|fd| fd >= 0));
    let nothing = guest.read(&mut [0; 10]).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);

    assert_eq!(guest.write(b"hello").unwrap(), 5);
    let mut heard = [0; 5];
    engine.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    engine.write_all(b"welcome").unwrap();
    assert_eq!(read(&*guest), b"welcome");
}

#[test]
fn slow_engine_stops_the_guest_and_loses_nothing() {
    let host = Host::new();
    let (guest, mut engine) = host.pair();
    let piece = [7; 30_000];
    let mut sent = 0;
    loop {
        match guest.write(&piece) {
            Ok(written) => sent += written,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                break;
            }
        }
        assert!(sent < 64 << 20, "nothing ever stops the guest");
    }
    drop(guest);
    let mut all = Vec::new();
    engine.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), sent);
}

#[test]
fn either_side_ends_a_stream() {
    let host = Host::new();
    let (guest, mut engine) = host.pair();
    guest.shutdown(VsockShutdown::Write).unwrap();
    assert_eq!(engine.read(&mut [0; 1]).unwrap(), 0);
    engine.write_all(b"last words").unwrap();
    drop(engine);
    assert_eq!(read(&*guest), b"last words");
    assert_eq!(guest.read(&mut [0; 1]).unwrap(), 0);

    let (guest, engine) = host.pair();
    drop(engine);
    assert!(guest.write(b"x").is_err());
}

#[test]
fn end_of_the_vm_ends_every_stream_and_lets_none_begin() {
    let host = Host::new();
    let (_one, mut first) = host.pair();
    let (two, mut second) = host.pair();
    drop(two);
    host.channel.close();
    for engine in [&mut first, &mut second] {
        assert_eq!(engine.read(&mut [0; 1]).unwrap(), 0);
    }
    assert!(host.dial().is_err());
}

#[test]
fn guest_has_a_limited_number_of_streams_at_a_time() {
    let host = Host::new();
    let mut held: Vec<_> = (0..MAX_STREAMS).map(|_| host.pair()).collect();
    let refused = host.dial().err().map(|error| error.kind());
    assert_eq!(refused, Some(io::ErrorKind::ConnectionRefused));
    held.pop();
    assert!(host.dial().is_ok());
}

#[test]
fn engine_that_is_gone_refuses() {
    let host = Host::new();
    drop(host.engine);
    let request = VsockConnectRequest {
        guest_cid: 3,
        guest_port: 1,
        host_port: AGENT_PORT,
    };
    let notifier = VsockNotifier::new().unwrap();
    assert!(host.channel.connect(request, notifier).is_err());
}
