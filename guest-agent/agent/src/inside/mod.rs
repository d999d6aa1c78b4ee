//! The side of a RUN that is inside: from the clone to the exec.
//!
//! Runs in the new process, in its new namespaces, with one thread and all privileges, until [`privileges`] drops
//! them. Owns the order of these steps. Nothing of the image is executed before the last of them, and no path of
//! the image is opened before the root is the image's own, so no symlink can lead out.

mod command;
mod devices;
mod filesystems;
mod identity;
mod mount_point;
mod mounts;
mod privileges;
mod report;
mod root;

use std::convert::Infallible;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::OwnedFd;

use kiln_protocol::{Failure, Network, RunSpec, Security, Stage};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};

use crate::failure::{OrFail, failure};
use crate::sys;

pub(crate) use report::{Before, CreatedEntry, read_notes};

/// Folders of the spawner's own root, on which things are mounted on their way to the new root.
pub(crate) mod stage {
    /// The new root.
    pub(crate) const ROOT: &str = "/root";
    /// A tree of which a part is wanted.
    pub(crate) const TREE: &str = "/tree";
    /// Files that the agent makes.
    pub(crate) const FILES: &str = "/files";
}

/// What the agent hands in, as open descriptors.
pub(crate) struct Handed {
    /// The [`RunSpec`] as JSON.
    pub plan: OwnedFd,
    /// The root, as a detached mount.
    pub root: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    /// Where [`report::Note`]s go; closed by the exec.
    pub status: OwnedFd,
    /// A detached mount for each bind and cache mount of the plan, in order.
    pub trees: Vec<OwnedFd>,
}

/// Becomes the command.
pub(crate) fn enter(handed: Handed) -> ! {
    let Handed {
        plan,
        root,
        stdout,
        stderr,
        status,
        trees,
    } = handed;
    let mut report = report::Report::new(File::from(status));
    let result =
        read_plan(plan).and_then(|spec| prepare(&spec, root, [stdout, stderr], trees, &mut report));
    let Err(failure) = result;
    report.failed(failure);
    // The code is never seen: the note is what counts.
    sys::exit_now(125)
}

fn read_plan(plan: OwnedFd) -> Result<RunSpec, Failure> {
    let mut file = File::from(plan);
    let mut json = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut json))
        .or_fail(Stage::Spawn, || "cannot read the plan of the run".into())?;
    serde_json::from_slice(&json)
        .map_err(|error| failure(Stage::Spawn, format!("malformed plan: {error}")))
}

fn prepare(
    spec: &RunSpec,
    new_root: OwnedFd,
    output: [OwnedFd; 2],
    trees: Vec<OwnedFd>,
    report: &mut report::Report,
) -> Result<Infallible, Failure> {
    rustix::process::umask(Mode::empty());
    rustix::process::setsid().or_fail(Stage::Spawn, || "cannot start a session".into())?;
    let sandboxed = spec.security == Security::Sandbox;

    let prepared = mounts::prepare(spec, trees)?;
    root::enter(&new_root)?;
    drop(new_root);
    filesystems::mount_all(spec, report)?;
    prepared.attach(report)?;
    if sandboxed {
        filesystems::mask()?;
    }
    if spec.read_only {
        root::make_read_only()?;
    }
    set_host(spec)?;
    set_limits(spec)?;

    let identity = identity::resolve(&spec.user)?;
    let command = command::Command::new(spec, &identity)?;
    redirect(output)?;
    sys::reset_signals();
    rustix::process::umask(Mode::from_raw_mode(0o022));
    // Before the privileges go: a directory that only root may enter is entered as Docker does it.
    let entered = command::enter_workdir(&spec.workdir);
    privileges::take_on(&identity, sandboxed)?;
    if entered.is_err() {
        command::enter_workdir(&spec.workdir)?;
    }
    Err(command.exec())
}

/// Names the host and brings the loopback up.
fn set_host(spec: &RunSpec) -> Result<(), Failure> {
    rustix::system::sethostname(mounts::host_name(spec).as_bytes())
        .or_fail(Stage::Namespace, || "cannot set the host name".into())?;
    match spec.network {
        Network::None => {
            sys::loopback_up().or_fail(Stage::Namespace, || "cannot bring up the loopback".into())
        }
        Network::Guest => Ok(()),
    }
}

/// Docker's limit of open files: a low soft one for programs that close every number up to it, a high hard one.
fn set_limits(spec: &RunSpec) -> Result<(), Failure> {
    let (current, maximum) = spec
        .limits
        .open_files
        .map_or((1024, 524_288), |files| (files, files));
    let limit = |maximum: u64| Rlimit {
        current: Some(current.min(maximum)),
        maximum: Some(maximum),
    };
    let result = match rustix::process::setrlimit(Resource::Nofile, limit(maximum)) {
        // Without CAP_SYS_RESOURCE, which a VM's init has, what there is must do.
        Err(Errno::PERM) => {
            let inherited = rustix::process::getrlimit(Resource::Nofile)
                .maximum
                .unwrap_or(maximum);
            rustix::process::setrlimit(Resource::Nofile, limit(inherited.min(maximum)))
        }
        result => result,
    };
    result.or_fail(Stage::Spawn, || "cannot limit the open files".into())
}

/// Stdin is empty; stdout and stderr are the pipes.
fn redirect([stdout, stderr]: [OwnedFd; 2]) -> Result<(), Failure> {
    let empty = rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
        Mode::empty(),
    );
    empty
        .and_then(|null| rustix::stdio::dup2_stdin(&null))
        .and_then(|()| rustix::stdio::dup2_stdout(&stdout))
        .and_then(|()| rustix::stdio::dup2_stderr(&stderr))
        .or_fail(Stage::Spawn, || {
            "cannot redirect the command's streams".into()
        })
}
