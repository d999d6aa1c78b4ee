//! The scratch disk: what runs change, and caches. Everything on it ends with the VM.
//!
//! ```text
//! <root>/scratch/runs/<run>/upper      what the run changed: an overlay's upper directory
//!                          /work       the overlay's own
//!                          /bind-<n>/  upper and work of writable bind mounts, dropped after the run
//!                /caches/<n>/          a cache mount, or upper and work of one with a base
//!                /stubs                mount points that every root has; the lowest directory of every stack
//!                /empty/{0,1}          empty directories
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use kiln_protocol::{Failure, RunId, Stage};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

use crate::failure::OrFail;
use crate::settings::Settings;

/// Directories that every root needs to have something mounted on.
const STUB_DIRECTORIES: [&str; 4] = ["dev", "etc", "proc", "sys"];
/// Files of the same kind.
const STUB_FILES: [&str; 2] = ["etc/hosts", "etc/resolv.conf"];

/// The mounted scratch disk.
pub(crate) struct Scratch {
    place: PathBuf,
}

/// Folders of one run.
pub(crate) struct RunFolder {
    pub path: PathBuf,
}

impl RunFolder {
    pub fn upper(&self) -> PathBuf {
        self.path.join("upper")
    }

    pub fn work(&self) -> PathBuf {
        self.path.join("work")
    }
}

impl Scratch {
    /// Mounts the disk, or memory if there is none.
    pub fn mount(settings: &Settings) -> Result<Self, Failure> {
        let place = settings.root.join("scratch");
        let what = || "cannot mount the scratch disk".to_owned();
        fs::create_dir_all(&place).or_fail(Stage::Storage, what)?;
        mount_disk(&settings.scratch, &place).or_fail(Stage::Storage, what)?;
        let scratch = Self { place };
        scratch
            .set_up()
            .or_fail(Stage::Storage, || "cannot set up the scratch disk".into())?;
        Ok(scratch)
    }

    fn set_up(&self) -> io::Result<()> {
        for folder in ["runs", "caches", "stubs", "empty/0", "empty/1"] {
            create_folder(&self.place.join(folder))?;
        }
        for folder in STUB_DIRECTORIES {
            create_folder(&self.stubs().join(folder))?;
        }
        for file in STUB_FILES {
            fs::write(self.stubs().join(file), "")?;
        }
        Ok(())
    }

    /// Lowest directory of every root: mount points that an image may lack are seen, and are in no one's changes.
    pub fn stubs(&self) -> PathBuf {
        self.place.join("stubs")
    }

    /// Empty directories to stand on: two, as a stack that cannot be written has at least two.
    pub fn empty(&self) -> [PathBuf; 2] {
        ["0", "1"].map(|name| self.place.join("empty").join(name))
    }

    /// Folder of a cache.
    pub fn cache(&self, number: usize) -> PathBuf {
        self.place.join("caches").join(number.to_string())
    }

    /// Folder of a run, whether or not it exists.
    pub fn run(&self, run: RunId) -> RunFolder {
        RunFolder {
            path: self.place.join("runs").join(run.to_string()),
        }
    }

    /// Makes the folders of a new run. The root of its changes looks like the root below, whose place it takes.
    pub fn create_run(&self, run: RunId, below: Option<&Path>) -> Result<RunFolder, Failure> {
        let folder = self.run(run);
        let what = || format!("cannot make the folders of run {run}");
        fs::create_dir(&folder.path).or_fail(Stage::Storage, what)?;
        make_upper(&folder.upper(), &folder.work(), below).or_fail(Stage::Storage, what)?;
        Ok(folder)
    }
}

/// Makes an upper directory that looks like `below`, and a work directory.
pub(crate) fn make_upper(upper: &Path, work: &Path, below: Option<&Path>) -> io::Result<()> {
    create_folder(upper)?;
    create_folder(work)?;
    if let Some(below) = below {
        let metadata = fs::metadata(below)?;
        if metadata.uid() != 0 || metadata.gid() != 0 {
            std::os::unix::fs::chown(upper, Some(metadata.uid()), Some(metadata.gid()))?;
        }
        let mode = metadata.permissions().mode() & 0o7777;
        if mode != 0o755 {
            fs::set_permissions(upper, fs::Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}

/// Makes a folder with mode 0755 whatever the umask.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

fn mount_disk(disk: &Path, place: &Path) -> Result<(), Errno> {
    let flags = MountFlags::NOATIME | MountFlags::NODEV;
    match mount(
        disk,
        place,
        "ext4",
        flags,
        Some(c"noauto_da_alloc,nobarrier,noinit_itable"),
    ) {
        Err(Errno::NOENT) => mount("tmpfs", place, "tmpfs", flags, Some(c"mode=755,size=80%")),
        result => result,
    }
}
