//! Making the prepared mount the root, with no way back to the old one.

use std::os::fd::OwnedFd;

use kiln_protocol::{Failure, Stage};
use rustix::fs::CWD;
use rustix::mount::{MountFlags, MoveMountFlags, UnmountFlags};

use super::stage;
use crate::failure::OrFail;

/// Attaches the root, makes it `/`, and lets go of the old one.
pub(super) fn enter(root: &OwnedFd) -> Result<(), Failure> {
    let attached = rustix::mount::move_mount(
        root,
        "",
        CWD,
        stage::ROOT,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    );
    attached
        .and_then(|()| rustix::process::chdir(stage::ROOT))
        // The old root ends up on top of the new one and is taken off at once, so no folder is needed for it.
        .and_then(|()| rustix::process::pivot_root(".", "."))
        .and_then(|()| rustix::mount::unmount(".", UnmountFlags::DETACH))
        .and_then(|()| rustix::process::chdir("/"))
        .or_fail(Stage::Root, || "cannot change the root".into())
}

/// Forbids writing to the root itself; mounts below stay as they are.
pub(super) fn make_read_only() -> Result<(), Failure> {
    rustix::mount::mount_remount("/", MountFlags::BIND | MountFlags::RDONLY, "")
        .or_fail(Stage::Root, || "cannot make the root read-only".into())
}
