//! Lines between the engine's process and the helper: JSON, one value per line.
//!
//! ```text
//! engine → helper   HelperConfig first, then Command …; end-of-file means: stop, leave nothing
//! helper → engine   Event …
//! ```

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

use crate::architecture::Architecture;
use crate::backends::Facts;
use crate::config::BackendKind;
use crate::error::ExitReason;

/// First line to the helper. Paths are `OsString`s because JSON strings cannot hold every path.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HelperConfig {
    /// The VM's own directory.
    pub directory: OsString,
    /// Architecture of the guest.
    pub architecture: Architecture,
    /// Back-end to run it with.
    pub backend: BackendKind,
    /// Program of the back-end.
    pub program: OsString,
    /// What its probe found out.
    pub facts: Facts,
    /// Kernel file.
    pub kernel: OsString,
    /// Initramfs file.
    pub initramfs: OsString,
    /// Scratch-disk template.
    pub scratch: OsString,
    /// RAM.
    pub memory_mib: u32,
    /// Virtual processors.
    pub cpus: u32,
    /// What the guest must say first wherever it could be anybody who speaks.
    pub token: String,
    /// Words of the kernel's command line that do not depend on the back-end.
    pub kernel_args: Vec<String>,
}

/// What the engine asks of the helper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "command")]
pub enum Command {
    /// Adds a file to the share; answered by [`Event::Shared`].
    Share {
        /// Matches the answer to the question.
        id: u64,
        /// Name in the share.
        name: String,
        /// File on the host.
        path: OsString,
    },
    /// Takes a file out of the share again; answered by [`Event::Shared`].
    Unshare {
        /// Matches the answer to the question.
        id: u64,
        /// Name in the share.
        name: String,
    },
    /// Ends the VM; answered by [`Event::Exited`].
    Stop,
}

/// What the helper tells the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// The VM runs.
    Started {
        /// Process that a debugger or `kill` would look for.
        vmm_pid: u32,
    },
    /// Answer to [`Command::Share`] and [`Command::Unshare`].
    Shared {
        /// The question.
        id: u64,
        /// Why it failed.
        error: Option<String>,
    },
    /// The VM ended; the last line.
    Exited {
        /// Why.
        reason: ExitReason,
    },
}
