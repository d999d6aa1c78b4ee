//! Every system: two virtio-serial ports, over loopback TCP as all of QEMU's wires here.
//!
//! ```text
//! QEMU dials  monitor   QMP
//!             console   the guest's serial console
//!             streams   token, then frames of kiln-mux         ◄─► the engine's socket
//!             share     token, then FUSE requests and replies  ◄─► kiln-share
//! ```
//!
//! Each listener takes one connection and is gone. Who would connect before QEMU learns nothing without the token, and
//! makes the VM fail.

mod share;
mod streams;
mod tcp;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kiln_mux::{CMDLINE_LINK, LINK_SERIAL, SHARE_PORT, STREAMS_PORT};
use kiln_platform::BoundChild;
use kiln_share::Server;

use self::tcp::Listener;
use super::host_failed;
use super::monitor::Monitor;
use super::wires::{Wires, Words, in_thread, keep, owned};
use crate::control::HelperConfig;
use crate::error::ExitReason;
use crate::vm::CONSOLE_LOG;

/// How long QEMU may take to connect. It does so before it reads the kernel, within a tenth of a second; a virus
/// scanner that sees it for the first time may want a look.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// The wires before QEMU has connected.
struct SerialWires {
    monitor: (Listener, Monitor),
    console: Listener,
    streams: Listener,
    share: Listener,
    directory: PathBuf,
    token: String,
    files: Arc<Server>,
}

/// Binds the listeners.
pub(super) fn lay(
    config: &HelperConfig,
    share: Arc<Server>,
    monitor: &Monitor,
) -> Result<Box<dyn Wires>, ExitReason> {
    let bind = || Listener::bind().map_err(|error| host_failed("listen to QEMU", &error));
    Ok(Box::new(SerialWires {
        monitor: (bind()?, monitor.clone()),
        console: bind()?,
        streams: bind()?,
        share: bind()?,
        directory: PathBuf::from(&config.directory),
        token: config.token.clone(),
        files: share,
    }))
}

impl Wires for SerialWires {
    fn words(&self) -> Words {
        let mut arguments = Vec::new();
        for (id, listener) in [
            ("monitor", &self.monitor.0),
            ("console", &self.console),
            ("streams", &self.streams),
            ("share", &self.share),
        ] {
            let address = format!("host=127.0.0.1,port={},nodelay=on", listener.port());
            arguments.extend(owned(&["-chardev", &format!("socket,id={id},{address}")]));
        }
        arguments.extend(owned(&["-serial", "chardev:console"]));
        arguments.extend(owned(&["-device", "virtio-serial-device,max_ports=3"]));
        for (id, number, name) in [("streams", 1, STREAMS_PORT), ("share", 2, SHARE_PORT)] {
            let port = format!("virtserialport,chardev={id},nr={number},name={name}");
            arguments.extend(owned(&["-device", &port]));
        }
        debug_assert_eq!((CMDLINE_LINK, LINK_SERIAL), ("kiln.link", "serial"));
        Words {
            machine: "",
            arguments,
            kernel: vec!["kiln.link=serial"],
        }
    }

    fn join(self: Box<Self>, child: &BoundChild) -> Result<Option<JoinHandle<()>>, ExitReason> {
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        let accept = |listener: Listener| {
            listener
                .accept(deadline, || matches!(child.try_wait(), Ok(None)))
                .map_err(|error| host_failed("wait for QEMU to connect", &error))
        };
        let (listener, monitor) = self.monitor;
        // A QEMU that has ended tells why in its log and its exit status.
        let Some(stream) = accept(listener)? else {
            return Ok(None);
        };
        monitor.follow(move || Ok((stream.try_clone()?, stream)))?;
        let Some(console) = accept(self.console)? else {
            return Ok(None);
        };
        let log = keep("guest-console", console, CONSOLE_LOG)?;
        let (Some(streams), Some(share)) = (accept(self.streams)?, accept(self.share)?) else {
            return Ok(Some(log));
        };
        let (token, files) = (self.token.clone(), self.files);
        // Either ends with its port; the engine and the guest see that by themselves.
        in_thread("guest-share", move || {
            let _ = share::serve(&share, &token, &files);
        })?;
        let (token, directory) = (self.token, self.directory);
        in_thread("guest-streams", move || {
            let _ = streams::serve(&streams, &token, &directory);
        })?;
        Ok(Some(log))
    }
}
