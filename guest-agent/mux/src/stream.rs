//! One stream, as its users see it.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use crate::frame::MAX_PAYLOAD;
use crate::link::{Cell, Link};

/// A duplex byte stream of a link. Clones are handles of the same stream, which ends with the last of them.
#[derive(Clone)]
pub struct Stream(Arc<Handle>);

struct Handle {
    link: Arc<Link>,
    cell: Arc<Cell>,
}

impl Stream {
    pub(crate) fn new(link: Arc<Link>, cell: Arc<Cell>) -> Self {
        Self(Arc::new(Handle { link, cell }))
    }

    /// Ends one or both directions: the peer reads end-of-file, or can write no more.
    pub fn shutdown(&self, how: Shutdown) {
        let Handle { link, cell } = &*self.0;
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            link.close(cell);
        }
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            link.stop(cell);
        }
    }

    /// Sends as much of `parts` as may be sent at once, as one frame; waits while that is nothing.
    fn send(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let Handle { link, cell } = &*self.0;
        let whole: usize = parts.iter().map(|part| part.len()).sum();
        if whole == 0 {
            return Ok(0);
        }
        let room = cell.wait(|state| match state.is_deaf() {
            true => Some(0),
            false => state.spend(whole.min(MAX_PAYLOAD)),
        });
        if room == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut left = room;
        let mut sent = Vec::with_capacity(parts.len());
        for part in parts {
            let (part, _) = part.split_at(part.len().min(left));
            left -= part.len();
            sent.push(part);
        }
        link.send_data(cell, &sent)?;
        Ok(room)
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stream").field(&self.0.cell.number).finish()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.link.close(&self.cell);
        self.link.stop(&self.cell);
    }
}

impl Read for &Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let Handle { link, cell } = &*self.0;
        let (read, credit) = cell.wait(|state| {
            let read = state.read(buf)?;
            Some((read, state.grant()))
        });
        if let Some(bytes) = credit {
            link.send_credit(cell, bytes);
        }
        Ok(read)
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buf)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
