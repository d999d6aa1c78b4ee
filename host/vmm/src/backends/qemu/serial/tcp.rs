//! A listener on the loopback interface for exactly one connection.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// How often is looked whether the connection is there: waiting without end would outlast a program that never comes.
const PAUSE: Duration = Duration::from_millis(1);

/// The listener.
#[derive(Debug)]
pub(super) struct Listener {
    tcp: TcpListener,
    port: u16,
}

impl Listener {
    /// Binds a free port.
    pub(super) fn bind() -> io::Result<Self> {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        tcp.set_nonblocking(true)?;
        let port = tcp.local_addr()?.port();
        Ok(Self { tcp, port })
    }

    /// Where to connect.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Waits for the connection, after which nobody else can connect; `None` when `expected` says that none will come.
    pub(super) fn accept(
        self,
        deadline: Instant,
        expected: impl Fn() -> bool,
    ) -> io::Result<Option<TcpStream>> {
        loop {
            match self.tcp.accept() {
                Ok((stream, _)) => {
                    // Some systems let it take after its listener.
                    stream.set_nonblocking(false)?;
                    stream.set_nodelay(true)?;
                    return Ok(Some(stream));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if !expected() {
                return Ok(None);
            }
            if Instant::now() > deadline {
                return Err(ErrorKind::TimedOut.into());
            }
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_connection_is_taken_and_the_next_is_refused() {
        let listener = Listener::bind().unwrap();
        let port = listener.port();
        let _first = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        assert!(listener.accept(deadline, || true).unwrap().is_some());
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    }

    #[test]
    fn connection_that_will_not_come_is_not_waited_for() {
        let deadline = Instant::now() + Duration::from_secs(60);
        let none = Listener::bind().unwrap().accept(deadline, || false);
        assert!(none.unwrap().is_none());
        let late = Listener::bind().unwrap().accept(Instant::now(), || true);
        assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
