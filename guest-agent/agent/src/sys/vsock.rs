//! Dialling the host over vsock.

#![expect(unsafe_code, reason = "rustix has no vsock addresses")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Bytes that may be under way in each direction. Linux caps what it sends unacknowledged by its own buffer too, and
/// its default of 256 KiB stops a bulk transfer for a credit update every few packets.
const BUFFER: u64 = 1 << 20;

/// `SO_VM_SOCKETS_BUFFER_SIZE` of <linux/vm_sockets.h>, which libc lacks.
const BUFFER_SIZE: libc::c_int = 0;
/// `SO_VM_SOCKETS_BUFFER_MAX_SIZE`.
const BUFFER_MAX_SIZE: libc::c_int = 2;

/// Connects to a port of a context.
pub(crate) fn dial_vsock(cid: u32, port: u32) -> io::Result<OwnedFd> {
    // SAFETY: socket takes no pointers.
    let fd = unsafe { libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    set_buffer(&socket);
    // SAFETY: all-zero bytes are a valid sockaddr_vm.
    let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
    address.svm_cid = cid;
    address.svm_port = port;
    let length = size_of::<libc::sockaddr_vm>() as libc::socklen_t;
    // SAFETY: the address is valid for its length and lives across the call.
    let result = unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(socket)
    }
}

/// Makes room for [`BUFFER`]; a kernel that refuses is slower and no less right.
fn set_buffer(socket: &OwnedFd) {
    // The bound first, as the size is held to it.
    for option in [BUFFER_MAX_SIZE, BUFFER_SIZE] {
        let (size, length) = (BUFFER, size_of::<u64>() as libc::socklen_t);
        // SAFETY: the value is valid for its length.
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::AF_VSOCK,
                option,
                (&raw const size).cast(),
                length,
            );
        }
    }
}
