//! Frames, decoded without trusting a byte of them.
//!
//! ```text
//! 0        4          8      9       10
//! | len u32 | stream u32 | kind u8 | flags u8 | payload (len bytes)      little endian
//! ```

use crate::error::MuxError;

/// Bytes of a frame's header.
pub const HEADER_LEN: usize = 10;

/// Longest payload: a full frame is two writes of what Linux takes at once on a virtio-serial port (32 KiB).
pub const MAX_PAYLOAD: usize = (64 << 10) - HEADER_LEN;

/// What a frame says of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// It is new. Numbers count up from 1 and are never used again.
    Open = 1,
    /// Its next bytes.
    Data = 2,
    /// u32: so many more bytes may be sent.
    Credit = 3,
    /// The sender sends no more data.
    Close = 4,
    /// The sender takes no more data: what comes is thrown away, and a Close is due.
    Stop = 5,
}

/// A frame's first ten bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) len: u32,
    pub(crate) stream: u32,
    pub(crate) kind: Kind,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&self.len.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.stream.to_le_bytes());
        bytes[8] = self.kind as u8;
        bytes
    }

    /// Reads a header, holding it to what its kind allows.
    pub(crate) fn decode(bytes: [u8; HEADER_LEN]) -> Result<Self, MuxError> {
        let [l0, l1, l2, l3, s0, s1, s2, s3, number, flags] = bytes;
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        let (kind, allowed) = match number {
            1 => (Kind::Open, len == 0),
            2 => (Kind::Data, (1..=MAX_PAYLOAD).contains(&(len as usize))),
            3 => (Kind::Credit, len == 4),
            4 => (Kind::Close, len == 0),
            5 => (Kind::Stop, len == 0),
            kind => return Err(MuxError::UnknownKind { kind }),
        };
        if flags != 0 {
            return Err(MuxError::BadFlags { flags });
        }
        if !allowed {
            return Err(MuxError::BadLength { kind: number, len });
        }
        Ok(Self {
            len,
            stream: u32::from_le_bytes([s0, s1, s2, s3]),
            kind,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_comes_back_and_has_fixed_bytes() {
        let header = Header {
            len: 0x0102,
            stream: 7,
            kind: Kind::Data,
        };
        let bytes = header.encode();
        assert_eq!(bytes, [2, 1, 0, 0, 7, 0, 0, 0, 2, 0]);
        assert_eq!(Header::decode(bytes).unwrap(), header);
    }

    #[test]
    fn lengths_kinds_and_flags_are_held_to_their_bounds() {
        let too_long = (MAX_PAYLOAD as u32 + 1).to_le_bytes();
        for bytes in [
            [1, 0, 0, 0, 1, 0, 0, 0, 1, 0],
            [0, 0, 0, 0, 1, 0, 0, 0, 2, 0],
            [
                too_long[0],
                too_long[1],
                too_long[2],
                too_long[3],
                1,
                0,
                0,
                0,
                2,
                0,
            ],
            [3, 0, 0, 0, 1, 0, 0, 0, 3, 0],
            [0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 4, 0],
            [1, 0, 0, 0, 1, 0, 0, 0, 5, 0],
            [0, 0, 0, 0, 1, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 1, 0, 0, 0, 6, 0],
            [0, 0, 0, 0, 1, 0, 0, 0, 4, 1],
        ] {
            assert!(Header::decode(bytes).is_err(), "{bytes:?}");
        }
    }
}
