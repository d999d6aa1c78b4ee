//! The trees behind bind and cache mounts, opened as detached mounts. Which part of a tree is wanted, the inside finds.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use kiln_protocol::{BindMount, Failure, MountKind, RunSpec, Stage};

use super::caches::CacheUse;
use super::lower_paths;
use crate::failure::{OrFail, failure};
use crate::overlay::{self, Devices, Upper};
use crate::scratch::{RunFolder, make_upper};
use crate::serve::Agent;
use crate::spawner::MAX_TREES;

/// The trees of a run, and the caches that it holds meanwhile.
pub(super) struct Trees<'a> {
    pub mounts: Vec<OwnedFd>,
    pub caches: Vec<CacheUse<'a>>,
}

/// Opens the trees of all bind and cache mounts, in order.
pub(super) fn open_all<'a>(
    agent: &'a Agent,
    spec: &RunSpec,
    folder: &RunFolder,
) -> Result<Trees<'a>, Failure> {
    let mut trees = Trees {
        mounts: Vec::new(),
        caches: Vec::new(),
    };
    for mount in &spec.mounts {
        if trees.mounts.len() == MAX_TREES {
            return Err(failure(
                Stage::Mount,
                format!("more than {MAX_TREES} bind and cache mounts"),
            ));
        }
        match &mount.kind {
            MountKind::Bind(bind) => {
                let scratch = folder.path.join(format!("bind-{}", trees.mounts.len()));
                let tree = open_bind(agent, bind, &scratch)?;
                trees.mounts.push(tree);
            }
            MountKind::Cache(cache) => {
                let (tree, usage) = agent.caches.open(agent, cache, &trees.caches)?;
                trees.mounts.push(tree);
                trees.caches.push(usage);
            }
            MountKind::Tmpfs { .. } | MountKind::File(_) => {}
        }
    }
    Ok(trees)
}

fn open_bind(
    agent: &Agent,
    bind: &BindMount,
    folder: &std::path::Path,
) -> Result<OwnedFd, Failure> {
    let what = || format!("cannot stack the layers of the mount of {}", bind.tree.path);
    let lowers = lower_paths(agent, &bind.tree.lowers)?;
    let top = lowers.last().cloned();
    // A stack that cannot be written needs two directories.
    let mut stack: Vec<PathBuf> = agent.scratch()?.empty().into();
    stack.extend(lowers);
    if !bind.writable {
        return overlay::stack(&stack, None, Devices::Inert).or_fail(Stage::Mount, what);
    }
    let (changes, work) = (folder.join("upper"), folder.join("work"));
    make_upper(&changes, &work, top.as_deref()).or_fail(Stage::Mount, what)?;
    overlay::stack(
        &stack,
        Some(&Upper {
            changes: &changes,
            work: &work,
        }),
        Devices::Inert,
    )
    .or_fail(Stage::Mount, what)
}

/// Drops what was written to writable binds.
pub(super) fn clean_up(spec: &RunSpec, folder: &RunFolder) {
    for index in 0..spec.mounts.len() {
        let path = folder.path.join(format!("bind-{index}"));
        if path.exists() {
            let _ = fs::remove_dir_all(path);
        }
    }
}
