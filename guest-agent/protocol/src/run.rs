//! A RUN, complete: everything that the agent needs to know, computed by the host.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Payload;

/// Number of a run in this VM, chosen by the host; not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub u32);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One layer to stand on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LowerRef {
    /// `<name>.erofs` and `<name>.tar` in the share. At most 100 letters, digits, `-`, `_` and `.`, the first no dot.
    Share {
        /// The name, without its ending.
        name: String,
    },
    /// The changes of an earlier run of this VM.
    Upper {
        /// Which run's.
        run: RunId,
    },
}

/// A file or directory in a stack of layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeRef {
    /// The stack, bottom first; empty is an empty directory.
    pub lowers: Vec<LowerRef>,
    /// Path in it; symlinks are followed inside. Empty is its root.
    pub path: String,
}

/// What to run, on what, as whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// Number of this run; other than any before.
    pub run: RunId,
    /// The layers below, bottom first. Empty is an empty root.
    pub lowers: Vec<LowerRef>,
    /// The command. `argv[0]` without a slash is looked up in the `PATH` of `env`, inside the root.
    pub argv: Vec<String>,
    /// `NAME=value`. `HOME` is set by the agent from the user's entry if it is not here.
    pub env: Vec<String>,
    /// Secrets given as variables: name and value.
    #[serde(default)]
    pub secret_env: Vec<(String, Payload)>,
    /// Where the command starts; must exist. Empty is `/`.
    pub workdir: String,
    /// As USER has it: `name`, `id`, `name:group`, … ; empty is root.
    pub user: String,
    /// Host name inside; empty is `buildkitsandbox`.
    pub hostname: String,
    /// Further lines of `/etc/hosts`.
    #[serde(default)]
    pub extra_hosts: Vec<HostEntry>,
    /// What `/etc/resolv.conf` says.
    #[serde(default)]
    pub resolv_conf: String,
    /// Mounts of the RUN instruction, in its order.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// How far the command is held.
    #[serde(default)]
    pub security: Security,
    /// What network it has.
    #[serde(default)]
    pub network: Network,
    /// The root may not be written.
    #[serde(default)]
    pub read_only: bool,
    /// Bounds on what it uses.
    #[serde(default)]
    pub limits: Limits,
}

impl RunSpec {
    /// A run of `argv` on `lowers` as root with nothing else.
    #[must_use]
    pub fn new(run: RunId, lowers: Vec<LowerRef>, argv: Vec<String>) -> Self {
        Self {
            run,
            lowers,
            argv,
            env: Vec::new(),
            secret_env: Vec::new(),
            workdir: String::new(),
            user: String::new(),
            hostname: String::new(),
            extra_hosts: Vec::new(),
            resolv_conf: String::new(),
            mounts: Vec::new(),
            security: Security::default(),
            network: Network::default(),
            read_only: false,
            limits: Limits::default(),
        }
    }
}

/// A line of `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry {
    /// IPv4 or IPv6 address.
    pub address: String,
    /// Host name.
    pub name: String,
}

/// Something mounted for one RUN; it never gets into the layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where, as an absolute path inside. Made for the time of the run if it is missing.
    pub target: String,
    /// What.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountKind {
    /// A file or directory of some layers.
    Bind(BindMount),
    /// Memory, gone after the run.
    Tmpfs {
        /// Most bytes it takes; none is the kernel's own bound.
        size: Option<u64>,
    },
    /// A directory that later runs of this VM see again.
    Cache(CacheMount),
    /// A file with these contents: a secret, or the script of a heredoc.
    File(FileMount),
}

/// A file or directory of some layers, seen at another place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindMount {
    /// What is seen.
    pub tree: TreeRef,
    /// Whether it may be written; what is written is dropped after the run.
    pub writable: bool,
}

/// A directory that later runs of this VM see again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheMount {
    /// Which; bounded to 1024 bytes, otherwise free.
    pub id: String,
    /// Whether this run may not write it.
    pub read_only: bool,
    /// How runs that go on at once share it.
    pub sharing: CacheSharing,
    /// What it holds when it is new.
    pub base: Option<TreeRef>,
    /// Mode of its root when it is new.
    pub mode: u32,
    /// Owner of its root when it is new.
    pub uid: u32,
    /// Group of its root when it is new.
    pub gid: u32,
}

/// How runs that go on at once share a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheSharing {
    /// All write the same.
    #[default]
    Shared,
    /// Each has its own.
    Private,
    /// The second waits for the first.
    Locked,
}

/// A file with given contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMount {
    /// The contents.
    pub contents: Payload,
    /// Its mode.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// How far the command is held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// Docker's default capabilities, seccomp filter and masked paths.
    #[default]
    Sandbox,
    /// Root of the VM.
    Insecure,
}

/// What network the command has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Its own, with the loopback alone.
    #[default]
    None,
    /// The VM's.
    Guest,
}

/// Bounds on what a run uses; none is unbounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    #[serde(default)]
    pub memory: Option<u64>,
    /// Processes and threads.
    #[serde(default)]
    pub pids: Option<u32>,
    /// Bytes of `/dev/shm`; none is 64 MiB.
    #[serde(default)]
    pub shm: Option<u64>,
    /// Open files, soft and hard; none is Docker's 1024 and 524288.
    #[serde(default)]
    pub open_files: Option<u64>,
}
