//! The tar's bytes as frames: data without copying them again, runs of zeros as a count.

use std::io::{self, Write};

use kiln_protocol::{FrameKind, MAX_FRAME_LEN};

use crate::connection::Connection;

/// Shortest run of zeros that is worth a frame of its own.
const MIN_ZEROS: usize = 4096;

/// Takes a tar and sends it.
pub(super) struct LayerSink<'a> {
    connection: &'a mut Connection,
    /// Zeros that were taken and not sent.
    zeros: u64,
    bytes: u64,
}

impl<'a> LayerSink<'a> {
    pub fn new(connection: &'a mut Connection) -> Self {
        Self {
            connection,
            zeros: 0,
            bytes: 0,
        }
    }

    /// Sends what is left; gives the connection back and the number of bytes taken.
    pub fn finish(mut self) -> io::Result<(&'a mut Connection, u64)> {
        self.send_zeros()?;
        Ok((self.connection, self.bytes))
    }

    fn send_zeros(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.zeros) {
            0 => Ok(()),
            zeros => self.connection.send(FrameKind::Zeros, &zeros.to_le_bytes()),
        }
    }
}

impl Write for LayerSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let limit = self.connection.payload_limit().min(MAX_FRAME_LEN as usize);
        let part = &bytes[..bytes.len().min(limit)];
        if part.len() >= MIN_ZEROS && is_zero(part) {
            self.zeros += part.len() as u64;
        } else {
            self.send_zeros()?;
            self.connection.send(FrameKind::Data, part)?;
        }
        self.bytes += part.len() as u64;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether all bytes are 0; ends at the first word that is not.
fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}
