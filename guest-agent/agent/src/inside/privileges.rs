//! Becoming the user, with Docker's default capabilities and seccomp filter and nothing more.

use kiln_protocol::{Failure, Stage};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::identity::Identity;
use crate::failure::OrFail;
use crate::{seccomp, sys};

/// What a container of Docker's has by default.
const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Takes on the user's ids; `sandboxed` also drops what Docker drops.
pub(super) fn take_on(identity: &Identity, sandboxed: bool) -> Result<(), Failure> {
    if sandboxed {
        drop_bounding_set().or_fail(Stage::Security, || "cannot drop capabilities".into())?;
        // While CAP_SYS_ADMIN is there: without it the filter would need no_new_privs, and setuid programs must work.
        // All that follows is allowed by the filter.
        sys::install_filter(&seccomp::sandbox_filter()).or_fail(Stage::Security, || {
            "cannot install the system call filter".into()
        })?;
    }
    become_user(identity).or_fail(Stage::User, || {
        format!("cannot become user {}", identity.uid)
    })?;
    if sandboxed && identity.uid == 0 {
        let sets = CapabilitySets {
            effective: DEFAULT,
            permitted: DEFAULT,
            inheritable: CapabilitySet::empty(),
        };
        rustix::thread::set_capabilities(None, sets)
            .or_fail(Stage::Security, || "cannot set capabilities".into())?;
    }
    Ok(())
}

/// Removes all but the default from what any program started later can ever have.
fn drop_bounding_set() -> Result<(), Errno> {
    for bit in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if DEFAULT.contains(capability) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // Past the last that this kernel knows.
            Err(Errno::INVAL) => break,
            result => result?,
        }
    }
    Ok(())
}

/// Sets groups and ids. Leaving id 0 clears all capabilities, as it should.
fn become_user(identity: &Identity) -> Result<(), Errno> {
    let groups: Vec<Gid> = identity
        .groups
        .iter()
        .map(|gid| Gid::from_raw(*gid))
        .collect();
    rustix::thread::set_thread_groups(&groups)?;
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}
