//! Frames: the unit that travels. Bounded, and decoded without trusting a byte of them.
//!
//! ```text
//! 0        4          8      9       10
//! | len u32 | stream u32 | kind u8 | flags u8 | payload (len bytes)      little endian
//! ```
//!
//! `stream` is the run that the frame belongs to, or 0. A JSON message longer than a frame is cut into frames
//! of which all but the last carry [`MORE`].

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::frame_error::FrameError;

/// Bytes of a frame's header.
pub const HEADER_LEN: usize = 10;

/// Longest payload either side accepts. A peer that claims more is broken or hostile.
pub const MAX_FRAME_LEN: u32 = 1 << 20;

/// Longest JSON message, over all its frames: a RUN with several secrets at BuildKit's limit of 500 KiB each fits.
pub const MAX_MESSAGE_LEN: usize = 16 << 20;

/// Flag of a frame whose message goes on in the next frame.
pub const MORE: u8 = 1;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// JSON [`crate::Hello`] or [`crate::HelloReply`]; its shape never changes.
    Hello = 1,
    /// JSON [`crate::Request`] or [`crate::Event`].
    Control = 2,
    /// Bytes that the run of `stream` wrote to its standard output.
    Stdout = 3,
    /// Bytes that the run of `stream` wrote to its standard error.
    Stderr = 4,
    /// u32: so many more bytes of output the host takes from the run of `stream`.
    Credit = 5,
    /// Bytes of a layer's tar.
    Data = 6,
    /// u64: so many zero bytes of a layer's tar, not sent.
    Zeros = 7,
    /// [`LayerEnd`]: the tar is complete.
    End = 8,
    /// JSON [`crate::Failure`]: the tar will not be completed.
    Abort = 9,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Hello,
            2 => Self::Control,
            3 => Self::Stdout,
            4 => Self::Stderr,
            5 => Self::Credit,
            6 => Self::Data,
            7 => Self::Zeros,
            8 => Self::End,
            9 => Self::Abort,
            _ => return None,
        })
    }
}

/// A frame's first ten bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Length of the payload.
    pub len: u32,
    /// The run it belongs to, or 0.
    pub stream: u32,
    /// What it carries.
    pub kind: FrameKind,
    /// [`MORE`] or 0.
    pub flags: u8,
}

impl FrameHeader {
    /// The header as it travels.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&self.len.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.stream.to_le_bytes());
        bytes[8] = self.kind as u8;
        bytes[9] = self.flags;
        bytes
    }

    /// Reads a header, holding it to the bounds.
    ///
    /// # Errors
    /// A kind, flag or length that is not allowed.
    pub fn decode(bytes: [u8; HEADER_LEN]) -> Result<Self, FrameError> {
        let [l0, l1, l2, l3, s0, s1, s2, s3, kind, flags] = bytes;
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        let stream = u32::from_le_bytes([s0, s1, s2, s3]);
        let kind = FrameKind::from_byte(kind).ok_or(FrameError::UnknownKind { kind })?;
        if len > MAX_FRAME_LEN {
            return Err(FrameError::TooLong { len });
        }
        let may_continue = matches!(kind, FrameKind::Control);
        if flags != 0 && !(flags == MORE && may_continue) {
            return Err(FrameError::BadFlags { kind, flags });
        }
        Ok(Self {
            len,
            stream,
            kind,
            flags,
        })
    }
}

/// A frame whose payload lies in the reader's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The run it belongs to, or 0.
    pub stream: u32,
    /// What it carries.
    pub kind: FrameKind,
    /// [`MORE`] or 0.
    pub flags: u8,
    /// The bytes carried.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Decodes the JSON of a one-frame message.
    ///
    /// # Errors
    /// JSON that is not a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, FrameError> {
        decode_json(self.kind, self.payload)
    }
}

fn decode_json<T: DeserializeOwned>(kind: FrameKind, bytes: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(bytes).map_err(|source| FrameError::Json { kind, source })
}

/// Reads the next frame; its payload replaces the contents of `buffer`, which never grows past [`MAX_FRAME_LEN`].
///
/// # Errors
/// [`FrameError::Closed`] at a clean end; else what is wrong with the bytes or the connection.
pub fn read_frame<'b>(
    reader: &mut impl Read,
    buffer: &'b mut Vec<u8>,
) -> Result<Frame<'b>, FrameError> {
    let mut bytes = [0; HEADER_LEN];
    let first = read_some(reader, &mut bytes)?;
    if first == 0 {
        return Err(FrameError::Closed);
    }
    reader.read_exact(&mut bytes[first..]).map_err(truncated)?;
    let header = FrameHeader::decode(bytes)?;
    buffer.resize(header.len as usize, 0);
    reader.read_exact(buffer).map_err(truncated)?;
    Ok(Frame {
        stream: header.stream,
        kind: header.kind,
        flags: header.flags,
        payload: buffer,
    })
}

fn read_some(reader: &mut impl Read, bytes: &mut [u8]) -> Result<usize, FrameError> {
    loop {
        match reader.read(bytes) {
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FrameError::Io(error)),
        }
    }
}

fn truncated(error: io::Error) -> FrameError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        FrameError::Truncated
    } else {
        FrameError::Io(error)
    }
}

/// Writes one frame with one `write_all`, so that a small frame is one packet.
///
/// # Errors
/// A payload that is too long, or the connection's failure.
pub fn write_frame(
    writer: &mut impl Write,
    stream: u32,
    kind: FrameKind,
    flags: u8,
    payload: &[u8],
) -> Result<(), FrameError> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    if len > MAX_FRAME_LEN {
        return Err(FrameError::TooLong { len });
    }
    let mut bytes = Vec::with_capacity(HEADER_LEN + payload.len());
    bytes.extend_from_slice(
        &FrameHeader {
            len,
            stream,
            kind,
            flags,
        }
        .encode(),
    );
    bytes.extend_from_slice(payload);
    writer.write_all(&bytes).map_err(FrameError::Io)
}

/// Writes a JSON message, cut into frames where it must be.
///
/// # Errors
/// A message that is too long, or the connection's failure.
pub fn write_message<T: Serialize>(
    writer: &mut impl Write,
    kind: FrameKind,
    message: &T,
) -> Result<(), FrameError> {
    let json = serde_json::to_vec(message).map_err(|source| FrameError::Json { kind, source })?;
    let splittable = kind == FrameKind::Control;
    if json.len() > MAX_MESSAGE_LEN || (!splittable && json.len() > MAX_FRAME_LEN as usize) {
        return Err(FrameError::MessageTooLong);
    }
    let mut parts = json.chunks(MAX_FRAME_LEN as usize).peekable();
    while let Some(part) = parts.next() {
        let flags = if parts.peek().is_some() { MORE } else { 0 };
        write_frame(writer, 0, kind, flags, part)?;
    }
    Ok(())
}

/// Completes a message whose first frame was just read: appends to `message` until a frame without [`MORE`].
///
/// # Errors
/// Another kind of frame in between, a message past its bound, malformed JSON, or the connection's failure.
pub fn read_message<T: DeserializeOwned>(
    reader: &mut impl Read,
    buffer: &mut Vec<u8>,
    kind: FrameKind,
) -> Result<T, FrameError> {
    let frame = read_frame(reader, buffer)?;
    expect_kind(&frame, kind)?;
    if frame.flags & MORE == 0 {
        return frame.json();
    }
    let mut message = frame.payload.to_vec();
    loop {
        let frame = read_frame(reader, buffer)?;
        expect_kind(&frame, kind)?;
        if message.len() + frame.payload.len() > MAX_MESSAGE_LEN {
            return Err(FrameError::MessageTooLong);
        }
        message.extend_from_slice(frame.payload);
        if frame.flags & MORE == 0 {
            return decode_json(kind, &message);
        }
    }
}

fn expect_kind(frame: &Frame<'_>, expected: FrameKind) -> Result<(), FrameError> {
    if frame.kind == expected {
        Ok(())
    } else {
        Err(FrameError::Unexpected {
            expected,
            got: frame.kind,
        })
    }
}

/// The payload of a [`FrameKind::Credit`] frame.
///
/// # Errors
/// A payload of another size.
pub fn credit_from_payload(payload: &[u8]) -> Result<u32, FrameError> {
    payload
        .try_into()
        .map(u32::from_le_bytes)
        .map_err(|_| FrameError::BadPayload {
            kind: FrameKind::Credit,
            len: payload.len(),
        })
}

/// The payload of a [`FrameKind::Zeros`] frame.
///
/// # Errors
/// A payload of another size.
pub fn zeros_from_payload(payload: &[u8]) -> Result<u64, FrameError> {
    payload
        .try_into()
        .map(u64::from_le_bytes)
        .map_err(|_| FrameError::BadPayload {
            kind: FrameKind::Zeros,
            len: payload.len(),
        })
}

/// Ends a layer: what the receiver must have got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerEnd {
    /// Bytes of the tar, zeros included.
    pub bytes: u64,
    /// Entries in it; 0 means that the run changed nothing.
    pub entries: u64,
}

impl LayerEnd {
    /// The payload of a [`FrameKind::End`] frame.
    #[must_use]
    pub fn encode(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[8..].copy_from_slice(&self.entries.to_le_bytes());
        bytes
    }

    /// Reads the payload of a [`FrameKind::End`] frame.
    ///
    /// # Errors
    /// A payload of another size.
    pub fn decode(payload: &[u8]) -> Result<Self, FrameError> {
        let bytes: [u8; 16] = payload.try_into().map_err(|_| FrameError::BadPayload {
            kind: FrameKind::End,
            len: payload.len(),
        })?;
        let (low, high) = bytes.split_at(8);
        let word = |half: &[u8]| u64::from_le_bytes(half.try_into().expect("half of 16 bytes"));
        Ok(Self {
            bytes: word(low),
            entries: word(high),
        })
    }
}
