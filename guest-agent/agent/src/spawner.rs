//! The process from which every RUN is forked.
//!
//! ```text
//! agent (PID 1, threads) ── one message: a byte + descriptors ──► spawner (one thread)
//!        ▲                                                          │ clone3(CLONE_PARENT, new namespaces)
//!        │ ◄──────────── errno, or a descriptor of the child ───────┤
//!        └──────── parent of ─────────────────────────────────► inside::enter
//! ```
//!
//! It is forked before there are threads and does nothing but this, so its memory holds no lock, no secret and no
//! connection. It has its own root of memory, holding nothing but the mount points of [`stage`].

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{CWD, Mode};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_move};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use crate::inside::{self, Handed, stage};
use crate::sys::{self, Clone};

/// Most descriptors in one message: the kernel's bound.
const MAX_DESCRIPTORS: usize = 253;

/// Descriptors of a request that are not trees: plan, root, stdout, stderr, status, and the cgroup if there is one.
const FIXED: usize = 5;

/// Most bind and cache mounts of one RUN.
pub(crate) const MAX_TREES: usize = MAX_DESCRIPTORS - FIXED - 1;

const NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// What a new process is given.
pub(crate) struct Request<'a> {
    pub plan: BorrowedFd<'a>,
    pub root: BorrowedFd<'a>,
    pub stdout: BorrowedFd<'a>,
    pub stderr: BorrowedFd<'a>,
    pub status: BorrowedFd<'a>,
    pub cgroup: Option<BorrowedFd<'a>>,
    pub trees: Vec<BorrowedFd<'a>>,
    /// Whether it gets a network namespace of its own.
    pub own_network: bool,
}

/// The agent's handle of the spawner.
pub(crate) struct Spawner(Mutex<OwnedFd>);

const FLAG_OWN_NETWORK: u8 = 1;
const FLAG_CGROUP: u8 = 2;

impl Spawner {
    /// Forks the spawner; must be called before any thread is started. `place` is an empty folder.
    pub fn start(place: &Path) -> io::Result<Self> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        match sys::clone_process(0, None)? {
            Clone::Parent(_) => Ok(Self(Mutex::new(ours))),
            Clone::Child => {
                drop(ours);
                // Without it no RUN can start, and it takes next to no memory.
                let _ = std::fs::write("/proc/self/oom_score_adj", "-1000");
                if let Err(error) = make_root(place).and_then(|()| serve(&theirs)) {
                    crate::connection::console(&format!("the spawner has failed: {error}"));
                }
                sys::exit_now(0)
            }
        }
    }

    /// Starts a process; the descriptor returned is of a child of the agent.
    pub fn spawn(&self, request: &Request<'_>) -> io::Result<OwnedFd> {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut flags = if request.own_network {
            FLAG_OWN_NETWORK
        } else {
            0
        };
        let mut descriptors = vec![
            request.plan,
            request.root,
            request.stdout,
            request.stderr,
            request.status,
        ];
        if let Some(cgroup) = request.cgroup {
            flags |= FLAG_CGROUP;
            descriptors.push(cgroup);
        }
        descriptors.extend(&request.trees);
        send(socket.as_fd(), &[flags, 0, 0, 0], &descriptors)?;
        let (message, mut descriptors) = receive(socket.as_fd())?;
        match (i32::from_le_bytes(message), descriptors.pop()) {
            (0, Some(process)) => Ok(process),
            (errno, _) if errno != 0 => Err(io::Error::from_raw_os_error(errno)),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

/// Makes a root of memory with the mount points in it, and forgets the old one.
fn make_root(place: &Path) -> io::Result<()> {
    crate::boot::isolate()?;
    mount(
        "tmpfs",
        place,
        "tmpfs",
        MountFlags::empty(),
        Some(c"mode=700"),
    )?;
    rustix::process::chdir(place)?;
    for folder in [stage::ROOT, stage::TREE, stage::FILES] {
        rustix::fs::mkdirat(CWD, &folder[1..], Mode::from_raw_mode(0o700))?;
    }
    // As switch_root does: the first root of a kernel cannot be pivoted away from, one that was moved over it can.
    mount_move(".", "/")?;
    rustix::process::chroot(".")?;
    rustix::process::chdir("/")?;
    Ok(())
}

/// Serves until the agent is gone.
fn serve(socket: &OwnedFd) -> io::Result<()> {
    loop {
        let (message, descriptors) = receive(socket.as_fd())?;
        if descriptors.is_empty() {
            return Ok(());
        }
        match fork(message[0], descriptors) {
            Ok(Clone::Child) => sys::exit_now(125),
            Ok(Clone::Parent(process)) => {
                send(socket.as_fd(), &0i32.to_le_bytes(), &[process.as_fd()])?
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                send(socket.as_fd(), &errno.to_le_bytes(), &[])?;
            }
        }
    }
}

fn fork(flags: u8, mut descriptors: Vec<OwnedFd>) -> io::Result<Clone> {
    let needed = FIXED + usize::from(flags & FLAG_CGROUP != 0);
    if descriptors.len() < needed {
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    let trees = descriptors.split_off(needed);
    let cgroup = if flags & FLAG_CGROUP == 0 {
        None
    } else {
        descriptors.pop()
    };
    let network = if flags & FLAG_OWN_NETWORK == 0 {
        0
    } else {
        libc::CLONE_NEWNET
    };
    let clone = (NAMESPACES | network | libc::CLONE_PARENT) as u64;
    match sys::clone_process(clone, cgroup.as_ref().map(AsFd::as_fd))? {
        Clone::Parent(process) => Ok(Clone::Parent(process)),
        Clone::Child => {
            drop(cgroup);
            let Ok([plan, root, stdout, stderr, status]) =
                <[OwnedFd; FIXED]>::try_from(descriptors)
            else {
                sys::exit_now(125)
            };
            inside::enter(Handed {
                plan,
                root,
                stdout,
                stderr,
                status,
                trees,
            })
        }
    }
}

fn send(
    socket: BorrowedFd<'_>,
    message: &[u8; 4],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    sendmsg(
        socket,
        &[IoSlice::new(message)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// The next message; no descriptors and zeros at the end of the stream.
fn receive(socket: BorrowedFd<'_>) -> io::Result<([u8; 4], Vec<OwnedFd>)> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut message = [0; 4];
    loop {
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let result = recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut message)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        );
        match result {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => {
                let mut descriptors = Vec::new();
                for part in ancillary.drain() {
                    if let RecvAncillaryMessage::ScmRights(received) = part {
                        descriptors.extend(received);
                    }
                }
                return Ok((message, descriptors));
            }
        }
    }
}
