//! Devices of our own, served to the VMM over vhost-user from threads of the helper process.
//!
//! The guest's memory is mapped here and may change under every read: each value is read once, then
//! checked. An error that a device returns ends its thread, so devices return none for what the guest
//! does.

mod fs;
mod vsock;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use kiln_share::Server;
use vhost::vhost_user::Listener;
use vhost::vhost_user::message::VhostUserVirtioFeatures;
use vhost_user_backend::{VhostUserBackend, VhostUserDaemon, VringRwLock};
use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};

use crate::error::ExitReason;

/// The guest's RAM.
type Memory = GuestMemoryAtomic<GuestMemoryMmap>;

/// Name of the socket, in the VM's directory, at which the VMM finds the vsock device.
pub(crate) const VSOCK_SOCKET: &str = "vsock.sock";

/// Name of the socket, in the VM's directory, at which the VMM finds the file-system device.
pub(crate) const FS_SOCKET: &str = "fs.sock";

/// Descriptors of the file system's request queue; with fewer Linux makes its reads smaller.
pub(crate) const FS_QUEUE_SIZE: usize = fs::QUEUE_SIZE;

/// What every device here can do.
fn common_features() -> u64 {
    1 << VIRTIO_F_VERSION_1
        | 1 << VIRTIO_RING_F_EVENT_IDX
        | 1 << VIRTIO_RING_F_INDIRECT_DESC
        | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
}

/// The error that ends a device whose guest says that requests are queued where none can be taken: looking again
/// would never end.
fn broken_ring() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// Binds both devices' sockets in the current directory and serves them until the VMM hangs up.
pub(crate) fn serve(directory: &Path, share: Arc<Server>) -> Result<(), ExitReason> {
    let vsock = Arc::new(Mutex::new(vsock::Vsock::new(directory.to_owned())));
    let daemon = start("vsock", VSOCK_SOCKET, Arc::clone(&vsock))?;
    let watchers = daemon.0.get_epoll_handlers();
    let watcher = watchers.first().expect("the device has one thread");
    vsock
        .lock()
        .expect("no device thread runs yet")
        .watch_with(watcher);
    // The engine must not wait for a guest that is gone.
    run(daemon, move || vsock::close(&vsock))?;
    let fs = Arc::new(Mutex::new(fs::Fs::new(share)));
    run(start("virtio-fs", FS_SOCKET, fs)?, || {})
}

struct Device<T: VhostUserBackend>(VhostUserDaemon<T>, Listener, &'static str);

fn start<T>(name: &'static str, socket: &str, backend: T) -> Result<Device<T>, ExitReason>
where
    T: VhostUserBackend<Bitmap = (), Vring = VringRwLock> + Clone + 'static,
{
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    let daemon = VhostUserDaemon::new(name.to_owned(), backend, memory)
        .map_err(|error| failed(name, &error))?;
    let listener = Listener::new(socket, true).map_err(|error| failed(name, &error))?;
    Ok(Device(daemon, listener, name))
}

fn run<T>(device: Device<T>, at_end: impl FnOnce() + Send + 'static) -> Result<(), ExitReason>
where
    T: VhostUserBackend<Bitmap = (), Vring = VringRwLock> + Clone + 'static,
{
    let Device(mut daemon, mut listener, name) = device;
    let serve = move || {
        if daemon.start(&mut listener).is_ok() {
            let _ = daemon.wait();
        }
        at_end();
        // Dropping it would wait for a thread that only ends with this process.
        std::mem::forget(daemon);
    };
    let thread = std::thread::Builder::new()
        .name(format!("{name}-control"))
        .spawn(serve);
    thread.map(drop).map_err(|error| failed(name, &error))
}

fn failed(device: &str, error: &dyn std::fmt::Display) -> ExitReason {
    ExitReason::HostFailed {
        action: format!("serve the {device} device"),
        cause: error.to_string(),
    }
}
