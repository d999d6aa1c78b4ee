//! Stacking directories, as a mount that is attached nowhere yet.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

/// The kernel's bound on directories below the upper one, less the two of the agent's own that a stack may have.
pub(crate) const MAX_LOWERS: usize = 498;

/// What device nodes in a stack are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Devices {
    /// Data, which nobody can open.
    Inert,
    /// As good as those in `/dev`: something else decides which may be opened.
    Usable,
}

/// Where changes go.
pub(crate) struct Upper<'a> {
    pub changes: &'a Path,
    pub work: &'a Path,
}

/// Stacks `lowers`, bottom first. Without an upper directory nothing can be written.
///
/// Each directory is given by itself: the mount option that lists them all is bound to a page.
pub(crate) fn stack(
    lowers: &[PathBuf],
    upper: Option<&Upper<'_>>,
    devices: Devices,
) -> Result<OwnedFd, Errno> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", "kiln")?;
    for lower in lowers.iter().rev() {
        fsconfig_set_string(&context, "lowerdir+", lower)?;
    }
    // What is in the upper directory must be complete by itself: it becomes a layer.
    for option in ["metacopy", "index", "uuid"] {
        fsconfig_set_string(&context, option, "off")?;
    }
    fsconfig_set_string(&context, "redirect_dir", "nofollow")?;
    if let Some(Upper { changes, work }) = upper {
        fsconfig_set_string(&context, "upperdir", *changes)?;
        fsconfig_set_string(&context, "workdir", *work)?;
        // Nothing here outlives the VM, so syncing it is wasted.
        fsconfig_set_flag(&context, "volatile")?;
    }
    fsconfig_create(&context)?;
    let mut attributes = MountAttrFlags::MOUNT_ATTR_RELATIME;
    if devices == Devices::Inert {
        attributes |= MountAttrFlags::MOUNT_ATTR_NODEV;
    }
    if upper.is_none() {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}
