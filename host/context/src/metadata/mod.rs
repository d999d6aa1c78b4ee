//! What the operating system says of files: the only place of this crate that differs by system.
//!
//! Folders are opened by their path below the context, their entries are asked for relative to the open folder, and
//! nothing is followed. Systems without Unix modes get 0755 for everything, as Docker's clients send.

#[cfg(not(unix))]
mod portable;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use portable as system;
#[cfg(unix)]
use unix as system;

pub(crate) use system::{Folder, HAS_INODES, capability, facts_of_open, open_file};

/// A point in time of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub(crate) struct Time {
    pub seconds: i64,
    pub nanos: u32,
}

impl Time {
    /// Now, by the clock that local file systems use.
    pub fn now() -> Time {
        let elapsed = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Time {
            seconds: elapsed.as_secs() as i64,
            nanos: elapsed.subsec_nanos(),
        }
    }
}

/// What must stay the same for a file to be taken as unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Identity {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    pub mtime: Time,
    pub ctime: Time,
}

/// Whether two looks saw the same file. Where there are no inodes, size and times have to do.
pub(crate) fn same_file(a: &Identity, b: &Identity) -> bool {
    let inode = !HAS_INODES || (a.device, a.inode) == (b.device, b.inode);
    inode && (a.size, a.mtime, a.ctime) == (b.size, b.mtime, b.ctime)
}

/// What a name in a folder stands for.
#[cfg_attr(not(unix), allow(dead_code, reason = "only Unix has them all"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    File,
    Dir,
    Symlink,
    Fifo,
    Socket,
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
}

/// The metadata of one entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub kind: Type,
    pub mode: u32,
    pub links: u64,
    pub identity: Identity,
}

/// A name in a folder, and whether it is a folder itself where that is known without asking.
#[derive(Debug)]
pub(crate) struct Listed {
    pub name: Vec<u8>,
    pub is_dir: Option<bool>,
}
