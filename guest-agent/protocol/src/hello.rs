//! The first words of every connection. Fields may be added with a default; none is ever removed or renamed,
//! so that any two versions can at least tell each other why they will not talk.

use serde::{Deserialize, Serialize};

use crate::{Payload, RunId};

/// Largest single write when the host asks for none other: one virtqueue descriptor of some vsock devices
/// (vhost-device-vsock 0.3) holds 32 KiB, and a longer packet stalls them.
pub const DEFAULT_WRITE_LIMIT: u32 = 28 * 1024;

/// Output of one run that may be under way when the host says nothing else.
pub const DEFAULT_OUTPUT_WINDOW: u32 = 1 << 20;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// Requests, events, output.
    Control,
    /// The changes of one run, as a tar.
    Layer {
        /// Which run's.
        run: RunId,
    },
}

/// What the agent says first on every connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`crate::VERSION`] of the agent.
    pub version: u32,
    /// Which build of the agent this is.
    pub build_id: String,
    /// The token of this boot, from the kernel command line.
    pub token: String,
    /// What the connection is for.
    pub channel: Channel,
    /// Abilities beyond the version's.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Release of the guest's kernel.
    #[serde(default)]
    pub kernel: String,
    /// Nanoseconds since the kernel started, when this was said.
    #[serde(default)]
    pub uptime_ns: u64,
}

/// What the host answers on the control connection. Layer connections get no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HelloReply {
    /// Go on.
    Welcome(Welcome),
    /// Go away.
    Refused(Refusal),
}

/// The host's terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`crate::VERSION`] of the host.
    pub version: u32,
    /// Largest single write to a connection.
    pub write_limit: u32,
    /// Bytes of output of one run that may be sent before the first credit.
    pub output_window: u32,
    /// The host's clock, nanoseconds since 1970; the guest sets its own by it.
    #[serde(default)]
    pub time_ns: Option<u64>,
    /// Seed for the guest's random numbers; needed after a snapshot.
    #[serde(default)]
    pub entropy: Payload,
}

impl Default for Welcome {
    fn default() -> Self {
        Self {
            version: crate::VERSION,
            write_limit: DEFAULT_WRITE_LIMIT,
            output_window: DEFAULT_OUTPUT_WINDOW,
            time_ns: None,
            entropy: Payload::default(),
        }
    }
}

/// Why the host will not talk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// [`crate::VERSION`] of the host.
    pub version: u32,
    /// For the console.
    pub reason: String,
}
