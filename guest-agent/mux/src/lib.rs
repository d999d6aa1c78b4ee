//! What travels between host and guest where there is neither vsock nor virtio-fs: two virtio-serial ports.
//!
//! ```text
//! kiln.streams   guest: token | frames …        host: frames …          many byte streams, see [`Mux`]
//! kiln.share     guest: token | FUSE requests … host: FUSE replies …    each carries its own length
//! ```
//!
//! Two ports, so that a bulk transfer never delays the reading of a file. The token of the boot comes first on both;
//! the host serves nothing before it. This crate is both sides of it, blocking and without threads of its own: who
//! uses it brings the halves of the port and the thread that reads.
//!
//! Invariant: whatever the peer sends, at most [`MAX_STREAMS`] streams with at most [`WINDOW`] unread bytes each are
//! held, and a peer that breaks the rules ends the link with a typed error.

#![forbid(unsafe_code)]

mod error;
mod frame;
mod link;
mod opening;
mod prefixed;
mod state;
mod stream;

pub use error::MuxError;
pub use frame::{HEADER_LEN, MAX_PAYLOAD};
pub use link::Mux;
pub use opening::{TOKEN_LEN, expect_token};
pub use prefixed::read_prefixed;
pub use stream::Stream;

/// Name of the port that carries the streams.
pub const STREAMS_PORT: &str = "kiln.streams";

/// Name of the port that carries the share.
pub const SHARE_PORT: &str = "kiln.share";

/// Word of the guest's kernel command line that says to use the ports: `kiln.link=serial`.
pub const CMDLINE_LINK: &str = "kiln.link";

/// Its value.
pub const LINK_SERIAL: &str = "serial";

/// Longest FUSE request that is carried: no request of a read-only share is longer.
pub const MAX_REQUEST: usize = 8 << 10;

/// Longest FUSE reply that is carried: a header and the most that Linux reads at once without a sysctl.
pub const MAX_REPLY: usize = 16 + (1 << 20);

/// Bytes that may be under way on one stream in each direction. More than a trip to the other side and back takes, so
/// that bulk transfers never wait for credit while the reader keeps up.
pub const WINDOW: u32 = 512 << 10;

/// Streams that the accepting side holds at a time, those included whose last bytes are still to be read.
pub const MAX_STREAMS: usize = 64;

/// Streams that the dialling side opens at a time: half, as the other side may learn later that one has ended.
pub const MAX_DIALLED: usize = MAX_STREAMS / 2;
