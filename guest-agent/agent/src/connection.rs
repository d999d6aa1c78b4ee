//! Connections to the host: dialling, the Hello, and writes of a size that the host can take.

use std::io::{self, IoSlice, Read, Write};
use std::sync::{Mutex, PoisonError};

use kiln_protocol::{
    Channel, FrameError, FrameHeader, FrameKind, HEADER_LEN, Hello, VERSION, write_frame,
    write_message,
};
use serde::Serialize;

use crate::dialler::{Dialler, Wire};

/// Tells the console, which the host keeps for its errors.
#[expect(
    clippy::print_stderr,
    reason = "the console is all there is when the connection is not"
)]
pub(crate) fn console(message: &str) {
    eprintln!("kiln-agent: {message}");
}

/// A byte stream to the host. Writes are cut to the limit: some vsock devices stall on longer ones.
pub(crate) struct Connection {
    wire: Wire,
    write_limit: usize,
}

impl Connection {
    /// Dials the host and says what the connection is for.
    pub fn open(
        dialler: &Dialler,
        token: &str,
        channel: Channel,
        write_limit: u32,
    ) -> io::Result<Self> {
        let mut connection = Self {
            wire: dialler.dial()?,
            write_limit: write_limit.max(HEADER_LEN as u32) as usize,
        };
        let hello = hello(token, channel);
        write_message(&mut connection, FrameKind::Hello, &hello).map_err(into_io)?;
        Ok(connection)
    }

    /// Largest payload of a frame that goes out in one write.
    pub fn payload_limit(&self) -> usize {
        self.write_limit - HEADER_LEN
    }

    /// Sends a frame that fits into one write, without copying its payload.
    pub fn send(&mut self, kind: FrameKind, payload: &[u8]) -> io::Result<()> {
        let len = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let header = FrameHeader {
            len,
            stream: 0,
            kind,
            flags: 0,
        }
        .encode();
        let mut parts = [IoSlice::new(&header), IoSlice::new(payload)];
        let mut parts = parts.as_mut_slice();
        while !parts.is_empty() {
            match self.wire.write_vectored(parts) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => IoSlice::advance_slices(&mut parts, count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The limit that the host asked for.
    pub fn set_write_limit(&mut self, limit: u32) {
        // Room for a header and some bytes, whatever the host says.
        self.write_limit = limit.max(1024) as usize;
    }

    /// A second handle, for another thread.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            wire: self.wire.try_clone()?,
            write_limit: self.write_limit,
        })
    }
}

fn hello(token: &str, channel: Channel) -> Hello {
    let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Hello {
        version: VERSION,
        build_id: env!("CARGO_PKG_VERSION").into(),
        token: token.to_owned(),
        channel,
        capabilities: Vec::new(),
        kernel: rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned(),
        uptime_ns: u64::try_from(uptime.tv_sec).unwrap_or(0) * 1_000_000_000
            + u64::try_from(uptime.tv_nsec).unwrap_or(0),
    }
}

/// A frame error as an error of the connection.
pub(crate) fn into_io(error: FrameError) -> io::Error {
    match error {
        FrameError::Io(error) => error,
        error => io::Error::other(error),
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wire.read(buffer)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wire.write(&bytes[..bytes.len().min(self.write_limit)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The control connection's sending side, shared by all runs.
pub(crate) struct Sender(Mutex<Connection>);

impl Sender {
    pub fn new(connection: Connection) -> Self {
        Self(Mutex::new(connection))
    }

    /// Sends one frame. A host that is gone ends the agent elsewhere, so the error is only told.
    pub fn frame(&self, stream: u32, kind: FrameKind, payload: &[u8]) -> io::Result<()> {
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        write_frame(&mut *connection, stream, kind, 0, payload).map_err(into_io)
    }

    /// Sends one message.
    pub fn message<T: Serialize>(&self, message: &T) -> io::Result<()> {
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        write_message(&mut *connection, FrameKind::Control, message).map_err(into_io)
    }

    /// Largest payload of a frame that goes out in one write.
    pub fn payload_limit(&self) -> usize {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .payload_limit()
    }
}
