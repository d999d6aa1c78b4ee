//! What can be wrong with bytes that should be frames.

use std::io;

use crate::frame::{FrameKind, MAX_FRAME_LEN, MAX_MESSAGE_LEN};

/// Why bytes are not a frame or a frame not the message that was due.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[source] io::Error),
    /// The connection ended between two frames.
    #[error("the connection was closed")]
    Closed,
    /// The connection ended inside a frame.
    #[error("the connection was closed inside a frame")]
    Truncated,
    /// The header names a kind that this version does not know.
    #[error("unknown frame kind {kind}")]
    UnknownKind {
        /// The byte that came.
        kind: u8,
    },
    /// The header has flags that mean nothing here.
    #[error("frame flags {flags:#x} are not valid for {kind:?}")]
    BadFlags {
        /// Kind of the frame.
        kind: FrameKind,
        /// Its flags.
        flags: u8,
    },
    /// The header claims a payload that is too long.
    #[error("frame of {len} bytes is longer than {MAX_FRAME_LEN}")]
    TooLong {
        /// The length claimed.
        len: u32,
    },
    /// A message is longer than its bound.
    #[error("message is longer than {MAX_MESSAGE_LEN} bytes")]
    MessageTooLong,
    /// The payload of a fixed-size frame has another size.
    #[error("{kind:?} frame has a payload of {len} bytes")]
    BadPayload {
        /// Kind of the frame.
        kind: FrameKind,
        /// Length of its payload.
        len: usize,
    },
    /// Another kind was due.
    #[error("{got:?} frame where {expected:?} was due")]
    Unexpected {
        /// What was due.
        expected: FrameKind,
        /// What came.
        got: FrameKind,
    },
    /// The JSON is not the message that was due.
    #[error("malformed {kind:?} message")]
    Json {
        /// Kind of the frame.
        kind: FrameKind,
        /// What serde says.
        #[source]
        source: serde_json::Error,
    },
}
