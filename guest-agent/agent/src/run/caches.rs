//! Cache mounts: directories that outlive a run, for as long as the VM lives.

use std::collections::HashMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use kiln_protocol::{CacheMount, CacheSharing, Failure, Stage};
use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use super::lower_paths;
use crate::failure::{OrFail, failure};
use crate::overlay::{self, Devices, Upper};
use crate::scratch::{create_folder, make_upper};
use crate::serve::Agent;

/// Longest id.
const MAX_ID: usize = 1024;

/// One directory of a cache.
struct Instance {
    /// Where it is; none while it is being made.
    path: Option<PathBuf>,
    users: u32,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<String, Vec<Instance>>,
    count: usize,
}

/// All caches.
#[derive(Default)]
pub(crate) struct Caches {
    known: Mutex<Known>,
    released: Condvar,
}

/// A cache in use; given back when dropped.
pub(crate) struct CacheUse<'a> {
    caches: &'a Caches,
    id: String,
    index: usize,
}

impl Caches {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the cache into use by its sharing rule, and gives its directory as a detached mount. `held` are the
    /// caches that the same run has already: it never waits for itself.
    pub fn open<'a>(
        &'a self,
        agent: &Agent,
        mount: &CacheMount,
        held: &[CacheUse<'a>],
    ) -> Result<(OwnedFd, CacheUse<'a>), Failure> {
        if mount.id.len() > MAX_ID {
            return Err(failure(
                Stage::Request,
                format!("the id of a cache is longer than {MAX_ID} bytes"),
            ));
        }
        let again = held.iter().find(|usage| usage.id == mount.id);
        let (usage, path, number) = self.take(mount, again.map(|usage| usage.index));
        let path = match path {
            Some(path) => path,
            None => {
                let path = make(agent, mount, number)?;
                if let Some(instance) = self
                    .known()
                    .by_id
                    .get_mut(&mount.id)
                    .and_then(|all| all.get_mut(usage.index))
                {
                    instance.path = Some(path.clone());
                }
                self.released.notify_all();
                path
            }
        };
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(CWD, &path, flags)
            .or_fail(Stage::Mount, || format!("cannot open cache {}", mount.id))?;
        Ok((tree, usage))
    }

    /// Chooses the instance: its path if it is made already, and the number for its folder if it is not.
    fn take(
        &self,
        mount: &CacheMount,
        again: Option<usize>,
    ) -> (CacheUse<'_>, Option<PathBuf>, usize) {
        let mut known = self.known();
        loop {
            let number = known.count;
            let all = known.by_id.entry(mount.id.clone()).or_default();
            let index = match mount.sharing {
                _ if again.is_some() => again,
                // One that is being made by another run is waited for as well.
                CacheSharing::Shared => match all.first() {
                    Some(first) if first.path.is_none() && first.users > 0 => None,
                    _ => Some(0),
                },
                CacheSharing::Locked => {
                    if all.first().is_none_or(|first| first.users == 0) {
                        Some(0)
                    } else {
                        None
                    }
                }
                CacheSharing::Private => Some(
                    all.iter()
                        .position(|one| one.users == 0)
                        .unwrap_or(all.len()),
                ),
            };
            let Some(index) = index else {
                known = self
                    .released
                    .wait(known)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if index == all.len() {
                all.push(Instance {
                    path: None,
                    users: 0,
                });
            }
            all[index].users += 1;
            let path = all[index].path.clone();
            if path.is_none() {
                known.count += 1;
            }
            return (
                CacheUse {
                    caches: self,
                    id: mount.id.clone(),
                    index,
                },
                path,
                number,
            );
        }
    }
}

impl Drop for CacheUse<'_> {
    fn drop(&mut self) {
        let mut known = self.caches.known();
        if let Some(instance) = known
            .by_id
            .get_mut(&self.id)
            .and_then(|all| all.get_mut(self.index))
        {
            instance.users -= 1;
        }
        self.caches.released.notify_all();
    }
}

/// Makes a new cache's directory: empty with the mode and owner asked for, or a stack on what it is to hold at first.
fn make(agent: &Agent, mount: &CacheMount, number: usize) -> Result<PathBuf, Failure> {
    let scratch = agent.scratch()?;
    let folder = scratch.cache(number);
    let what = || format!("cannot make cache {}", mount.id);
    let Some(base) = &mount.base else {
        create_folder(&folder).or_fail(Stage::Mount, what)?;
        std::os::unix::fs::chown(&folder, Some(mount.uid), Some(mount.gid))
            .or_fail(Stage::Mount, what)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(mount.mode & 0o7777))
            .or_fail(Stage::Mount, what)?;
        return Ok(folder);
    };
    let lowers = lower_paths(agent, &base.lowers)?;
    let (changes, work, merged) = (
        folder.join("upper"),
        folder.join("work"),
        folder.join("merged"),
    );
    make_upper(&changes, &work, lowers.last().map(PathBuf::as_path)).or_fail(Stage::Mount, what)?;
    create_folder(&merged).or_fail(Stage::Mount, what)?;
    let mut stack: Vec<PathBuf> = scratch.empty().into();
    stack.extend(lowers);
    let stacked = overlay::stack(
        &stack,
        Some(&Upper {
            changes: &changes,
            work: &work,
        }),
        Devices::Inert,
    )
    .or_fail(Stage::Mount, what)?;
    move_mount(
        &stacked,
        "",
        CWD,
        &merged,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .or_fail(Stage::Mount, what)?;
    Ok(merged)
}
