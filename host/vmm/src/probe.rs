//! Which back-ends work on this host, and how to mend those that do not.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::architecture::Architecture;
use crate::config::BackendKind;

/// What a back-end gives, where back-ends differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// The guest's code runs on the processor itself.
    pub hardware: bool,
    /// The share appears in the guest as a virtio-fs device.
    pub virtio_fs: bool,
    /// Every guest connection is a stream of its own (vsock).
    pub vsock: bool,
    /// Longest single write of the guest, in bytes, that reaches the host whole.
    pub guest_write: u32,
}

/// One back-end on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendReport {
    /// Which one.
    pub kind: BackendKind,
    /// Whether it works, and with what.
    pub status: BackendStatus,
    /// What it gives when it works.
    pub capabilities: Capabilities,
    /// It is used only by who asks for it by name.
    pub on_request_only: bool,
}

/// Whether a back-end works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum BackendStatus {
    /// It works.
    Works {
        /// The program or library it uses, with its version.
        detail: String,
    },
    /// It does not.
    Broken {
        /// Why.
        reason: String,
        /// How to mend it, if that is known.
        hint: Option<String>,
    },
}

impl BackendReport {
    /// Whether it works.
    #[must_use]
    pub fn works(&self) -> bool {
        matches!(self.status, BackendStatus::Works { .. })
    }
}

/// Tries every back-end of this build with guests of this machine's architecture, best first. Answers that
/// hold until the next boot are remembered in `cache_dir`.
#[must_use]
pub fn probe(program_dirs: &[PathBuf], cache_dir: Option<&Path>) -> Vec<BackendReport> {
    probe_for(Architecture::HOST, program_dirs, cache_dir)
}

/// The same, with guests of another architecture.
#[must_use]
pub fn probe_for(
    guest: Architecture,
    program_dirs: &[PathBuf],
    cache_dir: Option<&Path>,
) -> Vec<BackendReport> {
    crate::backends::probe_all(guest, program_dirs, cache_dir)
}
