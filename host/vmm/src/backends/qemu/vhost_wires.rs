//! Linux: vsock and virtio-fs devices of our own over vhost-user, sockets in the VM's directory, pipes.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use kiln_platform::BoundChild;
use kiln_share::Server;

use super::host_failed;
use super::monitor::Monitor;
use super::wires::{Wires, Words, keep, owned};
use crate::SHARE_TAG;
use crate::backends::vhost::{self, FS_QUEUE_SIZE, FS_SOCKET, VSOCK_SOCKET};
use crate::control::HelperConfig;
use crate::error::ExitReason;
use crate::vm::CONSOLE_LOG;

/// Name of the socket, in the VM's directory, at which QEMU finds its monitor's reader.
const MONITOR_SOCKET: &str = "monitor.sock";

/// The wires: everything is bound and served already.
struct VhostWires {
    memory_mib: u32,
}

/// Binds the sockets in the current directory, which is the VM's.
pub(super) fn lay(
    config: &HelperConfig,
    share: Arc<Server>,
    monitor: &Monitor,
) -> Result<Box<dyn Wires>, ExitReason> {
    vhost::serve(Path::new(&config.directory), share)?;
    let listener = UnixListener::bind(MONITOR_SOCKET)
        .map_err(|error| host_failed("listen to QEMU", &error))?;
    monitor.follow(move || {
        let (stream, _) = listener.accept()?;
        Ok((stream.try_clone()?, stream))
    })?;
    let memory_mib = config.memory_mib;
    Ok(Box::new(VhostWires { memory_mib }))
}

impl Wires for VhostWires {
    fn words(&self) -> Words {
        let memory = self.memory_mib;
        // Shared, so that our devices can map it.
        let mut arguments = owned(&[
            "-object",
            &format!("memory-backend-memfd,id=ram,size={memory}M,share=on"),
        ]);
        // Our standard streams: whoever started QEMU keeps what the guest says within bounds.
        arguments.extend(owned(&["-serial", "stdio"]));
        for (id, socket) in [
            ("monitor", MONITOR_SOCKET),
            ("vsock", VSOCK_SOCKET),
            ("fs", FS_SOCKET),
        ] {
            arguments.extend(owned(&[
                "-chardev",
                &format!("socket,id={id},path={socket}"),
            ]));
        }
        arguments.extend(owned(&["-device", "vhost-user-vsock-device,chardev=vsock"]));
        let fs = format!("chardev=fs,tag={SHARE_TAG},queue-size={FS_QUEUE_SIZE}");
        arguments.extend(owned(&["-device", &format!("vhost-user-fs-device,{fs}")]));
        Words {
            machine: ",memory-backend=ram",
            arguments,
            kernel: Vec::new(),
        }
    }

    fn join(self: Box<Self>, child: &BoundChild) -> Result<Option<JoinHandle<()>>, ExitReason> {
        let console = child.take_stdout().expect("the output is piped");
        keep("guest-console", console, CONSOLE_LOG).map(Some)
    }
}
