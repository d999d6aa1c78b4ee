//! The read-only files that a guest sees: a synthetic tree served over the FUSE protocol.
//!
//! ```text
//! /                   nodeid 1
//! └── layers/         nodeid 2
//!     ├── <name>      nodeid 3, 4, … never used twice; each is one open host file
//!     └── …
//! ```
//!
//! Nothing of the host's file system can be named from inside: a request carries nodeids of this tree
//! and names that are looked up in one map. Requests come from a hostile guest: every length is
//! bounded, every number checked, and whatever would write is refused. How requests reach this server
//! (a virtio-fs queue, frames over a serial port, calls of a VMM that decodes FUSE itself) is the VMM's matter.
#![forbid(unsafe_code)]

mod abi;
mod error;
mod file;
mod operations;
mod server;
mod tree;

pub use abi::{MAX_READ, OUT_HEADER_LEN};
pub use error::ShareError;
pub use file::SharedFile;
pub use operations::{Attributes, BLOCK_SIZE, DirectoryEntry, Errno, Server, VALID};

/// Longest request that has to be handed in; whatever a longer one holds beyond is data to write,
/// which is refused unread.
pub const MAX_REQUEST: usize = 8 << 10;
