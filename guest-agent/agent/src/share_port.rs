//! The share over a virtio-serial port: a FUSE file system whose requests travel to the host and back.
//!
//! The agent only carries the messages: what is in the share is the host's to say, and its kernel checks the replies.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::thread;

use kiln_mux::{MAX_REPLY, MAX_REQUEST, SHARE_PORT, read_prefixed};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::connection::console;
use crate::ports;

/// Mounts the share of the port at `place`.
pub(crate) fn mount_at(place: &Path, flags: MountFlags, token: &str) -> io::Result<()> {
    let port = ports::open(SHARE_PORT, token)?;
    let device = File::options().read(true).write(true).open("/dev/fuse")?;
    let options = format!(
        "fd={},rootmode=40555,user_id=0,group_id=0,allow_other,default_permissions",
        device.as_raw_fd()
    );
    let options = CString::new(options).expect("there is no zero byte in it");
    mount("kiln", place, "fuse", flags, Some(options.as_c_str()))?;
    let (from_kernel, to_host) = (device.try_clone()?, port.try_clone()?);
    thread::Builder::new()
        .name("share-requests".into())
        .spawn(move || carry_requests(from_kernel, to_host))?;
    let place = place.to_owned();
    thread::Builder::new()
        .name("share-replies".into())
        .spawn(move || {
            if let Err(error) = carry_replies(port, device) {
                console(&format!("lost the share: {error}"));
            }
            // Whoever waits for a file learns that it will not come.
            let _ = unmount(&place, UnmountFlags::FORCE | UnmountFlags::DETACH);
        })?;
    Ok(())
}

/// Carries requests until the file system is unmounted.
fn carry_requests(mut kernel: File, mut host: File) {
    let mut request = vec![0; MAX_REQUEST];
    loop {
        let len = match kernel.read(&mut request) {
            Ok(len) => len,
            Err(error) => match error.raw_os_error() {
                // The request was interrupted before it was read.
                Some(libc::ENOENT | libc::EINTR | libc::EAGAIN) => continue,
                _ => return,
            },
        };
        if host.write_all(&request[..len]).is_err() {
            return;
        }
    }
}

/// Carries replies until the host closes the port.
fn carry_replies(mut host: File, mut kernel: File) -> io::Result<()> {
    let mut reply = Vec::new();
    while read_prefixed(&mut host, &mut reply, MAX_REPLY)? {
        match kernel.write(&reply) {
            // Nobody waits for this one any more.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => result.map(drop)?,
        }
    }
    Ok(())
}
