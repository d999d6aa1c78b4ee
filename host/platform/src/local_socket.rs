//! Byte streams between processes of one user on one machine, met at a name in a private directory.
//!
//! Unix: a Unix-domain socket. Windows: TCP on the loopback interface, whose port and a secret are
//! written to a file of that name, since `AF_UNIX` is not available to the standard library there.
//! The directory must be accessible to its owner only: it is what keeps strangers out.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::path::Path;

#[cfg(unix)]
use std::os::unix::net as os;

/// Waits for streams at a name.
#[derive(Debug)]
pub struct LocalListener(imp::Listener);

/// A connected duplex byte stream.
#[derive(Debug)]
pub struct LocalStream(imp::Stream);

impl LocalListener {
    /// Binds `name` inside `directory`. The directory's path may be of any length on Linux.
    pub fn bind(directory: &Path, name: &str) -> io::Result<Self> {
        imp::bind(directory, name).map(Self)
    }

    /// Waits for the next stream.
    pub fn accept(&self) -> io::Result<LocalStream> {
        imp::accept(&self.0).map(LocalStream)
    }
}

impl LocalStream {
    /// Connects to the listener bound at `name` inside `directory`.
    pub fn connect(directory: &Path, name: &str) -> io::Result<Self> {
        imp::connect(directory, name).map(Self)
    }

    /// A second handle of the same stream.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Ends one or both directions; the peer reads end-of-file.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    /// Bounds the time that one read may wait; `None` waits for ever.
    pub fn set_read_timeout(&self, timeout: Option<std::time::Duration>) -> io::Result<()> {
        self.0.set_read_timeout(timeout)
    }

    /// Makes reads and writes return `WouldBlock` instead of waiting.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking)
    }
}

#[cfg(unix)]
impl From<os::UnixStream> for LocalStream {
    fn from(stream: os::UnixStream) -> Self {
        Self(stream)
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for LocalStream {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(unix)]
impl std::os::fd::AsRawFd for LocalStream {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

impl Read for LocalStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for LocalStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Read for &LocalStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(buf)
    }
}

impl Write for &LocalStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&self.0).write(buf)
    }
    fn flush(&mut self) -> io::Result<()> {
        (&self.0).flush()
    }
}

#[cfg(unix)]
mod imp {
    use super::{Path, io, os};

    pub(super) type Listener = os::UnixListener;
    pub(super) type Stream = os::UnixStream;

    /// Runs `action` with a short path for `name` in `directory`: socket addresses hold 107 bytes,
    /// so Linux goes through the open directory instead of its path.
    fn with_short_path<T>(
        directory: &Path,
        name: &str,
        action: impl FnOnce(&Path) -> io::Result<T>,
    ) -> io::Result<T> {
        if cfg!(target_os = "linux") {
            use std::os::fd::AsRawFd;
            let opened = std::fs::File::open(directory)?;
            let path = format!("/proc/self/fd/{}/{name}", opened.as_raw_fd());
            return action(Path::new(&path));
        }
        action(&directory.join(name))
    }

    pub(super) fn bind(directory: &Path, name: &str) -> io::Result<Listener> {
        with_short_path(directory, name, |path| Listener::bind(path))
    }

    pub(super) fn connect(directory: &Path, name: &str) -> io::Result<Stream> {
        with_short_path(directory, name, |path| Stream::connect(path))
    }

    pub(super) fn accept(listener: &Listener) -> io::Result<Stream> {
        listener.accept().map(|(stream, _)| stream)
    }
}

#[cfg(not(unix))]
mod imp {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::time::Duration;

    use super::{Path, io};

    pub(super) type Stream = TcpStream;

    /// Proves that a caller could read the file in the private directory.
    type Secret = [u8; 32];

    /// A stranger who connects and says nothing must not hold up the accept loop.
    const SECRET_TIMEOUT: Duration = Duration::from_secs(2);

    #[derive(Debug)]
    pub(super) struct Listener {
        tcp: TcpListener,
        secret: Secret,
    }

    pub(super) fn bind(directory: &Path, name: &str) -> io::Result<Listener> {
        let mut secret = Secret::default();
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut file = tcp.local_addr()?.port().to_le_bytes().to_vec();
        file.extend_from_slice(&secret);
        std::fs::write(directory.join(name), file)?;
        Ok(Listener { tcp, secret })
    }

    pub(super) fn connect(directory: &Path, name: &str) -> io::Result<Stream> {
        let file = std::fs::read(directory.join(name))?;
        let (port, secret) = file
            .split_first_chunk::<2>()
            .filter(|(_, secret)| secret.len() == size_of::<Secret>())
            .ok_or(io::ErrorKind::InvalidData)?;
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, u16::from_le_bytes(*port)))?;
        stream.set_nodelay(true)?;
        stream.write_all(secret)?;
        Ok(stream)
    }

    pub(super) fn accept(listener: &Listener) -> io::Result<Stream> {
        loop {
            let (mut stream, _) = listener.tcp.accept()?;
            stream.set_read_timeout(Some(SECRET_TIMEOUT))?;
            let mut said = Secret::default();
            if stream.read_exact(&mut said).is_ok() && said == listener.secret {
                stream.set_read_timeout(None)?;
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_meet_at_a_name_in_a_directory_of_any_length() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a".repeat(100)).join("b".repeat(100));
        std::fs::create_dir_all(&deep).unwrap();
        let listener = LocalListener::bind(&deep, "s").unwrap();
        let mut near = LocalStream::connect(&deep, "s").unwrap();
        let mut far = listener.accept().unwrap();
        near.write_all(b"ping").unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        let mut said = String::new();
        far.read_to_string(&mut said).unwrap();
        assert_eq!(said, "ping");
    }
}
