//! QEMU, with KVM or emulating: a microvm machine whose vsock and file-system devices are ours.

mod arguments;
mod bounded_log;
mod monitor;
mod program;

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use kiln_share::Server;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal};

use self::monitor::Monitor;
use super::{Facts, Probe, RunningVm, VmBackend, kvm, tsc, vhost};
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

/// How QEMU runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accelerator {
    Kvm,
    Tcg,
}

/// The back-end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Qemu(Accelerator);

impl Qemu {
    pub(super) const KVM: Self = Self(Accelerator::Kvm);
    pub(super) const TCG: Self = Self(Accelerator::Tcg);
}

impl VmBackend for Qemu {
    fn kind(&self) -> BackendKind {
        match self.0 {
            Accelerator::Kvm => BackendKind::QemuKvm,
            Accelerator::Tcg => BackendKind::QemuTcg,
        }
    }

    fn capabilities(&self) -> Capabilities {
        let hardware = self.0 == Accelerator::Kvm;
        Capabilities {
            hardware,
            virtio_fs: true,
            vsock: true,
        }
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
        let Some(program) = program::find(program_dirs) else {
            let reason = format!("{} is not installed", program::NAME);
            return broken(None, reason, program::INSTALL_HINT.to_owned());
        };
        if self.0 == Accelerator::Kvm
            && let Err(unusable) = kvm::check()
        {
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
                    tsc_khz: (self.0 == Accelerator::Tcg).then(tsc::khz).flatten(),
                },
                program: Some(program),
                status: BackendStatus::Works { detail },
            },
            Err(reason) => broken(Some(program), reason, program::INSTALL_HINT.to_owned()),
        }
    }

    fn start(
        &self,
        config: &HelperConfig,
        share: Arc<Server>,
    ) -> Result<Box<dyn RunningVm>, ExitReason> {
        let directory = Path::new(&config.directory);
        vhost::serve(directory, share)?;
        let monitor = Monitor::listen()?;
        kiln_platform::sparse::copy_sparse(Path::new(&config.scratch), Path::new(SCRATCH_FILE))
            .map_err(|error| scratch_failed(&error))?;
        let mut command = Command::new(&config.program);
        command.args(arguments::of(self.0, config));
        let mut child = spawn(command, config)?;
        let logs = Mutex::new(vec![
            keep("guest-console", child.stdout.take(), CONSOLE_LOG)?,
            keep("qemu-log", child.stderr.take(), PROGRAM_LOG)?,
        ]);
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let handle = pid
            .ok_or(rustix::io::Errno::SRCH)
            .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()))
            .map_err(|error| host_failed("watch QEMU", &error.into()))?;
        Ok(Box::new(RunningQemu {
            pid: child.id(),
            child: Mutex::new(child),
            handle,
            logs,
            monitor,
            program: config.program.to_string_lossy().into_owned(),
            memory_mib: config.memory_mib,
        }))
    }
}

fn spawn(mut command: Command, config: &HelperConfig) -> Result<Child, ExitReason> {
    // Messages are matched against the C library's own words in one place below.
    command
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    kiln_platform::process::die_with_parent(&mut command);
    command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ExitReason::ProgramMissing {
            program: config.program.to_string_lossy().into_owned(),
        },
        _ => host_failed("start QEMU", &error),
    })
}

/// Keeps what comes out of a pipe in a file of the current directory.
fn keep(
    name: &str,
    pipe: Option<impl Read + Send + 'static>,
    file: &'static str,
) -> Result<JoinHandle<()>, ExitReason> {
    let pipe = pipe.expect("both outputs are piped");
    let copy = move || drop(bounded_log::copy(pipe, Path::new(file)));
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(copy);
    thread.map_err(|error| host_failed("keep QEMU's output", &error))
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
    pid: u32,
    child: Mutex<Child>,
    /// Names this very process, also after its number was given to another.
    handle: OwnedFd,
    /// Threads that keep its output; they end with it.
    logs: Mutex<Vec<JoinHandle<()>>>,
    monitor: Monitor,
    program: String,
    memory_mib: u32,
}

impl RunningVm for RunningQemu {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn wait(&self) -> ExitReason {
        let mut ended = [PollFd::new(&self.handle, PollFlags::IN)];
        while let Err(rustix::io::Errno::INTR) = rustix::event::poll(&mut ended, None) {}
        let status = self
            .child
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .wait();
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
        // Fails only when the process has ended already.
        let _ = rustix::process::pidfd_send_signal(&self.handle, Signal::KILL);
    }
}

impl RunningQemu {
    fn reason_of(&self, status: ExitStatus) -> ExitReason {
        if let Some(signal) = status.signal() {
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
        if message.contains("Cannot allocate memory") {
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
