//! What kind of file system a folder is on, as far as programs that keep data there must care.
//!
//! Names are those that the system itself uses; what they mean is the same table everywhere.

use std::io;
use std::path::Path;

/// A file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// Its name (`ext4`, `apfs`, `nfs`), or `unknown`.
    pub name: String,
    /// What it is good for.
    pub kind: Kind,
}

/// What a file system is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Data may be kept there.
    Local,
    /// On another machine: slow for many small files, and locks may not hold.
    Network,
    /// Gone with the next start of the machine, and taking its memory.
    Memory,
    /// No holes, no large files, or no locks.
    Limited,
    /// A program serves it; how well is not known.
    UserSpace,
}

/// Looks at the file system that holds `path`; none where the system does not tell.
///
/// # Errors
/// When there is no such path.
pub fn of(path: &Path) -> io::Result<Option<FileSystem>> {
    #[cfg(target_os = "linux")]
    {
        let status = rustix::fs::statfs(path)?;
        // The field's type differs by processor; the numbers have 32 bits.
        Ok(Some(named(name_of_magic(status.f_type as u32))))
    }
    #[cfg(target_os = "macos")]
    {
        let status = rustix::fs::statfs(path)?;
        let name: Vec<u8> = status
            .f_fstypename
            .iter()
            .map(|byte| *byte as u8)
            .take_while(|byte| *byte != 0)
            .collect();
        Ok(Some(named(&String::from_utf8_lossy(&name))))
    }
    #[cfg(windows)]
    {
        std::fs::metadata(path)?;
        let full = std::path::absolute(path)?;
        let remote = crate::windows::is_remote(&full);
        Ok(remote.map(|remote| {
            named(if remote {
                "network drive"
            } else {
                "local drive"
            })
        }))
    }
    #[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
    {
        let _ = path;
        Ok(None)
    }
}

fn named(name: &str) -> FileSystem {
    FileSystem {
        name: name.to_owned(),
        kind: kind(name),
    }
}

fn kind(name: &str) -> Kind {
    match name {
        "nfs" | "smb" | "smbfs" | "cifs" | "9p" | "afs" | "afpfs" | "ceph" | "webdav"
        | "network drive" => Kind::Network,
        "tmpfs" | "ramfs" => Kind::Memory,
        "msdos" | "vfat" | "exfat" => Kind::Limited,
        "fuse" | "macfuse" | "osxfuse" => Kind::UserSpace,
        _ => Kind::Local,
    }
}

/// The numbers in Linux's `statfs`.
#[cfg_attr(
    not(any(test, target_os = "linux")),
    allow(dead_code, reason = "Linux")
)]
fn name_of_magic(magic: u32) -> &'static str {
    match magic {
        0xef53 => "ext4",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x2fc1_2fc1 => "zfs",
        0xf2f5_2010 => "f2fs",
        0xca45_1a4e => "bcachefs",
        0x794c_7630 => "overlay",
        0x6969 => "nfs",
        0x517b => "smb",
        0xff53_4d42 | 0xfe53_4d42 => "cifs",
        0x0102_1997 => "9p",
        0x5346_414f => "afs",
        0x00c3_6400 => "ceph",
        0x0102_1994 => "tmpfs",
        0x8584_58f6 => "ramfs",
        0x4d44 => "vfat",
        0x2011_bab0 => "exfat",
        0x6573_5546 => "fuse",
        0x7366_746e => "ntfs3",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_elsewhere_or_passing_is_told_from_disks() {
        for (magic, name, wanted) in [
            (0xef53, "ext4", Kind::Local),
            (0x6969, "nfs", Kind::Network),
            // Where WSL shows the disks of Windows.
            (0x0102_1997, "9p", Kind::Network),
            (0x0102_1994, "tmpfs", Kind::Memory),
            (0x4d44, "vfat", Kind::Limited),
            (0x6573_5546, "fuse", Kind::UserSpace),
            (1, "unknown", Kind::Local),
        ] {
            assert_eq!((name_of_magic(magic), kind(name)), (name, wanted));
        }
        assert_eq!(kind("apfs"), Kind::Local);
        assert_eq!(kind("smbfs"), Kind::Network);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_tells() {
        let found = of(Path::new("/dev/shm")).unwrap().unwrap();
        assert_eq!(found.kind, Kind::Memory);
        assert!(of(Path::new("/nowhere/at/all")).is_err());
    }
}
