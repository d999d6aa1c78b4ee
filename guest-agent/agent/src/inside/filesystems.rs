//! `/proc`, `/sys` and `/dev` of a command, and what of them it may not see or change.

use kiln_protocol::{Failure, RunSpec, Security, Stage};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_bind, mount_remount};

use super::report::Report;
use super::{devices, mount_point};
use crate::failure::OrFail;

/// What runc's default masks: with memory over directories, with `/dev/null` over files.
const MASKED_DIRECTORIES: [&str; 5] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const MASKED_FILES: [&str; 8] = [
    // Not Docker's: it holds the token of this boot.
    "/proc/cmdline",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
];
/// What it makes read-only.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

const QUIET: MountFlags = MountFlags::NOSUID
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC);

/// Mounts all three in the new root.
pub(super) fn mount_all(spec: &RunSpec, report: &mut Report) -> Result<(), Failure> {
    let sandboxed = spec.security == Security::Sandbox;
    let sys_flags = if sandboxed {
        QUIET | MountFlags::RDONLY
    } else {
        QUIET
    };
    mount_on("/proc", "proc", QUIET, "", report)?;
    // The spawner is spared when memory runs out, a command is not.
    let _ = std::fs::write("/proc/self/oom_score_adj", "0");
    mount_on(
        "/dev",
        "tmpfs",
        MountFlags::NOSUID | MountFlags::STRICTATIME,
        "mode=755,size=65536k",
        report,
    )?;
    devices::populate(spec.limits.shm)?;
    mount_on("/sys", "sysfs", sys_flags, "", report)?;
    match mount("cgroup", "/sys/fs/cgroup", "cgroup2", sys_flags, None) {
        // A kernel without cgroups has no folder for them.
        Ok(()) | Err(Errno::NOENT | Errno::NODEV) => Ok(()),
        Err(error) => Err(error).or_fail(Stage::Root, || "cannot mount the control groups".into()),
    }
}

fn mount_on(
    target: &str,
    kind: &str,
    flags: MountFlags,
    data: &str,
    report: &mut Report,
) -> Result<(), Failure> {
    let attempt = || {
        let data = std::ffi::CString::new(data).expect("options hold no zero byte");
        mount(kind, target, kind, flags, Some(data.as_c_str()))
    };
    let first = attempt();
    let result = if first == Err(Errno::NOENT) {
        mount_point::open(target, true, report)?;
        attempt()
    } else {
        first
    };
    result.or_fail(Stage::Root, || format!("cannot mount {target}"))
}

/// Hides and protects what Docker hides and protects. Paths that this kernel does not have are passed over.
pub(super) fn mask() -> Result<(), Failure> {
    for path in MASKED_FILES {
        pass_missing(mount_bind("/dev/null", path))
            .or_fail(Stage::Root, || format!("cannot mask {path}"))?;
    }
    for path in MASKED_DIRECTORIES {
        pass_missing(mount("tmpfs", path, "tmpfs", MountFlags::RDONLY, None))
            .or_fail(Stage::Root, || format!("cannot mask {path}"))?;
    }
    for path in READ_ONLY {
        pass_missing(
            mount_bind(path, path).and_then(|()| {
                mount_remount(path, MountFlags::BIND | MountFlags::RDONLY | QUIET, "")
            }),
        )
        .or_fail(Stage::Root, || format!("cannot protect {path}"))?;
    }
    Ok(())
}

fn pass_missing(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
        result => result,
    }
}
