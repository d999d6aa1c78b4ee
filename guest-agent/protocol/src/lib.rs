//! What the host and the agent say to each other: frames, messages, versions. Shared by both and portable.
//!
//! ```text
//! control connection                                  layer connection (one for each commit)
//!   agent → host   Hello{channel: Control}              agent → host   Hello{channel: Layer{run}}
//!   host → agent   HelloReply                           agent → host   Data | Zeros … End   (or Abort)
//!   host → agent   Request …                            agent closes
//!   agent → host   Event … | Stdout | Stderr
//!   host → agent   Credit
//! ```
//!
//! The guest always dials. This crate does no I/O but over `Read` and `Write` given to it, and it holds one
//! invariant: whatever bytes come in, decoding ends in a value within the documented bounds or in a typed error.

#![forbid(unsafe_code)]

mod frame;
mod frame_error;
mod hello;
mod message;
mod payload;
mod run;

pub use frame::{
    Frame, FrameHeader, FrameKind, HEADER_LEN, LayerEnd, MAX_FRAME_LEN, MAX_MESSAGE_LEN, MORE,
    credit_from_payload, read_frame, read_message, write_frame, write_message, zeros_from_payload,
};
pub use frame_error::FrameError;
pub use hello::{
    Channel, DEFAULT_OUTPUT_WINDOW, DEFAULT_WRITE_LIMIT, Hello, HelloReply, Refusal, Welcome,
};
pub use message::{Event, Exit, Failure, Request, Stage};
pub use payload::Payload;
pub use run::{
    BindMount, CacheMount, CacheSharing, FileMount, HostEntry, Limits, LowerRef, Mount, MountKind,
    Network, RunId, RunSpec, Security, TreeRef,
};

/// Version of everything that follows the Hello. Raised by any change that the other side would misread.
pub const VERSION: u32 = 2;

/// The context id of the host, which the guest dials.
pub const HOST_CID: u32 = 2;

/// The one port that the guest dials, for every channel.
pub const PORT: u32 = 1024;

/// Share tag of the virtio-fs device that holds the layers.
pub const SHARE_TAG: &str = "kiln";

/// Folder of the share that holds `<name>.erofs` and `<name>.tar`.
pub const SHARE_LAYERS: &str = "layers";

/// Kernel command line parameter that carries the token of this boot.
pub const CMDLINE_TOKEN: &str = "kiln.token";

/// Kernel command line parameter that overrides [`PORT`].
pub const CMDLINE_PORT: &str = "kiln.port";
