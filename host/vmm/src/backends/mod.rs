//! The ways to run a VM: one trait, one folder for each, chosen by probing.
//!
//! The only place of this crate that asks which operating system it is on.

mod bounded_log;
#[cfg(target_os = "macos")]
mod hvf;
#[cfg(any(
    all(
        target_os = "linux",
        not(target_env = "musl"),
        any(target_arch = "x86_64", target_arch = "aarch64")
    ),
    all(target_os = "macos", target_arch = "aarch64")
))]
mod krun;
#[cfg(target_os = "linux")]
mod kvm;
mod qemu;
mod tsc;
#[cfg(target_os = "linux")]
mod vhost;
#[cfg(windows)]
mod whpx;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kiln_share::Server;

use crate::architecture::Architecture;
use crate::config::{BackendKind, VmConfig};
use crate::control::HelperConfig;
use crate::error::{ExitReason, VmError};
use crate::probe::{BackendReport, BackendStatus, Capabilities};

/// A way to run a VM. Lives in the helper process.
pub trait VmBackend {
    /// Which one it is.
    fn kind(&self) -> BackendKind;

    /// What it gives.
    fn capabilities(&self) -> Capabilities;

    /// Whether it is used only when it is asked for by name.
    fn on_request_only(&self) -> bool {
        false
    }

    /// Whether it works here, and with which program.
    fn probe(&self, program_dirs: &[PathBuf]) -> Probe;

    /// Starts the VM. Must be called from a thread that lives as long as the helper.
    fn start(
        &self,
        config: &HelperConfig,
        share: Arc<Server>,
    ) -> Result<Box<dyn RunningVm>, ExitReason>;
}

/// A VM that was started.
pub trait RunningVm: Send + Sync {
    /// Process that runs the guest.
    fn pid(&self) -> u32;

    /// Waits for the end and tells why. The directory still has the console log afterwards.
    fn wait(&self) -> ExitReason;

    /// Ends the VM at once; [`RunningVm::wait`] then returns. Harmless afterwards.
    fn kill(&self);
}

/// Answer of [`VmBackend::probe`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Probe {
    /// The program to run, if there is one.
    pub program: Option<PathBuf>,
    /// Whether it works.
    pub status: BackendStatus,
    /// What starting it needs to know.
    pub facts: Facts,
}

/// What a probe finds out so that no start has to.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Facts {
    /// The program can restrict its own system calls.
    pub sandbox: bool,
    /// Kilohertz of the host's time stamp counter, where a guest is to be told.
    pub tsc_khz: Option<u64>,
}

/// Why the system's hypervisor cannot be used, and how to mend it.
#[derive(Debug, PartialEq, Eq)]
struct Unusable {
    reason: &'static str,
    hint: &'static str,
}

/// The back-end that a VM is started with.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) kind: BackendKind,
    pub(crate) capabilities: Capabilities,
    pub(crate) program: PathBuf,
    pub(crate) facts: Facts,
}

/// All back-ends of this build for guests of an architecture, best first.
fn all(guest: Architecture) -> Vec<Box<dyn VmBackend>> {
    let mut backends: Vec<Box<dyn VmBackend>> = Vec::new();
    #[cfg(all(target_os = "macos", target_arch = "aarch64"))]
    backends.extend(krun::backend(guest));
    backends.extend(qemu::all(guest).map(|backend| Box::new(backend) as Box<dyn VmBackend>));
    #[cfg(all(
        target_os = "linux",
        not(target_env = "musl"),
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    backends.extend(krun::backend(guest));
    backends
}

/// The back-end that the helper was told to use.
pub(crate) fn of_kind(kind: BackendKind, guest: Architecture) -> Option<Box<dyn VmBackend>> {
    all(guest)
        .into_iter()
        .find(|backend| backend.kind() == kind)
}

/// The back-end that was asked for, or else the best one that works.
pub(crate) fn choose(config: &VmConfig) -> Result<Chosen, VmError> {
    let mut reports = Vec::new();
    let guest = config.image.manifest.arch;
    for backend in all(guest) {
        let wanted = match config.backend {
            Some(kind) => kind == backend.kind(),
            None => !backend.on_request_only(),
        };
        if !wanted {
            continue;
        }
        let probe = probe_one(
            &*backend,
            guest,
            &config.program_dirs,
            config.cache_dir.as_deref(),
        );
        if let (Some(program), BackendStatus::Works { .. }) = (&probe.program, &probe.status) {
            return Ok(Chosen {
                kind: backend.kind(),
                capabilities: backend.capabilities(),
                program: program.clone(),
                facts: probe.facts,
            });
        }
        reports.push(report(&*backend, probe));
    }
    Err(VmError::NoBackend { guest, reports })
}

/// What [`crate::probe`] tells.
pub(crate) fn probe_all(
    guest: Architecture,
    dirs: &[PathBuf],
    cache: Option<&Path>,
) -> Vec<BackendReport> {
    let probe = |backend: Box<dyn VmBackend>| {
        let probe = probe_one(&*backend, guest, dirs, cache);
        report(&*backend, probe)
    };
    all(guest).into_iter().map(probe).collect()
}

fn probe_one(
    backend: &dyn VmBackend,
    guest: Architecture,
    dirs: &[PathBuf],
    cache: Option<&Path>,
) -> Probe {
    crate::remembered::probe(backend.kind(), guest, cache, || backend.probe(dirs))
}

fn report(backend: &dyn VmBackend, probe: Probe) -> BackendReport {
    BackendReport {
        kind: backend.kind(),
        status: probe.status,
        capabilities: backend.capabilities(),
        on_request_only: backend.on_request_only(),
    }
}
