//! From the first instruction to serving.
//!
//! The order is for speed: nothing that the Hello does not need comes before it. Mounts of which a RUN cannot do
//! without are made after it, while the host prepares its first request.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use kiln_protocol::{
    Channel, DEFAULT_WRITE_LIMIT, FrameKind, HelloReply, VERSION, Welcome, read_message,
};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Resource, Rlimit};

use crate::clock;
use crate::connection::{Connection, Sender, console};
use crate::dialler::Dialler;
use crate::serve::Agent;
use crate::settings::Settings;
use crate::spawner::Spawner;
use crate::sys;

/// Open files of the agent: the kernel's own bound (`fs.nr_open`).
const MAX_DESCRIPTORS: u64 = 1 << 20;

/// Runs as PID 1 of the VM until the host is gone.
pub(crate) fn as_init() -> Result<(), String> {
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_kernel("/proc", "proc", quiet).map_err(|error| format!("cannot mount /proc: {error}"))?;
    let line = fs::read_to_string("/proc/cmdline")
        .map_err(|error| format!("cannot read /proc/cmdline: {error}"))?;
    serve(&Settings::parse(&line))
}

/// Leaves the mounts of the machine alone: what this process mounts from now on is its own.
pub(crate) fn isolate() -> Result<(), Errno> {
    sys::own_mounts()?;
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
}

/// Says hello and serves.
pub(crate) fn serve(settings: &Settings) -> Result<(), String> {
    let stage = settings.root.join("stage");
    fs::create_dir_all(&stage)
        .map_err(|error| format!("cannot make {}: {error}", stage.display()))?;
    // Before any thread is started, and before anything is mounted that a RUN must not see.
    let spawner = Spawner::start(&stage).map_err(|error| format!("cannot fork: {error}"))?;
    let dialler =
        Dialler::new(settings).map_err(|error| format!("cannot reach the host: {error}"))?;
    let limit = DEFAULT_WRITE_LIMIT;
    let mut connection = Connection::open(&dialler, &settings.token, Channel::Control, limit)
        .map_err(|error| format!("cannot dial the host: {error}"))?;

    if rustix::process::getpid() == rustix::process::Pid::INIT {
        prepare_kernel();
    }
    let agent = Agent::new(settings.clone(), dialler, spawner);
    let welcome = hear_welcome(&mut connection)?;
    connection.set_write_limit(welcome.write_limit);
    apply(&welcome);
    let sender = connection
        .try_clone()
        .map_err(|error| format!("cannot share the connection: {error}"))?;
    Arc::new(agent.with_terms(welcome)).serve(&mut connection, &Arc::new(Sender::new(sender)));
    Ok(())
}

fn hear_welcome(connection: &mut Connection) -> Result<Welcome, String> {
    let reply = read_message(connection, &mut Vec::new(), FrameKind::Hello)
        .map_err(|error| format!("no welcome from the host: {error}"))?;
    match reply {
        HelloReply::Welcome(welcome) if welcome.version == VERSION => Ok(welcome),
        HelloReply::Welcome(welcome) => Err(format!(
            "the host speaks version {}, not {VERSION}",
            welcome.version
        )),
        HelloReply::Refused(refusal) => Err(format!("the host refused: {}", refusal.reason)),
    }
}

/// What the host said about time and chance. Neither is worth failing for.
fn apply(welcome: &Welcome) {
    if rustix::process::getpid() != rustix::process::Pid::INIT {
        return;
    }
    if let Some(time) = welcome.time_ns {
        clock::tell(time);
    }
    if !welcome.entropy.0.is_empty() {
        // Mixes the bytes in without crediting them, which is what a restored snapshot needs.
        let _ = fs::write("/dev/urandom", &welcome.entropy.0);
    }
}

/// Mounts what the kernel offers and tunes it for a machine that forgets everything.
fn prepare_kernel() {
    mount_devices();
    // A descriptor for each folder on the way down, and folders can be nested deeply.
    let limit = Rlimit {
        current: Some(MAX_DESCRIPTORS),
        maximum: Some(MAX_DESCRIPTORS),
    };
    let _ = rustix::process::setrlimit(Resource::Nofile, limit);
    // The scratch disk is never read after this boot: written back late or, best, never.
    for (name, value) in [
        ("vm/dirty_ratio", "70"),
        ("vm/dirty_background_ratio", "50"),
        ("vm/dirty_expire_centisecs", "60000"),
        ("vm/overcommit_memory", "1"),
        ("kernel/printk", "1 4 1 7"),
    ] {
        // A kernel without this knob does without.
        let _ = fs::write(Path::new("/proc/sys").join(name), value);
    }
}

/// Mounts the kernel's lists of devices. Again does nothing.
pub(crate) fn mount_devices() {
    let quiet = MountFlags::NOSUID | MountFlags::NOEXEC;
    for (path, kind) in [("/dev", "devtmpfs"), ("/sys", "sysfs")] {
        if let Err(error) = mount_kernel(path, kind, quiet) {
            console(&format!("cannot mount {path}: {error}"));
        }
    }
}

fn mount_kernel(path: &str, kind: &str, flags: MountFlags) -> Result<(), Errno> {
    match mount(kind, path, kind, flags, None) {
        Err(Errno::NOENT) => {
            rustix::fs::mkdir(path, rustix::fs::Mode::from_raw_mode(0o755))?;
            mount(kind, path, kind, flags, None)
        }
        // The kernel has mounted its devices by itself.
        Err(Errno::BUSY) => Ok(()),
        result => result,
    }
}
