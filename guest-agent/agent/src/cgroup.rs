//! Control groups: one for each run, with its limits and Docker's device rules.
//!
//! ```text
//! <root>/cgroup ── sandbox (device rules) ── <run>
//!               └─ insecure               ── <run>
//! ```

use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use kiln_protocol::{Failure, Limits, RunId, Security, Stage};
use rustix::mount::{MountFlags, mount};

use crate::connection::console;
use crate::failure::{OrFail, failure};
use crate::sys;

/// The tree of control groups.
pub(crate) struct Cgroups {
    /// None if the kernel has none.
    root: Option<PathBuf>,
    device_rules: bool,
}

/// The control group of a run; removed when dropped, after its processes are gone.
pub(crate) struct RunCgroup {
    path: PathBuf,
    folder: File,
}

impl Cgroups {
    /// Mounts the tree below `root` and sets up the two branches.
    pub fn mount(root: &Path) -> Self {
        let place = root.join("cgroup");
        let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        let mounted = fs::create_dir_all(&place)
            .and_then(|()| mount("cgroup", &place, "cgroup2", quiet, None).map_err(Into::into))
            .and_then(|()| set_up(&place));
        match mounted {
            Ok((place, device_rules)) => Self {
                root: Some(place),
                device_rules,
            },
            Err(error) => {
                console(&format!("cannot set up control groups: {error}"));
                Self {
                    root: None,
                    device_rules: false,
                }
            }
        }
    }

    /// Whether a sandboxed run is kept from devices wherever their nodes are.
    pub fn rule_devices(&self) -> bool {
        self.device_rules
    }

    /// Makes the control group of a run. Without control groups, only limits that were asked for are an error.
    pub fn create(
        &self,
        run: RunId,
        security: Security,
        limits: &Limits,
    ) -> Result<Option<RunCgroup>, Failure> {
        let Some(root) = &self.root else {
            if limits.memory.is_some() || limits.pids.is_some() {
                return Err(failure(
                    Stage::Cgroup,
                    "the guest's kernel has no control groups to set limits with",
                ));
            }
            return Ok(None);
        };
        let path = root.join(branch(security)).join(run.to_string());
        let what = || "cannot make the run's control group".into();
        fs::create_dir(&path).or_fail(Stage::Cgroup, what)?;
        let folder = File::open(&path).or_fail(Stage::Cgroup, what)?;
        let cgroup = RunCgroup { path, folder };
        for (file, limit) in [
            ("memory.max", limits.memory),
            ("pids.max", limits.pids.map(u64::from)),
        ] {
            if let Some(limit) = limit {
                fs::write(cgroup.path.join(file), limit.to_string())
                    .or_fail(Stage::Cgroup, || format!("cannot set {file} to {limit}"))?;
            }
        }
        Ok(Some(cgroup))
    }
}

fn branch(security: Security) -> &'static str {
    match security {
        Security::Sandbox => "sandbox",
        Security::Insecure => "insecure",
    }
}

/// Makes the branches; gives the root of them, and whether devices are ruled.
fn set_up(place: &Path) -> std::io::Result<(PathBuf, bool)> {
    // Outside of a VM the tree is the machine's: keep to a folder of this process.
    let place = if rustix::process::getpid() == rustix::process::Pid::INIT {
        place.to_owned()
    } else {
        let own = place.join(format!("kiln-agent-{}", std::process::id()));
        fs::create_dir(&own)?;
        own
    };
    for security in [Security::Sandbox, Security::Insecure] {
        fs::create_dir_all(place.join(branch(security)))?;
    }
    for controller in ["+memory", "+pids", "+cpu"] {
        // A controller that the kernel lacks is missed when a limit needs it.
        let _ = fs::write(place.join("cgroup.subtree_control"), controller);
        for security in [Security::Sandbox, Security::Insecure] {
            let _ = fs::write(
                place.join(branch(security)).join("cgroup.subtree_control"),
                controller,
            );
        }
    }
    let sandbox = File::open(place.join(branch(Security::Sandbox)))?;
    let ruled = sys::load_device_filter(sandbox.as_fd());
    if let Err(error) = &ruled {
        console(&format!("devices are held by mount flags alone: {error}"));
    }
    Ok((place, ruled.is_ok()))
}

impl RunCgroup {
    /// The folder, for a clone into it.
    pub fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

impl Drop for RunCgroup {
    fn drop(&mut self) {
        // Whatever is left in it is killed first; both fail only if there is nothing to do.
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
        let _ = fs::remove_dir(&self.path);
    }
}
