//! Making, becoming and awaiting processes, and what a process can do to itself.

#![expect(
    unsafe_code,
    reason = "clone, exec, seccomp and their like have no safe form"
)]

use std::ffi::{CStr, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::seccomp::Instruction;

/// Starts the child in a control group. The constant of libc does not fit its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which side of a clone this is.
pub(crate) enum Clone {
    /// The new process.
    Child,
    /// The caller, with a descriptor of the new process.
    Parent(OwnedFd),
}

/// Forks this process, which must have one thread, into new namespaces.
pub(crate) fn clone_process(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Clone> {
    let mut pidfd: libc::c_int = -1;
    let mut into_cgroup = 0;
    // SAFETY: all-zero bytes are a valid clone_args.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    if let Some(cgroup) = cgroup {
        into_cgroup = CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    arguments.flags = flags | libc::CLONE_PIDFD as u64 | into_cgroup;
    arguments.pidfd = (&raw mut pidfd) as u64;
    // With CLONE_PARENT the kernel takes the caller's own exit signal, and this must be none.
    arguments.exit_signal = if flags & libc::CLONE_PARENT as u64 == 0 {
        libc::SIGCHLD as u64
    } else {
        0
    };
    // SAFETY: the arguments are valid for their size; no stack is given, so both sides go on with their own copy of
    // this one, as after fork; one thread means that no lock of the allocator can be held by another.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const arguments,
            size_of::<libc::clone_args>(),
        )
    };
    match result {
        0 => Ok(Clone::Child),
        // SAFETY: the kernel has stored a fresh descriptor.
        pid if pid > 0 => Ok(Clone::Parent(unsafe { OwnedFd::from_raw_fd(pidfd) })),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives this process, which must have one thread, mounts of its own.
pub(crate) fn own_mounts() -> Result<(), rustix::io::Errno> {
    // SAFETY: no descriptors are unshared, so no other thread's can dangle.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }
}

/// How a process ended: its exit code, or the signal that ended it.
pub(crate) type Ended = Result<i32, i32>;

/// Waits until the process ends.
pub(crate) fn wait_for(pidfd: BorrowedFd<'_>) -> io::Result<Ended> {
    loop {
        // SAFETY: all-zero bytes are a valid siginfo_t.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open and `info` is valid for writing.
        let result = unsafe {
            libc::waitid(
                libc::P_PIDFD,
                pidfd.as_raw_fd() as libc::id_t,
                &raw mut info,
                libc::WEXITED | libc::__WALL,
            )
        };
        if result == 0 {
            // SAFETY: waitid has filled in a child's end.
            let status = unsafe { info.si_status() };
            return Ok(if info.si_code == libc::CLD_EXITED {
                Ok(status)
            } else {
                Err(status)
            });
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Replaces this process's program; returns only why it could not.
pub(crate) fn exec(path: &CStr, argv: &[&CStr], env: &[&CStr]) -> io::Error {
    let pointers = |strings: &[&CStr]| -> Vec<*const c_char> {
        strings
            .iter()
            .map(|string| string.as_ptr())
            .chain([ptr::null()])
            .collect()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: all strings end in a zero byte, both lists in a null pointer, and all outlive the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Ends this process without running destructors or flushing what it shares with its parent.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process; takes no pointers.
    unsafe { libc::_exit(code) }
}

/// Gives every signal its default action and unblocks all: the runtime ignores SIGPIPE, programs do not expect that.
pub(crate) fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: the default action runs no code of ours. Signals that cannot be changed refuse, which is right.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an all-zero set is the empty set.
    let none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is valid and nothing is stored.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) };
}

/// Installs a seccomp filter on this thread; needs `CAP_SYS_ADMIN`, as it does not set no_new_privs.
pub(crate) fn install_filter(program: &[Instruction]) -> io::Result<()> {
    let len =
        u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let program = libc::sock_fprog {
        len,
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: Instruction has the layout of sock_filter; the kernel copies the program and checks it.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
            0,
            0,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Sets `MOUNT_ATTR_*` flags on the mount that `mount` is the root of.
pub(crate) fn mount_attributes(mount: BorrowedFd<'_>, set: u64) -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid mount_attr.
    let mut attributes: libc::mount_attr = unsafe { std::mem::zeroed() };
    attributes.attr_set = set;
    // SAFETY: path and attributes are valid for the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Brings up the loopback interface of this network namespace.
pub(crate) fn loopback_up() -> io::Result<()> {
    // SAFETY: socket takes no pointers.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as c_char;
    request.ifr_name[1] = b'o' as c_char;
    request.ifr_ifru.ifru_flags =
        (libc::IFF_UP | libc::IFF_RUNNING | libc::IFF_LOOPBACK) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq.
    let result = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Ends the VM: a restart, which the VM monitor is told to take as the end; a machine without ACPI cannot power off.
pub(crate) fn power_off() -> ! {
    // SAFETY: takes no pointers; as PID 1 of a throw-away VM nothing is lost.
    unsafe { libc::reboot(libc::RB_AUTOBOOT) };
    exit_now(0)
}
