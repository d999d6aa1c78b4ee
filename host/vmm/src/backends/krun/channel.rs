//! The guest's vsock port as libkrun serves it: every connection becomes a stream to the engine's socket.
//!
//! libkrun keeps credit and packets; this gives it bytes. Invariant: a guest holds at most [`MAX_STREAMS`] streams,
//! and after [`Channel::close`] none is left, so that the engine does not wait for a guest that is gone.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use kiln_platform::local_socket::LocalStream;
use msb_krun::{
    VsockConnectRequest, VsockNotifier, VsockPortBackend, VsockShutdown, VsockStreamBackend,
};

use crate::vm::STREAM_SOCKET;

/// Streams that the guest may have at a time; it needs a handful.
pub(super) const MAX_STREAMS: usize = 128;

/// Makes streams.
#[derive(Debug)]
pub(super) struct Channel {
    directory: PathBuf,
    streams: Mutex<Streams>,
}

#[derive(Debug, Default)]
struct Streams {
    open: Vec<Weak<LocalStream>>,
    closed: bool,
}

/// One connection of the guest.
#[derive(Debug)]
struct Stream(Arc<LocalStream>);

impl Channel {
    /// A channel whose streams go to the engine's socket in `directory`.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            streams: Mutex::default(),
        }
    }

    /// Ends every stream, and lets none begin.
    pub(super) fn close(&self) {
        let mut streams = self.streams();
        streams.closed = true;
        for stream in streams.open.drain(..).filter_map(|open| open.upgrade()) {
            // One that the engine has closed is closed.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl VsockPortBackend for Channel {
    fn connect(
        &self,
        _: VsockConnectRequest,
        _: VsockNotifier,
    ) -> io::Result<Box<dyn VsockStreamBackend>> {
        let mut streams = self.streams();
        streams.open.retain(|open| open.strong_count() > 0);
        if streams.closed || streams.open.len() >= MAX_STREAMS {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let stream = LocalStream::connect(&self.directory, STREAM_SOCKET)?;
        stream.set_nonblocking(true)?;
        let stream = Arc::new(stream);
        streams.open.push(Arc::downgrade(&stream));
        Ok(Box::new(Stream(stream)))
    }
}

impl VsockStreamBackend for Stream {
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buf)
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        (&*self.0).write(buf)
    }

    fn shutdown(&self, how: VsockShutdown) -> io::Result<()> {
        self.0.shutdown(match how {
            VsockShutdown::Read => Shutdown::Read,
            VsockShutdown::Write => Shutdown::Write,
            VsockShutdown::Both => Shutdown::Both,
        })
    }

    fn pollable(&self) -> Option<RawFd> {
        Some(self.0.as_raw_fd())
    }
}

#[cfg(test)]
#[path = "channel_tests.rs"]
mod tests;
