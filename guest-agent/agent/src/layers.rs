//! Layers of the share, each mounted once, on first use.
//!
//! A layer is an EROFS index whose data lie in the layer's tar, both files of the share: the kernel reads them as they
//! are, without a loop device.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use kiln_protocol::{Failure, SHARE_LAYERS, Stage};
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, move_mount,
};

use crate::failure::{OrFail, failure};
use crate::settings::{Settings, Share};
use crate::share_port;

/// Longest name of a layer: a digest and its algorithm fit.
const MAX_NAME: usize = 100;

/// Bytes read ahead in the share, in KiB. Cold reads of 20,000 small files and a large one in a layer took 5.0 s with the
/// kernel's 128, 2.1 s with 1024 and 3.0 s with 4096, under emulation.
const READ_AHEAD_KIB: u32 = 1024;

#[derive(Default)]
struct Mounted {
    /// Where the share is; known once it was needed.
    share: Option<PathBuf>,
    by_name: HashMap<String, PathBuf>,
}

/// All layers that were mounted.
pub(crate) struct Layers {
    source: Share,
    token: String,
    root: PathBuf,
    mounted: Mutex<Mounted>,
}

impl Layers {
    pub fn new(settings: &Settings) -> Self {
        Self {
            source: settings.share.clone(),
            token: settings.token.clone(),
            root: settings.root.clone(),
            mounted: Mutex::default(),
        }
    }

    /// Where the layer is mounted.
    pub fn path(&self, name: &str) -> Result<PathBuf, Failure> {
        check_name(name)?;
        let mut mounted = self.mounted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = mounted.by_name.get(name) {
            return Ok(path.clone());
        }
        let share = match &mounted.share {
            Some(share) => share.clone(),
            None => mounted.share.insert(self.mount_share()?).clone(),
        };
        // Numbered, so that a path is short however many layers a root has.
        let place = self
            .root
            .join("layers")
            .join(mounted.by_name.len().to_string());
        let files = share.join(SHARE_LAYERS).join(name);
        mount_layer(&files, &place)
            .or_fail(Stage::Layer, || format!("cannot mount layer {name}"))?;
        mounted.by_name.insert(name.into(), place.clone());
        Ok(place)
    }

    /// Mounts the share ahead of need; a failure is told when it is needed.
    pub fn prepare(&self) {
        let mut mounted = self.mounted.lock().unwrap_or_else(PoisonError::into_inner);
        if mounted.share.is_none() {
            mounted.share = self.mount_share().ok();
        }
    }

    fn mount_share(&self) -> Result<PathBuf, Failure> {
        let place = match &self.source {
            Share::Folder(path) => return Ok(path.clone()),
            Share::Tag(_) | Share::Serial => self.root.join("share"),
        };
        let what = || "cannot mount the share".to_owned();
        std::fs::create_dir_all(&place).or_fail(Stage::Storage, what)?;
        let flags =
            MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME;
        match &self.source {
            Share::Tag(tag) => mount(tag.as_str(), &place, "virtiofs", flags, None)
                .or_fail(Stage::Storage, what)?,
            _ => share_port::mount_at(&place, flags, &self.token).or_fail(Stage::Storage, what)?,
        }
        read_further_ahead(&place);
        Ok(place)
    }
}

/// Lets the kernel read more of the share at once: every request is a trip to the host and back. A share that is read
/// with the kernel's own setting is slower and nothing else, so failures are passed over.
fn read_further_ahead(share: &Path) {
    if let Ok(stat) = rustix::fs::stat(share) {
        let (major, minor) = (
            rustix::fs::major(stat.st_dev),
            rustix::fs::minor(stat.st_dev),
        );
        let setting = format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb");
        let _ = std::fs::write(setting, READ_AHEAD_KIB.to_string());
    }
}

fn check_name(name: &str) -> Result<(), Failure> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty()
        || name.len() > MAX_NAME
        || name.starts_with('.')
        || !name.bytes().all(allowed)
    {
        return Err(failure(Stage::Request, "malformed name of a layer"));
    }
    Ok(())
}

fn mount_layer(files: &Path, place: &Path) -> Result<(), Errno> {
    std::fs::create_dir_all(place)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let with = |ending: &str| {
        let mut path = files.as_os_str().to_owned();
        path.push(ending);
        PathBuf::from(path)
    };
    let (index, tar) = (with(".erofs"), with(".tar"));
    let context = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", &index)?;
    fsconfig_set_string(&context, "device", &tar)?;
    fsconfig_set_flag(&context, "ro")?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV;
    let mounted = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    move_mount(
        &mounted,
        "",
        CWD,
        place,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_lead_out_of_the_share_are_refused() {
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "../x",
            ".hidden",
            "a\0",
            "ü",
            &"a".repeat(101),
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for name in ["sha256-abc", "a.b_c", &"a".repeat(100)] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
    }
}
