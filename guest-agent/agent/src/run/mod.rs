//! One RUN, seen from outside: stack, spawn, listen, reap.

mod active;
mod caches;
mod mount_points;
mod output;
mod trees;

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use kiln_protocol::{Exit, Failure, LowerRef, Network, RunSpec, Stage};
use rustix::fs::MemfdFlags;
use rustix::pipe::{PipeFlags, pipe_with};

pub(crate) use active::Active;
pub(crate) use caches::Caches;

use crate::cgroup::RunCgroup;
use crate::connection::Sender;
use crate::failure::{OrFail, failure};
use crate::inside::read_notes;
use crate::overlay::{self, Devices, MAX_LOWERS, Upper};
use crate::scratch::RunFolder;
use crate::serve::Agent;
use crate::spawner::Request;
use crate::sys;

/// Runs the command to its end. Its output has been sent when this returns, and none of its processes is left.
/// `stands_on` gets the directories below, bottom first.
pub(crate) fn execute(
    agent: &Agent,
    spec: &RunSpec,
    active: &Active,
    sender: &Sender,
    stands_on: &mut Vec<PathBuf>,
) -> Result<Exit, Failure> {
    *stands_on = lower_paths(agent, &spec.lowers)?;
    let scratch = agent.scratch()?;
    let folder = scratch.create_run(spec.run, stands_on.last().map(PathBuf::as_path))?;
    let devices = if agent.cgroups().rule_devices() {
        Devices::Usable
    } else {
        Devices::Inert
    };
    let root = stack_root(scratch.stubs(), stands_on, &folder, devices)?;
    let mut trees = trees::open_all(agent, spec, &folder)?;
    let cgroup = agent
        .cgroups()
        .create(spec.run, spec.security, &spec.limits)?;

    let mut process = Process::start(agent, spec, &root, &trees.mounts, cgroup)?;
    // From here on the run's own mount namespace alone holds them.
    drop(root);
    drop(std::mem::take(&mut trees.mounts));
    active.started(&process.pidfd);
    let (created, failed) = read_notes(process.status.take().expect("taken once"));
    if failed.is_none() {
        output::pump(
            spec.run,
            active,
            sender,
            process.stdout.as_fd(),
            process.stderr.as_fd(),
        );
    }
    let ended = sys::wait_for(process.pidfd.as_fd());
    active.ended();
    drop(process);
    mount_points::take_out(&folder.upper(), &created);
    trees::clean_up(spec, &folder);
    drop(trees);
    if let Some(failure) = failed {
        return Err(failure);
    }
    let ended = ended.or_fail(Stage::Spawn, || "cannot learn how the command ended".into())?;
    Ok(ended.map_or_else(Exit::Signal, Exit::Code))
}

/// Where the layers are, bottom first.
fn lower_paths(agent: &Agent, lowers: &[LowerRef]) -> Result<Vec<PathBuf>, Failure> {
    if lowers.len() > MAX_LOWERS {
        return Err(failure(
            Stage::Overlay,
            format!("{} layers are more than {MAX_LOWERS}", lowers.len()),
        ));
    }
    lowers
        .iter()
        .map(|lower| lower_path(agent, lower))
        .collect()
}

fn lower_path(agent: &Agent, lower: &LowerRef) -> Result<PathBuf, Failure> {
    match lower {
        LowerRef::Share { name } => agent.layers.path(name),
        LowerRef::Upper { run } if agent.has_ended(*run) => Ok(agent.scratch()?.run(*run).upper()),
        LowerRef::Upper { run } => Err(failure(
            Stage::Request,
            format!("run {run} has no changes to stand on"),
        )),
    }
}

fn stack_root(
    stubs: PathBuf,
    lowers: &[PathBuf],
    folder: &RunFolder,
    devices: Devices,
) -> Result<OwnedFd, Failure> {
    let mut stack = vec![stubs];
    stack.extend_from_slice(lowers);
    let (changes, work) = (folder.upper(), folder.work());
    overlay::stack(
        &stack,
        Some(&Upper {
            changes: &changes,
            work: &work,
        }),
        devices,
    )
    .or_fail(Stage::Overlay, || {
        format!("cannot stack {} layers", stack.len() - 1)
    })
}

/// The running command.
struct Process {
    pidfd: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    status: Option<File>,
    /// Removed with the process.
    _cgroup: Option<RunCgroup>,
}

impl Process {
    fn start(
        agent: &Agent,
        spec: &RunSpec,
        root: &OwnedFd,
        trees: &[OwnedFd],
        cgroup: Option<RunCgroup>,
    ) -> Result<Self, Failure> {
        let what = || "cannot start a process".to_owned();
        let plan = write_plan(spec).or_fail(Stage::Spawn, what)?;
        let (stdout, stdout_in) = pipe_with(PipeFlags::CLOEXEC).or_fail(Stage::Spawn, what)?;
        let (stderr, stderr_in) = pipe_with(PipeFlags::CLOEXEC).or_fail(Stage::Spawn, what)?;
        let (status, status_in) = pipe_with(PipeFlags::CLOEXEC).or_fail(Stage::Spawn, what)?;
        let request = Request {
            plan: plan.as_fd(),
            root: root.as_fd(),
            stdout: stdout_in.as_fd(),
            stderr: stderr_in.as_fd(),
            status: status_in.as_fd(),
            cgroup: cgroup.as_ref().map(RunCgroup::folder),
            trees: trees.iter().map(AsFd::as_fd).collect(),
            own_network: spec.network == Network::None,
        };
        let pidfd = agent.spawner.spawn(&request).or_fail(Stage::Spawn, what)?;
        Ok(Self {
            pidfd,
            stdout,
            stderr,
            status: Some(File::from(status)),
            _cgroup: cgroup,
        })
    }
}

fn write_plan(spec: &RunSpec) -> std::io::Result<OwnedFd> {
    let json = serde_json::to_vec(spec)?;
    let mut file = File::from(rustix::fs::memfd_create("plan", MemfdFlags::CLOEXEC)?);
    file.write_all(&json)?;
    Ok(file.into())
}
