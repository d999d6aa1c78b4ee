//! libkrun as a library: the VM runs in the helper process itself, over the host's own hypervisor.
//!
//! libkrun takes a process over: once entered, it never returns and ends the process when the guest stops. So it is
//! entered on a thread of its own, and its last call before the end, that of the exit observer, hands over the
//! reason and stays where it is: the helper ends the process in its own order. Invariant: whatever way the VM ends,
//! its streams are closed and its console is in the log before [`RunningVm::wait`] returns.
//!
//! The guest finds what it finds under QEMU: the same kernel, initramfs, share, vsock port and scratch disk.

mod channel;
mod console;
mod elf;
mod firmware;
mod kernel;
mod log;
mod machine;
mod pages;
mod probe;
mod share;
mod stat;

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use kiln_share::Server;
use msb_krun::ExitHandle;

use self::channel::Channel;
use self::console::Console;
use super::{Probe, RunningVm, VmBackend};
use crate::architecture::Architecture;
use crate::config::BackendKind;
use crate::console::ConsoleTail;
use crate::control::HelperConfig;
use crate::error::ExitReason;
use crate::probe::Capabilities;
use crate::vm::CONSOLE_LOG;

/// Name of the scratch disk in the VM's directory.
const SCRATCH_FILE: &str = "scratch.img";

/// Name of what libkrun itself reports, in the VM's directory.
const LIBRARY_LOG: &str = "krun.log";

/// Longest write of the guest that reaches the host whole: libkrun takes one descriptor of a packet's data, and a
/// guest kernel spreads what is longer over several.
const GUEST_WRITE: u32 = 28 << 10;

/// The back-end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Krun;

/// The back-end, for the only guests it has: it emulates no other processor.
pub(super) fn backend(guest: Architecture) -> Option<Box<dyn VmBackend>> {
    (!guest.is_foreign()).then(|| Box::new(Krun) as Box<dyn VmBackend>)
}

impl VmBackend for Krun {
    fn kind(&self) -> BackendKind {
        BackendKind::Krun
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            hardware: true,
            virtio_fs: true,
            vsock: true,
            guest_write: GUEST_WRITE,
        }
    }

    fn on_request_only(&self) -> bool {
        // No guest of ours was seen running on it under KVM or on Windows yet, and QEMU was.
        cfg!(not(target_os = "macos"))
    }

    fn probe(&self, _program_dirs: &[PathBuf]) -> Probe {
        probe::probe()
    }

    fn start(
        &self,
        config: &HelperConfig,
        share: Arc<Server>,
    ) -> Result<Box<dyn RunningVm>, ExitReason> {
        let failed = |action: &str, cause: &dyn std::error::Error| host_failed(action, cause);
        log::keep(Path::new(LIBRARY_LOG));
        let console = Console::keep(CONSOLE_LOG)
            .map_err(|error| failed("keep the guest's console", &error))?;
        kiln_platform::sparse_pack::unpack(Path::new(&config.scratch), Path::new(SCRATCH_FILE))
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::StorageFull => ExitReason::ScratchFull,
                _ => failed("make the scratch disk", &error),
            })?;
        let channel = Arc::new(Channel::new(Path::new(&config.directory).to_owned()));
        let (sender, ended) = mpsc::channel();
        let observer = {
            let sender = sender.clone();
            move |code| hand_over(&sender, Ended::Code(code))
        };
        let vm = machine::build(config, share, Arc::clone(&channel), &console, observer)?;
        let exit = vm.exit_handle();
        std::thread::Builder::new()
            .name("krun".to_owned())
            .spawn(move || {
                // Comes back only when it could not begin.
                let entered = std::panic::catch_unwind(AssertUnwindSafe(|| vm.enter()));
                let message = match entered {
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "libkrun panicked".to_owned(),
                };
                hand_over(&sender, Ended::Refused(message));
            })
            .map_err(|error| failed("start a thread", &error))?;
        Ok(Box::new(RunningKrun {
            exit,
            ended: Mutex::new(ended),
            channel,
            console,
        }))
    }
}

/// How the VM ended, as libkrun tells it.
#[derive(Debug)]
enum Ended {
    /// The guest reset the machine, a processor could not go on, or it was told to end.
    Code(i32),
    /// It never ran.
    Refused(String),
}

/// Tells how the VM ended and does not return: what libkrun does next is to end the process.
fn hand_over(to: &Sender<Ended>, ended: Ended) {
    // A helper that does not listen is ending already.
    let _ = to.send(ended);
    loop {
        std::thread::park();
    }
}

fn host_failed(action: &str, cause: &dyn std::error::Error) -> ExitReason {
    let mut text = cause.to_string();
    let mut source = cause.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    ExitReason::HostFailed {
        action: action.to_owned(),
        cause: text,
    }
}

/// A VM in this process. The helper's current directory is the VM's.
struct RunningKrun {
    exit: ExitHandle,
    ended: Mutex<Receiver<Ended>>,
    channel: Arc<Channel>,
    console: Console,
}

impl RunningVm for RunningKrun {
    fn pid(&self) -> u32 {
        std::process::id()
    }

    fn wait(&self) -> ExitReason {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = ended.recv();
        self.channel.close();
        self.console.drain();
        reason_of(ended.ok())
    }

    fn kill(&self) {
        // The processors go on until the process ends, which is when the engine has seen that the VM has ended.
        self.exit.trigger();
    }
}

/// Why the VM ended; `None` when there is nobody left to tell.
fn reason_of(ended: Option<Ended>) -> ExitReason {
    let console = ConsoleTail::read(Path::new(CONSOLE_LOG));
    if let Some(line) = console.panic_line() {
        return ExitReason::KernelPanic {
            message: line.to_owned(),
        };
    }
    let failed = |status: String| ExitReason::ProgramFailed {
        program: probe::NAME.to_owned(),
        status,
        message: ConsoleTail::read(Path::new(LIBRARY_LOG)).0,
    };
    match ended {
        Some(Ended::Code(0)) => ExitReason::GuestStopped,
        Some(Ended::Code(code)) => failed(format!("exit code {code}")),
        Some(Ended::Refused(message)) => failed(message),
        None => failed("no reason was given".to_owned()),
    }
}
