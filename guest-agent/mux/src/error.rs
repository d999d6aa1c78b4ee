//! How a link ends. Written out by hand: this crate needs nothing, so that a bare `rustc` builds the guest of the VMM's
//! tests from it.

use std::{fmt, io};

/// Why a link ended before its time.
#[derive(Debug)]
#[non_exhaustive]
pub enum MuxError {
    /// The port failed.
    Io(io::Error),
    /// The port was closed inside a frame.
    Truncated,
    /// A frame of a kind that does not exist.
    UnknownKind {
        /// The byte that came.
        kind: u8,
    },
    /// A frame with flags; there are none yet.
    BadFlags {
        /// The byte that came.
        flags: u8,
    },
    /// A frame whose length its kind does not allow.
    BadLength {
        /// Kind of the frame.
        kind: u8,
        /// The length claimed.
        len: u32,
    },
    /// A frame for a stream that is not there, or not any more.
    NoSuchStream {
        /// Kind of the frame.
        kind: u8,
        /// The stream named.
        stream: u32,
    },
    /// A stream was opened by the wrong side or out of order.
    BadOpen {
        /// The stream named.
        stream: u32,
    },
    /// More streams than either side may hold.
    TooManyStreams,
    /// More data than there was credit for, or anything after their end.
    Overrun {
        /// The stream.
        stream: u32,
    },
    /// More credit than the window has.
    Overcredit {
        /// The stream.
        stream: u32,
    },
}

impl fmt::Display for MuxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("the port failed"),
            Self::Truncated => f.write_str("the port was closed inside a frame"),
            Self::UnknownKind { kind } => write!(f, "unknown frame kind {kind}"),
            Self::BadFlags { flags } => write!(f, "frame flags {flags:#x} mean nothing"),
            Self::BadLength { kind, len } => {
                write!(f, "frame of kind {kind} has a payload of {len} bytes")
            }
            Self::NoSuchStream { kind, stream } => {
                write!(
                    f,
                    "frame of kind {kind} for stream {stream}, which is not open"
                )
            }
            Self::BadOpen { stream } => write!(f, "stream {stream} cannot be opened now"),
            Self::TooManyStreams => f.write_str("more streams are open than the link may have"),
            Self::Overrun { stream } => write!(f, "stream {stream} was sent more than it may be"),
            Self::Overcredit { stream } => {
                write!(f, "stream {stream} was given more credit than its window")
            }
        }
    }
}

impl std::error::Error for MuxError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for MuxError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
