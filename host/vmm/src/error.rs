//! How starting and running a VM fails.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::architecture::Architecture;
use crate::console::ConsoleTail;
use crate::image::ImageError;
use crate::probe::BackendReport;

/// Failures of [`Vm`](crate::Vm).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VmError {
    /// The VM image is missing, damaged or of another version.
    #[error("the VM image cannot be used")]
    Image(#[from] ImageError),
    /// Nothing on this host can run the VM.
    #[error("no way to run a virtual machine {}works on this host", of_foreign(*guest))]
    NoBackend {
        /// Architecture of the guest.
        guest: Architecture,
        /// What was tried, and why each failed.
        reports: Vec<BackendReport>,
    },
    /// The private directory of the VM cannot be made.
    #[error("cannot prepare the VM's directory in {path}")]
    RuntimeDir {
        /// The runtime directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The helper process cannot be started.
    #[error("cannot start the VM helper {program}")]
    HelperStart {
        /// Its program.
        program: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The VM ended while it was needed.
    #[error("the virtual machine ended: {reason}")]
    Exited {
        /// Why it ended.
        reason: ExitReason,
        /// The last lines of the guest's console.
        console: ConsoleTail,
    },
    /// The guest did not dial in time.
    #[error("the virtual machine did not answer within {waited:?}")]
    Timeout {
        /// How long was waited.
        waited: Duration,
        /// The last lines of the guest's console.
        console: ConsoleTail,
    },
    /// A file cannot be shared with the guest.
    #[error("cannot share {path} with the virtual machine as `{name}`: {reason}")]
    Share {
        /// Name in the share.
        name: String,
        /// File on the host.
        path: PathBuf,
        /// Why, as the helper said it.
        reason: String,
    },
}

/// Why a VM ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
#[non_exhaustive]
pub enum ExitReason {
    /// It was told to stop.
    Stopped,
    /// The guest shut itself down or rebooted.
    GuestStopped,
    /// The guest's kernel panicked.
    KernelPanic {
        /// The kernel's own line.
        message: String,
    },
    /// The VMM's program is not installed.
    ProgramMissing {
        /// Its name.
        program: String,
    },
    /// The VMM refused to start or gave up.
    ProgramFailed {
        /// Its name.
        program: String,
        /// Its exit status, as the OS words it.
        status: String,
        /// The end of what it wrote to its standard error.
        message: String,
    },
    /// The VMM was killed from outside, often by the kernel for want of memory.
    Killed {
        /// Number of the signal.
        signal: i32,
    },
    /// The host has no memory for the guest.
    OutOfMemory {
        /// Memory asked for.
        memory_mib: u32,
    },
    /// The host's disk is full, so the guest's scratch disk cannot grow.
    ScratchFull,
    /// Something the helper needed from the host failed.
    HostFailed {
        /// What it was doing.
        action: String,
        /// Why it failed.
        cause: String,
    },
    /// The helper process itself ended.
    HelperLost {
        /// Its exit status, as the OS words it.
        status: String,
    },
}

/// Names the guest where a host could think of another one.
fn of_foreign(guest: Architecture) -> String {
    if guest.is_foreign() {
        format!("with {guest} processors ")
    } else {
        String::new()
    }
}

impl std::fmt::Display for ExitReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stopped => f.write_str("it was stopped"),
            Self::GuestStopped => f.write_str("the guest shut itself down"),
            Self::KernelPanic { message } => write!(f, "the guest's kernel panicked: {message}"),
            Self::ProgramMissing { program } => write!(f, "{program} is not installed"),
            Self::ProgramFailed {
                program,
                status,
                message,
            } if message.is_empty() => {
                write!(f, "{program} failed ({status})")
            }
            Self::ProgramFailed {
                program,
                status,
                message,
            } => {
                write!(f, "{program} failed ({status}): {message}")
            }
            Self::Killed { signal } => write!(f, "it was killed by signal {signal}"),
            Self::OutOfMemory { memory_mib } => {
                write!(f, "the host has no memory for a guest of {memory_mib} MiB")
            }
            Self::ScratchFull => f.write_str("the disk that holds its scratch file is full"),
            Self::HostFailed { action, cause } => write!(f, "cannot {action}: {cause}"),
            Self::HelperLost { status } => write!(f, "the helper process ended ({status})"),
        }
    }
}
