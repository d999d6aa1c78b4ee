//! The agent: PID 1 of the VM. Runs commands on stacks of layers and sends back what they changed.
//!
//! Threads, no async. One process is forked before any thread is started, the [`spawner`]; all RUNs are forked from
//! it, so no fork ever sees another thread's locks. On the way to the Hello there is nothing but that fork, one read
//! of the kernel's command line and the dialling: mounts come while the host thinks.
//!
//! All `unsafe` is in [`sys`]. Failures are told to the host; the agent ends only with its connection.

#![deny(unsafe_code)]

mod boot;
mod cgroup;
mod clock;
mod connection;
mod dialler;
mod diff;
mod failure;
mod inside;
mod layers;
mod overlay;
mod ports;
mod run;
mod scratch;
mod seccomp;
mod serve;
mod settings;
mod share_port;
mod spawner;
mod sys;

use std::process::ExitCode;

use settings::Settings;

fn main() -> ExitCode {
    let is_init = rustix::process::getpid() == rustix::process::Pid::INIT;
    let result = if is_init {
        boot::as_init()
    } else {
        outside_of_a_vm()
    };
    if let Err(message) = result {
        connection::console(&message);
        if !is_init {
            return ExitCode::FAILURE;
        }
    }
    if is_init {
        sys::power_off()
    } else {
        ExitCode::SUCCESS
    }
}

/// For tests of the agent without a VM: the settings are the arguments, and the mounts are its own.
fn outside_of_a_vm() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let settings = Settings::parse(&arguments.join(" "));
    if settings.root.as_os_str() == settings::DEFAULT_ROOT {
        return Err("this program is the init of Kiln's VM and does nothing elsewhere".into());
    }
    boot::isolate().map_err(|error| format!("cannot make a mount namespace: {error}"))?;
    boot::serve(&settings)
}
