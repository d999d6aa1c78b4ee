//! The mounts of a RUN instruction, `/etc/hosts` and `/etc/resolv.conf`.
//!
//! Prepared as detached mounts while the old root is there, attached when the new one is.

use std::fmt::Write as _;
use std::os::fd::{AsFd, OwnedFd};

use kiln_protocol::{Failure, FileMount, MountKind, RunSpec, Stage, TreeRef};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree, unmount,
};

use super::report::Report;
use super::{mount_point, stage};
use crate::failure::{OrFail, failure};
use crate::sys;

const READ_ONLY: u64 = libc::MOUNT_ATTR_RDONLY;
const NO_SUID: u64 = libc::MOUNT_ATTR_NOSUID;
const NO_DEVICES: u64 = libc::MOUNT_ATTR_NODEV;

/// One detached mount and where it goes.
struct Prepared {
    target: String,
    mount: OwnedFd,
    directory: bool,
}

/// All of them, in the order in which they are attached.
pub(super) struct PreparedMounts(Vec<Prepared>);

/// The host name inside.
pub(super) fn host_name(spec: &RunSpec) -> &str {
    if spec.hostname.is_empty() {
        "buildkitsandbox"
    } else {
        &spec.hostname
    }
}

/// Makes every mount of the plan, detached. `trees` holds one mount for each bind and cache, in order.
pub(super) fn prepare(spec: &RunSpec, trees: Vec<OwnedFd>) -> Result<PreparedMounts, Failure> {
    let files = FileStage::open()?;
    let mut prepared = Vec::with_capacity(spec.mounts.len() + 2);
    for (target, contents) in [
        ("/etc/hosts", hosts(spec)),
        ("/etc/resolv.conf", spec.resolv_conf.clone()),
    ] {
        let file = FileMount {
            contents: contents.into_bytes().into(),
            mode: 0o644,
            uid: 0,
            gid: 0,
        };
        prepared.push(Prepared {
            target: target.into(),
            mount: files.make(target, &file)?,
            directory: false,
        });
    }
    let mut trees = trees.into_iter();
    let mut tree = || {
        trees
            .next()
            .ok_or_else(|| failure(Stage::Mount, "a mount has no tree"))
    };
    for mount in &spec.mounts {
        let target = absolute(&mount.target, &spec.workdir);
        let (mount, directory) = match &mount.kind {
            MountKind::Bind(bind) => select(
                tree()?,
                &bind.tree,
                if bind.writable { 0 } else { READ_ONLY },
            )?,
            MountKind::Cache(cache) => {
                let path = cache.base.as_ref().map_or("", |base| &base.path);
                let attributes = if cache.read_only { READ_ONLY } else { 0 };
                select(
                    tree()?,
                    &TreeRef {
                        lowers: Vec::new(),
                        path: path.into(),
                    },
                    attributes,
                )?
            }
            MountKind::Tmpfs { size } => (tmpfs(*size, &target)?, true),
            MountKind::File(file) => (files.make(&target, file)?, false),
        };
        prepared.push(Prepared {
            target,
            mount,
            directory,
        });
    }
    files.close()?;
    // What lies deeper is mounted later, whatever the order of writing.
    prepared.sort_by_key(|mount| {
        mount
            .target
            .split('/')
            .filter(|name| !name.is_empty())
            .count()
    });
    Ok(PreparedMounts(prepared))
}

/// A target is relative to the working directory, as BuildKit has it.
fn absolute(target: &str, workdir: &str) -> String {
    if target.starts_with('/') {
        target.into()
    } else {
        format!("/{workdir}/{target}")
    }
}

/// The part of a tree that is wanted, as a mount of its own.
fn select(tree: OwnedFd, wanted: &TreeRef, attributes: u64) -> Result<(OwnedFd, bool), Failure> {
    let path = wanted.path.trim_matches('/');
    let (mount, directory) = if path.is_empty() || path == "." {
        (tree, true)
    } else {
        let what = || format!("cannot mount {}", wanted.path);
        attach(&tree, stage::TREE).or_fail(Stage::Mount, what)?;
        let part = open_part(path);
        unmount(stage::TREE, UnmountFlags::DETACH).or_fail(Stage::Mount, what)?;
        part.or_fail(Stage::Mount, what)?
    };
    sys::mount_attributes(mount.as_fd(), attributes | NO_DEVICES).or_fail(Stage::Mount, || {
        format!("cannot protect the mount of {}", wanted.path)
    })?;
    Ok((mount, directory))
}

fn open_part(path: &str) -> rustix::io::Result<(OwnedFd, bool)> {
    let root = rustix::fs::open(stage::TREE, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let part = rustix::fs::openat2(
        &root,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )?;
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&part)?.st_mode);
    Ok((clone_mount(&part)?, kind == rustix::fs::FileType::Directory))
}

fn clone_mount(at: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(at, "", flags)
}

fn attach(mount: &OwnedFd, at: &str) -> rustix::io::Result<()> {
    move_mount(mount, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

fn tmpfs(size: Option<u64>, target: &str) -> Result<OwnedFd, Failure> {
    let options: Vec<(&str, String)> = [("mode", "1777".to_owned())]
        .into_iter()
        .chain(size.map(|size| ("size", size.to_string())))
        .collect();
    new_tmpfs(
        &options,
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
    )
    .or_fail(Stage::Mount, || format!("cannot mount memory on {target}"))
}

fn new_tmpfs(
    options: &[(&str, String)],
    attributes: MountAttrFlags,
) -> rustix::io::Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(&context, *key, value.as_str())?;
    }
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// A file system of this run for the files that the agent makes; it lives as long as they are mounted.
struct FileStage {
    count: std::cell::Cell<u32>,
}

impl FileStage {
    fn open() -> Result<Self, Failure> {
        let none = MountAttrFlags::empty();
        new_tmpfs(&[], none)
            .and_then(|mount| attach(&mount, stage::FILES))
            .or_fail(Stage::Mount, || "cannot make a place for files".into())?;
        Ok(Self { count: 0.into() })
    }

    fn make(&self, target: &str, file: &FileMount) -> Result<OwnedFd, Failure> {
        self.count.set(self.count.get() + 1);
        let path = format!("{}/{}", stage::FILES, self.count.get());
        self.write(&path, file).or_fail(Stage::Mount, || {
            format!("cannot make the file for {target}")
        })
    }

    fn write(&self, path: &str, file: &FileMount) -> std::io::Result<OwnedFd> {
        std::fs::write(path, &file.contents.0)?;
        let owner = (Uid::from_raw(file.uid), Gid::from_raw(file.gid));
        rustix::fs::chownat(CWD, path, Some(owner.0), Some(owner.1), AtFlags::empty())?;
        rustix::fs::chmod(path, Mode::from_raw_mode(file.mode & 0o7777))?;
        let at = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let mount = clone_mount(&at)?;
        sys::mount_attributes(mount.as_fd(), READ_ONLY | NO_SUID | NO_DEVICES)?;
        Ok(mount)
    }

    fn close(self) -> Result<(), Failure> {
        unmount(stage::FILES, UnmountFlags::DETACH)
            .or_fail(Stage::Mount, || "cannot close the place for files".into())
    }
}

fn hosts(spec: &RunSpec) -> String {
    let mut text = format!(
        "127.0.0.1\tlocalhost {}\n::1\tlocalhost ip6-localhost ip6-loopback\n",
        host_name(spec)
    );
    for host in &spec.extra_hosts {
        writeln!(text, "{}\t{}", host.address, host.name).expect("strings can be written");
    }
    text
}

impl PreparedMounts {
    /// Mounts all of them in the new root.
    pub fn attach(self, report: &mut Report) -> Result<(), Failure> {
        for Prepared {
            target,
            mount,
            directory,
        } in self.0
        {
            let place = mount_point::open(&target, directory, report)?;
            let flags =
                MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
            move_mount(&mount, "", &place, "", flags)
                .or_fail(Stage::Mount, || format!("cannot mount on {target}"))?;
        }
        Ok(())
    }
}
