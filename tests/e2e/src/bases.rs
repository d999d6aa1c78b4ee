//! Base root file systems, made once below `target/e2e` from Debian's packages.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::project_dir;

/// One process makes a base at a time; other processes rename theirs over it, which changes nothing.
static MAKING: Mutex<()> = Mutex::new(());

/// Folders of the small base.
const BUSYBOX_FOLDERS: &[&str] = &[
    "bin", "dev", "etc", "home", "proc", "root", "sbin", "sys", "tmp", "usr/bin", "usr/sbin",
    "var/tmp",
];

/// A root file system with nothing but Debian's static busybox.
///
/// # Panics
/// When `busybox-static` is not installed.
#[must_use]
pub fn busybox_rootfs() -> PathBuf {
    base("busybox.tar", |work, tar| {
        let root = work.join("root");
        for folder in BUSYBOX_FOLDERS {
            std::fs::create_dir_all(root.join(folder)).expect("folder");
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n";
        std::fs::write(root.join("etc/passwd"), passwd).expect("passwd");
        let group = "root:x:0:\nwww-data:x:33:\nusers:x:100:www-data\n";
        std::fs::write(root.join("etc/group"), group).expect("group");
        let busybox = ["/bin/busybox", "/usr/bin/busybox"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .expect("busybox-static is installed");
        std::fs::copy(busybox, root.join("bin/busybox")).expect("busybox");
        run(Command::new("chroot")
            .arg(&root)
            .args(["/bin/busybox", "--install", "-s", "/bin"]));
        run(Command::new("chmod").arg("1777").arg(root.join("tmp")));
        pack(&root, tar);
    })
}

/// A minimal Debian made by debootstrap.
///
/// # Panics
/// When debootstrap fails.
#[must_use]
pub fn debian_rootfs() -> PathBuf {
    base("debian.tar", |work, tar| {
        let root = work.join("root");
        run(Command::new("debootstrap")
            .args(["--variant=minbase", "bookworm"])
            .arg(&root));
        let _ = std::fs::remove_dir_all(root.join("var/cache/apt/archives"));
        // Some builders leave one behind where there is none.
        std::fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n").expect("hosts");
        pack(&root, tar);
    })
}

/// Makes `name` with `make` unless it is there.
pub(crate) fn base(name: &str, make: impl FnOnce(&Path, &Path)) -> PathBuf {
    let _one = MAKING
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let folder = project_dir().join("target/e2e");
    let tar = folder.join(name);
    if !tar.exists() {
        std::fs::create_dir_all(&folder).expect("folder");
        let work = tempfile::TempDir::with_prefix_in("base-", &folder).expect("temporary folder");
        let staged = work.path().join("out.tar");
        make(work.path(), &staged);
        std::fs::rename(&staged, &tar).expect("rename");
    }
    tar
}

pub(crate) fn pack(root: &Path, tar: &Path) {
    run(Command::new("tar")
        .args([
            "--numeric-owner",
            "--sort=name",
            "--xattrs",
            "--mtime=@1700000000",
            "-cf",
        ])
        .arg(tar)
        .arg("-C")
        .arg(root)
        .args([
            "--exclude=./dev/*",
            "--exclude=./proc/*",
            "--exclude=./sys/*",
            ".",
        ]));
}

/// Runs a program that must succeed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
