//! A layer on its way from the guest: tar bytes in parts, holes as counts.

use std::io::{self, Read};

use kiln_protocol::{FrameError, FrameKind, LayerEnd, read_frame, zeros_from_payload};

use crate::error::Error;
use crate::text::clean_failure;

/// One part of a layer's tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerPart<'a> {
    /// These bytes.
    Data(&'a [u8]),
    /// So many zero bytes.
    Zeros(u64),
    /// The tar is complete; the counts are those of what came.
    End(LayerEnd),
}

/// The tar of a run's changes, in parts.
pub struct LayerStream<R> {
    reader: R,
    buffer: Vec<u8>,
    limit: u64,
    received: u64,
    end: Option<LayerEnd>,
}

impl<R: Read> LayerStream<R> {
    pub(crate) fn new(reader: R, limit: u64) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            limit,
            received: 0,
            end: None,
        }
    }

    /// The next part; after [`LayerPart::End`] always that.
    ///
    /// # Errors
    /// The agent could not read the changes, broke the protocol, is gone, or sends more than the bound.
    pub fn next_part(&mut self) -> Result<LayerPart<'_>, Error> {
        if let Some(end) = self.end {
            return Ok(LayerPart::End(end));
        }
        let frame = read_frame(&mut self.reader, &mut self.buffer)?;
        let (kind, payload) = (frame.kind, frame.payload);
        let count = match kind {
            FrameKind::Data => payload.len() as u64,
            FrameKind::Zeros => zeros_from_payload(payload)?,
            FrameKind::End => {
                let end = LayerEnd::decode(payload)?;
                return finish(end, self.received, &mut self.end);
            }
            FrameKind::Abort => return Err(Error::Commit(clean_failure(frame.json()?))),
            got => {
                return Err(FrameError::Unexpected {
                    expected: FrameKind::Data,
                    got,
                }
                .into());
            }
        };
        self.received = self
            .received
            .checked_add(count)
            .filter(|received| *received <= self.limit)
            .ok_or(Error::LayerTooLarge { limit: self.limit })?;
        Ok(if kind == FrameKind::Data {
            LayerPart::Data(&self.buffer)
        } else {
            LayerPart::Zeros(count)
        })
    }

    /// The same as a reader that gives every zero, for those who hash the bytes anyway.
    pub fn into_reader(self) -> LayerReader<R> {
        LayerReader {
            stream: self,
            position: 0,
            zeros: 0,
        }
    }
}

fn finish<'a>(
    end: LayerEnd,
    received: u64,
    slot: &mut Option<LayerEnd>,
) -> Result<LayerPart<'a>, Error> {
    if end.bytes != received {
        return Err(Error::Protocol {
            rule: "a layer has as many bytes as its end says",
        });
    }
    *slot = Some(end);
    Ok(LayerPart::End(end))
}

/// A layer's tar as plain bytes.
pub struct LayerReader<R> {
    stream: LayerStream<R>,
    /// Bytes of the stream's buffer that were given already.
    position: usize,
    /// Zeros that are still to be given.
    zeros: u64,
}

impl<R> LayerReader<R> {
    /// What the agent said at the end, once the end was read.
    #[must_use]
    pub fn end(&self) -> Option<LayerEnd> {
        self.stream.end
    }
}

impl<R: Read> Read for LayerReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if self.zeros > 0 {
                let count = usize::try_from(self.zeros)
                    .unwrap_or(usize::MAX)
                    .min(out.len());
                out[..count].fill(0);
                self.zeros -= count as u64;
                return Ok(count);
            }
            if let Some(rest) = self
                .stream
                .buffer
                .get(self.position..)
                .filter(|rest| !rest.is_empty())
            {
                let count = rest.len().min(out.len());
                out[..count].copy_from_slice(&rest[..count]);
                self.position += count;
                return Ok(count);
            }
            // The buffer of a frame that is no data is never given out.
            self.position = usize::MAX;
            match self.stream.next_part().map_err(io::Error::other)? {
                LayerPart::Data(_) => self.position = 0,
                LayerPart::Zeros(count) => self.zeros = count,
                LayerPart::End(_) => return Ok(0),
            }
        }
    }
}
