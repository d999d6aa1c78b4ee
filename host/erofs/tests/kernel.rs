//! The kernel reads an index as the reader here does, and overlayfs takes whiteouts and opaque directories from it.
//!
//! Needs Linux with file-backed EROFS (6.12) and root; says so and passes where these are missing.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests are not seen as tests"
)]

mod support;

use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use kiln_layer::{Entry, Kind};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use support::{build, dir, everything, file};

/// A mount that goes with its test.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

fn mount_at(target: &Path, source: &Path, kind: &str, options: &str) -> Option<Mounted> {
    fs::create_dir(target).unwrap();
    let options = CString::new(options).unwrap();
    match mount(source, target, kind, MountFlags::RDONLY, options.as_c_str()) {
        Ok(()) => Some(Mounted(target.to_owned())),
        Err(error) => {
            println!("skipped: {kind} does not mount here: {error}");
            None
        }
    }
}

fn mount_layer(dir: &Path, name: &str, entries: &[(Entry, Vec<u8>)]) -> Option<Mounted> {
    let layer = build(entries);
    let (tar, index) = (
        dir.join(format!("{name}.tar")),
        dir.join(format!("{name}.erofs")),
    );
    fs::write(&tar, layer.tar).unwrap();
    fs::write(&index, layer.index).unwrap();
    mount_at(
        &dir.join(name),
        &index,
        "erofs",
        &format!("device={}", tar.display()),
    )
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Type and permission bits that the kernel must show.
fn mode_of(entry: &Entry) -> u32 {
    let type_bits = match entry.kind {
        Kind::File { .. } | Kind::Hardlink { .. } => 0o100_000,
        Kind::Dir => 0o040_000,
        Kind::Symlink { .. } => 0o120_000,
        Kind::CharDevice { .. } => 0o020_000,
        Kind::BlockDevice { .. } => 0o060_000,
        Kind::Fifo => 0o010_000,
    };
    type_bits | entry.mode
}

#[test]
fn the_kernel_shows_every_entry_as_it_was_written() {
    let temp = tempfile::tempdir().unwrap();
    let entries = everything();
    let Some(mounted) = mount_layer(temp.path(), "layer", &entries) else {
        return;
    };
    for (entry, data) in &entries {
        let path = mounted.0.join(OsStr::from_bytes(&entry.path));
        if path.file_name().unwrap().as_bytes().starts_with(b".wh.") {
            continue;
        }
        let found = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert_eq!(found.mode(), mode_of(entry), "{path:?}");
        assert_eq!(
            (found.uid(), found.gid(), found.mtime()),
            (entry.uid, entry.gid, entry.mtime),
            "{path:?}"
        );
        match &entry.kind {
            Kind::File { .. } => assert!(fs::read(&path).unwrap() == *data, "{path:?}"),
            Kind::Symlink { target } => {
                assert_eq!(
                    fs::read_link(&path).unwrap().as_os_str().as_bytes(),
                    target,
                    "{path:?}"
                );
            }
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
                assert_eq!(
                    found.rdev(),
                    rustix::fs::makedev(*major, *minor),
                    "{path:?}"
                );
            }
            Kind::Hardlink { target } => {
                let first = fs::metadata(mounted.0.join(OsStr::from_bytes(target))).unwrap();
                assert_eq!((found.ino(), found.nlink()), (first.ino(), 2), "{path:?}");
            }
            Kind::Dir | Kind::Fifo => {}
        }
        check_xattrs(&path, entry);
    }
}

fn check_xattrs(path: &Path, entry: &Entry) {
    for (name, value) in &entry.xattrs {
        let mut found = vec![0; 70_000];
        let len = rustix::fs::lgetxattr(path, name.as_slice(), &mut found[..]);
        match name.starts_with(b"trusted.overlay.") {
            true => assert!(len.is_err(), "{path:?}"),
            false => assert_eq!(&found[..len.unwrap()], value, "{path:?}"),
        }
    }
}

#[test]
fn overlayfs_hides_what_a_layer_removes() {
    let temp = tempfile::tempdir().unwrap();
    let below = [
        dir("", 0o755),
        file("gone", "old"),
        file("kept", "old"),
        file("opaque/old", "old"),
        file("replaced/dir/old", "old"),
        file("files/old", "old"),
    ];
    let Some(lower) = mount_layer(temp.path(), "lower", &below) else {
        return;
    };
    let Some(upper) = mount_layer(temp.path(), "upper", &everything()) else {
        return;
    };
    let stack = format!("lowerdir={}:{}", upper.0.display(), lower.0.display());
    let Some(merged) = mount_at(
        &temp.path().join("merged"),
        Path::new("overlay"),
        "overlay",
        &stack,
    ) else {
        return;
    };
    let root = &merged.0;
    assert!(!names_of_root(root).contains(&b"gone".to_vec()) && !root.join("gone").exists());
    assert_eq!(fs::read(root.join("kept")).unwrap(), b"old");
    assert_eq!(names(&root.join("opaque")), ["new"]);
    assert_eq!(names(&root.join("replaced/dir")), ["new"]);
    assert!(names(&root.join("files")).contains(&"old".to_owned()));
    assert_eq!(fs::read(root.join("files/one")).unwrap(), b"1");
}

fn names_of_root(root: &Path) -> Vec<Vec<u8>> {
    fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().as_bytes().to_vec())
        .collect()
}
