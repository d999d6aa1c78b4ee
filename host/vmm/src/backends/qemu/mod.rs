//! QEMU with one of the systems' hypervisors or emulating, and two ways to reach its guest.
//!
//! On Linux our own vsock and virtio-fs devices serve it over vhost-user; everywhere, virtio-serial ports do.

mod accelerator;
mod arguments;
mod machine;
mod monitor;
mod program;
mod serial;
#[cfg(target_os = "linux")]
mod vhost_wires;
mod wires;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use kiln_platform::BoundChild;
use kiln_platform::child::signal_of;
use kiln_share::Server;

use self::accelerator::Accelerator;
use self::monitor::Monitor;
use self::wires::{Wires, keep};
use super::{Facts, Probe, RunningVm, VmBackend, bounded_log, tsc};
use crate::architecture::Architecture;
use crate::config::BackendKind;
use crate::console::ConsoleTail;
use crate::control::HelperConfig;
use crate::error::ExitReason;
use crate::probe::{BackendStatus, Capabilities};
use crate::vm::CONSOLE_LOG;

/// Name of the scratch disk in the VM's directory.
const SCRATCH_FILE: &str = "scratch.img";

/// Name of what QEMU itself writes, in the VM's directory.
const PROGRAM_LOG: &str = "qemu.log";

/// Longest write of the guest. Our own devices take whatever comes; longer ones gain nothing.
const GUEST_WRITE: u32 = 256 << 10;

/// How the guest is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// vsock and virtio-fs devices of our own.
    #[cfg(target_os = "linux")]
    Vhost,
    /// virtio-serial ports.
    Serial,
}

/// The back-end, for guests of one architecture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Qemu {
    flavour: Flavour,
    guest: Architecture,
}

/// One way to use QEMU.
#[derive(Clone, Copy, Debug)]
struct Flavour {
    kind: BackendKind,
    accelerator: Accelerator,
    link: Link,
}

/// Those of this system, best first.
#[cfg(target_os = "linux")]
const FLAVOURS: &[Flavour] = &[
    Flavour {
        kind: BackendKind::QemuKvm,
        accelerator: Accelerator::Kvm,
        link: Link::Vhost,
    },
    Flavour {
        kind: BackendKind::QemuTcg,
        accelerator: Accelerator::Tcg,
        link: Link::Vhost,
    },
    SERIAL,
];

#[cfg(target_os = "macos")]
const FLAVOURS: &[Flavour] = &[
    Flavour {
        kind: BackendKind::QemuHvf,
        accelerator: Accelerator::Hvf,
        link: Link::Serial,
    },
    SERIAL,
];

#[cfg(windows)]
const FLAVOURS: &[Flavour] = &[
    Flavour {
        kind: BackendKind::QemuWhpx,
        accelerator: Accelerator::Whpx,
        link: Link::Serial,
    },
    SERIAL,
];

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
const FLAVOURS: &[Flavour] = &[SERIAL];

/// What runs wherever QEMU does.
const SERIAL: Flavour = Flavour {
    kind: BackendKind::QemuSerial,
    accelerator: Accelerator::Tcg,
    link: Link::Serial,
};

/// All back-ends of this system that use QEMU, best first.
pub(super) fn all(guest: Architecture) -> impl Iterator<Item = Qemu> {
    FLAVOURS.iter().map(move |flavour| Qemu {
        flavour: *flavour,
        guest,
    })
}

impl VmBackend for Qemu {
    fn kind(&self) -> BackendKind {
        self.flavour.kind
    }

    fn capabilities(&self) -> Capabilities {
        let devices = self.flavour.link != Link::Serial;
        Capabilities {
            hardware: self.flavour.accelerator != Accelerator::Tcg,
            virtio_fs: devices,
            vsock: devices,
            guest_write: GUEST_WRITE,
        }
    }

    fn on_request_only(&self) -> bool {
        // Emulation with devices of our own does all that this does, faster.
        cfg!(target_os = "linux") && self.flavour.link == Link::Serial
    }

    fn probe(&self, program_dirs: &[PathBuf]) -> Probe {
        let broken = |program, reason: String, hint: String| Probe {
            program,
            status: BackendStatus::Broken {
                reason,
                hint: Some(hint),
            },
            facts: Facts::default(),
        };
        let machine = machine::of(self.guest);
        if self.guest.is_foreign() && self.flavour.accelerator != Accelerator::Tcg {
            let reason = format!("the processors of this machine do not run {}", self.guest);
            return broken(None, reason, "use a back-end that emulates them".to_owned());
        }
        let Some(program) = program::find(machine.program, program_dirs) else {
            let reason = format!("{} is not installed", machine.program);
            return broken(None, reason, program::install_hint(machine));
        };
        if let Err(unusable) = self.flavour.accelerator.check() {
            return broken(
                Some(program),
                unusable.reason.to_owned(),
                unusable.hint.to_owned(),
            );
        }
        match program::version(&program) {
            Ok(detail) => Probe {
                facts: Facts {
                    sandbox: program::has_sandbox(&program),
                    tsc_khz: (machine.has_tsc && self.flavour.accelerator == Accelerator::Tcg)
                        .then(tsc::khz)
                        .flatten(),
                },
                program: Some(program),
                status: BackendStatus::Works { detail },
            },
            Err(reason) => broken(Some(program), reason, program::install_hint(machine)),
        }
    }

    fn start(
        &self,
        config: &HelperConfig,
        share: Arc<Server>,
    ) -> Result<Box<dyn RunningVm>, ExitReason> {
        let monitor = Monitor::default();
        let wires = self.lay_wires(config, share, &monitor)?;
        kiln_platform::sparse_pack::unpack(Path::new(&config.scratch), Path::new(SCRATCH_FILE))
            .map_err(|error| scratch_failed(&error))?;
        let mut command = Command::new(&config.program);
        command.args(arguments::of(
            self.flavour.accelerator,
            config,
            &wires.words(),
        ));
        let child = spawn(command, config)?;
        let log = child.take_stderr().expect("the errors are piped");
        let mut logs = vec![keep("qemu-log", log, PROGRAM_LOG)?];
        logs.extend(wires.join(&child)?);
        Ok(Box::new(RunningQemu {
            child,
            logs: Mutex::new(logs),
            monitor,
            program: config.program.to_string_lossy().into_owned(),
            memory_mib: config.memory_mib,
        }))
    }
}

impl Qemu {
    fn lay_wires(
        &self,
        config: &HelperConfig,
        share: Arc<Server>,
        monitor: &Monitor,
    ) -> Result<Box<dyn Wires>, ExitReason> {
        match self.flavour.link {
            #[cfg(target_os = "linux")]
            Link::Vhost => vhost_wires::lay(config, share, monitor),
            Link::Serial => serial::lay(config, share, monitor),
        }
    }
}

fn spawn(mut command: Command, config: &HelperConfig) -> Result<BoundChild, ExitReason> {
    // Messages are matched against the C library's own words in one place below.
    command
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    BoundChild::spawn(command).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ExitReason::ProgramMissing {
            program: config.program.to_string_lossy().into_owned(),
        },
        _ => host_failed("start QEMU", &error),
    })
}

fn scratch_failed(error: &std::io::Error) -> ExitReason {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return ExitReason::ScratchFull;
    }
    host_failed("make the scratch disk", error)
}

fn host_failed(action: &str, error: &std::io::Error) -> ExitReason {
    ExitReason::HostFailed {
        action: action.to_owned(),
        cause: error.to_string(),
    }
}

/// A QEMU process. The helper's current directory is the VM's.
struct RunningQemu {
    child: BoundChild,
    /// Threads that keep its output; they end with it.
    logs: Mutex<Vec<JoinHandle<()>>>,
    monitor: Monitor,
    program: String,
    memory_mib: u32,
}

impl RunningVm for RunningQemu {
    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait(&self) -> ExitReason {
        let status = self.child.wait();
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        for log in logs.drain(..) {
            // One that panicked kept what it had.
            let _ = log.join();
        }
        match status {
            Ok(status) => self.reason_of(status),
            Err(error) => host_failed("wait for QEMU", &error),
        }
    }

    fn kill(&self) {
        self.child.kill();
    }
}

impl RunningQemu {
    fn reason_of(&self, status: ExitStatus) -> ExitReason {
        if let Some(signal) = signal_of(status) {
            return ExitReason::Killed { signal };
        }
        if self.monitor.scratch_full() {
            return ExitReason::ScratchFull;
        }
        let console = ConsoleTail::read(Path::new(CONSOLE_LOG));
        if let Some(line) = console.panic_line() {
            return ExitReason::KernelPanic {
                message: line.to_owned(),
            };
        }
        if status.success() {
            return ExitReason::GuestStopped;
        }
        let message = ConsoleTail::read(Path::new(PROGRAM_LOG)).0;
        // QEMU has no other way to say so.
        if message.contains("Cannot allocate memory") || message.contains("set up guest memory") {
            return ExitReason::OutOfMemory {
                memory_mib: self.memory_mib,
            };
        }
        let status = status.to_string();
        ExitReason::ProgramFailed {
            program: self.program.clone(),
            status,
            message,
        }
    }
}
