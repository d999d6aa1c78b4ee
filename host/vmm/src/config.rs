//! What a VM is started with.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::image::VmImage;

/// A way to run the VM. Each is tried only where it is compiled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BackendKind {
    /// QEMU with the hypervisor of the host kernel.
    QemuKvm,
    /// QEMU emulating the processor: slower, needs nothing of the host's kernel.
    QemuTcg,
    /// QEMU with the hypervisor of Windows; its guest is reached over virtio-serial.
    QemuWhpx,
    /// QEMU with the hypervisor of macOS; its guest is reached over virtio-serial.
    QemuHvf,
    /// QEMU emulating the processor; its guest is reached over virtio-serial: works on every system.
    QemuSerial,
    /// libkrun, a part of this program, with the host's own hypervisor.
    Krun,
}

impl BackendKind {
    /// All of them, on whatever system.
    pub const ALL: [Self; 6] = [
        Self::QemuKvm,
        Self::QemuTcg,
        Self::QemuWhpx,
        Self::QemuHvf,
        Self::QemuSerial,
        Self::Krun,
    ];

    /// The name used in configuration and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::QemuKvm => "qemu-kvm",
            Self::QemuTcg => "qemu-tcg",
            Self::QemuWhpx => "qemu-whpx",
            Self::QemuHvf => "qemu-hvf",
            Self::QemuSerial => "qemu-serial",
            Self::Krun => "krun",
        }
    }
}

impl std::fmt::Display for BackendKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for BackendKind {
    type Err = UnknownBackend;

    fn from_str(name: &str) -> Result<Self, UnknownBackend> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownBackend(name.to_owned()))
    }
}

/// A back-end name that this build does not know.
#[derive(Debug, thiserror::Error)]
#[error("unknown VM back-end `{0}` (known: {known})", known = BackendKind::ALL.map(BackendKind::name).join(", "))]
pub struct UnknownBackend(pub String);

/// Everything that [`Vm::start`](crate::Vm::start) needs.
#[derive(Clone, Debug)]
pub struct VmConfig {
    /// Kernel, initramfs and scratch template.
    pub image: VmImage,
    /// RAM of the guest.
    pub memory_mib: u32,
    /// Virtual processors. Emulating back-ends boot with one, since each further one costs start time.
    pub cpus: u32,
    /// The back-end to use; `None` takes the best one that works here.
    pub backend: Option<BackendKind>,
    /// Where each VM gets a private directory (sockets, console log, scratch disk) for as long as it
    /// lives. Needs room for what builds write; must be on a local file system.
    pub runtime_dir: PathBuf,
    /// Where answers that stay true are remembered (probes, verified images); `None` asks anew.
    pub cache_dir: Option<PathBuf>,
    /// The program that becomes the helper process: the `kiln` binary itself.
    pub helper_exe: PathBuf,
    /// Its arguments, normally just `vm-helper`.
    pub helper_args: Vec<OsString>,
    /// Words added to the guest's kernel command line (no spaces within one).
    pub kernel_args: Vec<String>,
    /// Directories searched for the VMM's program before those where systems have it.
    pub program_dirs: Vec<PathBuf>,
}

impl VmConfig {
    /// Memory of a guest when nobody says otherwise. Pages are taken from the host on first use.
    pub const DEFAULT_MEMORY_MIB: u32 = 2048;

    /// A configuration with defaults for everything that has one.
    #[must_use]
    pub fn new(image: VmImage, runtime_dir: PathBuf, helper_exe: PathBuf) -> Self {
        Self {
            image,
            memory_mib: Self::DEFAULT_MEMORY_MIB,
            cpus: 1,
            backend: None,
            runtime_dir,
            cache_dir: None,
            helper_exe,
            helper_args: vec!["vm-helper".into()],
            kernel_args: Vec::new(),
            program_dirs: Vec::new(),
        }
    }
}
