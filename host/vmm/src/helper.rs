//! The helper process: one VM, its devices, and nothing left of them afterwards.
//!
//! Standard input carries commands and its end means that the engine is gone, however it went; then the
//! VM is killed and its directory removed. Standard output carries events. The process prints nothing
//! else and reads no environment.

use std::io::{BufRead, Stdin, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use kiln_share::Server;

use crate::backends::{self, RunningVm};
use crate::control::{Command, Event, HelperConfig};
use crate::error::ExitReason;
use crate::runtime_dir::RuntimeDir;

/// What the thread that reads commands and the main thread share.
#[derive(Default)]
struct Shared {
    files: Arc<Server>,
    run: Mutex<Run>,
}

#[derive(Default)]
struct Run {
    vm: Option<Arc<dyn RunningVm>>,
    /// The VM is to end, be it there already or not.
    stop: bool,
}

impl Shared {
    fn run(&self) -> std::sync::MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        let mut run = self.run();
        run.stop = true;
        if let Some(vm) = &run.vm {
            vm.kill();
        }
    }
}

/// Entry point of the hidden sub-command `vm-helper`: runs one VM as told on standard input.
///
/// Must be called from the process's main thread, which VMMs take for their parent.
#[must_use]
pub fn main() -> ExitCode {
    let mut line = String::new();
    let config = match std::io::stdin().lock().read_line(&mut line) {
        Ok(_) => serde_json::from_str::<HelperConfig>(&line),
        Err(error) => Err(serde_json::Error::io(error)),
    };
    let Ok(config) = config else {
        return ExitCode::from(2);
    };
    let Ok(directory) = RuntimeDir::adopt(Path::new(&config.directory)) else {
        return ExitCode::from(3);
    };
    // Names of sockets are short, however long the directory's is.
    if std::env::set_current_dir(directory.path()).is_err() {
        return ExitCode::from(3);
    }
    let shared = Arc::new(Shared::default());
    let commands = {
        let shared = Arc::clone(&shared);
        std::thread::spawn(move || obey(std::io::stdin(), &shared))
    };
    let reason = run(&config, &shared);
    send(&Event::Exited { reason });
    // The devices have closed the guest's streams. The engine still reads the console; it closes our
    // input when it has no more use for it, or is gone.
    let _ = commands.join();
    // A directory that a process works in cannot be removed everywhere.
    let _ = std::env::set_current_dir(std::env::temp_dir());
    drop(directory);
    ExitCode::SUCCESS
}

/// Runs the VM to its end.
fn run(config: &HelperConfig, shared: &Arc<Shared>) -> ExitReason {
    let Some(backend) = backends::of_kind(config.backend, config.architecture) else {
        return ExitReason::HostFailed {
            action: format!("use the back-end {}", config.backend),
            cause: "it is not part of this program".to_owned(),
        };
    };
    let vm: Arc<dyn RunningVm> = match backend.start(config, Arc::clone(&shared.files)) {
        Ok(vm) => Arc::from(vm),
        Err(reason) => return reason,
    };
    send(&Event::Started { vmm_pid: vm.pid() });
    let mut run = shared.run();
    run.vm = Some(Arc::clone(&vm));
    if run.stop {
        vm.kill();
    }
    drop(run);
    let reason = vm.wait();
    if shared.run().stop {
        ExitReason::Stopped
    } else {
        reason
    }
}

/// Obeys commands until there are no more.
fn obey(input: Stdin, shared: &Shared) {
    for line in input.lock().lines() {
        let Ok(line) = line else { break };
        let Ok(command) = serde_json::from_str(&line) else {
            continue;
        };
        match command {
            Command::Share { id, name, path } => {
                let added = shared.files.add(&name, Path::new(&path));
                let error = added.err().map(|error| with_causes(&error));
                send(&Event::Shared { id, error });
            }
            Command::Unshare { id, name } => {
                shared.files.remove(&name);
                send(&Event::Shared { id, error: None });
            }
            Command::Stop => shared.stop(),
        }
    }
    shared.stop();
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn send(event: &Event) {
    let Ok(mut line) = serde_json::to_vec(event) else {
        return;
    };
    line.push(b'\n');
    // An engine that does not listen any more is gone; the end of our input says so too.
    let mut output = std::io::stdout().lock();
    let _ = output.write_all(&line).and_then(|()| output.flush());
}
