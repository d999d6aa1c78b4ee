//! virtio-serial ports, found by the names that the host gave them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::boot;

/// Where the kernel lists its ports.
const LIST: &str = "/sys/class/virtio-ports";

/// How long a port may take to appear: the host tells of it in messages after the device was found.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often is looked.
const PAUSE: Duration = Duration::from_millis(1);

/// Opens the port, for this program alone, and says the token on it.
pub(crate) fn open(name: &str, token: &str) -> io::Result<File> {
    // Both are mounted for good later; here they are needed before.
    boot::mount_devices();
    let deadline = Instant::now() + PATIENCE;
    let device = loop {
        if let Some(device) = find(Path::new(LIST), name) {
            break device;
        }
        if Instant::now() > deadline {
            return Err(io::ErrorKind::NotFound.into());
        }
        std::thread::sleep(PAUSE);
    };
    let mut port = File::options()
        .read(true)
        .write(true)
        .open(Path::new("/dev").join(device))?;
    // Waits until the host has opened its end.
    port.write_all(token.as_bytes())?;
    Ok(port)
}

/// The device of the port with this name.
fn find(list: &Path, name: &str) -> Option<std::ffi::OsString> {
    let ports = fs::read_dir(list).ok()?;
    let mut named = ports.flatten().filter(|port| {
        fs::read_to_string(port.path().join("name")).is_ok_and(|told| told.trim_end() == name)
    });
    named.next().map(|port| port.file_name())
}
