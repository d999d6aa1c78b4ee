//! How the host is reached: a socket for each connection, or all of them over one virtio-serial port.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;

use kiln_mux::{Mux, STREAMS_PORT, Stream};
use kiln_protocol::HOST_CID;

use crate::connection::console;
use crate::settings::{Dial, Settings};
use crate::{ports, sys};

/// Dials the host.
pub(crate) enum Dialler {
    Vsock(u32),
    Unix(PathBuf),
    Port(Mux),
}

impl Dialler {
    /// Gets ready to dial. Starts a thread where connections share a port.
    pub fn new(settings: &Settings) -> io::Result<Self> {
        Ok(match &settings.dial {
            Dial::Vsock(port) => Self::Vsock(*port),
            Dial::Unix(path) => Self::Unix(path.clone()),
            Dial::Serial => Self::Port(start_mux(settings)?),
        })
    }

    /// Opens a byte stream to the host.
    pub fn dial(&self) -> io::Result<Wire> {
        Ok(match self {
            Self::Vsock(port) => Wire::file(sys::dial_vsock(HOST_CID, *port)?),
            Self::Unix(path) => Wire::file(UnixStream::connect(path)?.into()),
            Self::Port(mux) => Wire::Stream(mux.dial()?),
        })
    }
}

fn start_mux(settings: &Settings) -> io::Result<Mux> {
    let mut port = ports::open(STREAMS_PORT, &settings.token)?;
    let mux = Mux::new(port.try_clone()?);
    let running = mux.clone();
    thread::Builder::new()
        .name("streams".into())
        .spawn(move || {
            // Every stream ends with it, the control connection too, and with that the agent.
            if let Err(error) = running.run(&mut port, None) {
                console(&format!("lost the host's port: {error}"));
            }
        })?;
    Ok(mux)
}

/// A byte stream to the host.
pub(crate) enum Wire {
    /// A connected socket.
    File(File),
    /// A stream of the port.
    Stream(Stream),
}

impl Wire {
    fn file(fd: OwnedFd) -> Self {
        Self::File(fd.into())
    }

    /// A second handle.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::File(file) => Self::File(file.try_clone()?),
            Self::Stream(stream) => Self::Stream(stream.clone()),
        })
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Stream(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stream(stream) => stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write_vectored(parts),
            Self::Stream(stream) => stream.write_vectored(parts),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
