//! Starts the microVM in which RUN steps run, and gives the engine byte streams to its agent.
//!
//! The VM and its devices live in a helper process (`kiln vm-helper`); this crate is both sides:
//! [`Vm`] in the engine's process, [`helper::main`] in the helper's. The guest is taken for hostile:
//! every device bounds what it reads. Invariant: when the engine's process or the [`Vm`] goes away,
//! in whatever way, nothing of the VM stays behind.

pub mod architecture;
pub mod backends;
pub mod config;
pub mod console;
pub mod control;
pub mod error;
pub mod helper;
pub mod image;
mod link;
pub mod probe;
mod remembered;
pub mod runtime_dir;
mod verified;
pub mod vm;

pub use architecture::Architecture;
pub use config::{BackendKind, VmConfig};
pub use console::ConsoleTail;
pub use error::{ExitReason, VmError};
pub use image::{ImageManifest, VmImage};
pub use probe::{BackendReport, Capabilities, probe, probe_for};
pub use vm::{GuestStream, Vm};

/// Context that the guest dials its host at.
pub const HOST_CID: u32 = 2;

/// Port of the one service that the guest may dial.
pub const AGENT_PORT: u32 = 1024;

/// Tag under which the guest mounts the read-only share (`mount -t virtiofs kiln …`).
pub const SHARE_TAG: &str = "kiln";

/// Kernel command-line key of the per-boot token.
pub const TOKEN_KEY: &str = "kiln.token";
