//! What a build is asked to do, with everything from the command line and the environment already resolved.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kiln_oci::{ImageName, Platform};

use crate::http::HttpSettings;

/// One `kiln build`, complete: the engine reads no environment and no flags beside it.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The context folder; `None` when the build has none (a Dockerfile from stdin alone).
    pub context: Option<PathBuf>,
    /// The Dockerfile's text and the name that errors show for it.
    pub dockerfile: DockerfileSource,
    /// Names that the finished image gets.
    pub tags: Vec<ImageName>,
    /// `--build-arg`: name to value.
    pub build_args: BTreeMap<String, String>,
    /// `--label`, added to the image's labels after those of the Dockerfile.
    pub labels: BTreeMap<String, String>,
    /// `--target`: a stage's name or number.
    pub target: Option<String>,
    /// Platform of the image and of the guest.
    pub platform: Platform,
    /// `--secret`, by id.
    pub secrets: BTreeMap<String, Secret>,
    /// `--build-context`, by name.
    pub named_contexts: BTreeMap<String, NamedContext>,
    /// `--no-cache`: no step's earlier result is used, new results are still recorded.
    pub no_cache: bool,
    /// Time in seconds since 1970 written as the image's creation and as the newest time of a file
    /// (`SOURCE_DATE_EPOCH`).
    pub source_date_epoch: Option<i64>,
    /// `--add-host` entries for `/etc/hosts` of each RUN.
    pub extra_hosts: Vec<ExtraHost>,
    /// How files of ADD are fetched.
    pub http: HttpSettings,
}

/// The Dockerfile as it was read.
#[derive(Debug, Clone)]
pub struct DockerfileSource {
    /// The name shown in errors, as the user gave it.
    pub name: String,
    /// Its bytes; invalid UTF-8 is reported by the parser.
    pub bytes: Vec<u8>,
    /// Where it was read from, if a file: its own `.dockerignore` is looked for beside it.
    pub path: Option<PathBuf>,
}

/// One line of `--add-host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraHost {
    /// Host name.
    pub name: String,
    /// Its address, in text.
    pub address: String,
}

/// A secret's bytes. Never printed, never part of a cache key.
#[derive(Clone)]
pub struct Secret(pub Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// What `--build-context NAME=` names.
#[derive(Debug, Clone)]
pub enum NamedContext {
    /// A folder on the host.
    Folder(PathBuf),
    /// A local image (`docker-image://`).
    Image(String),
}

/// How a VM is to be made, should the build need one.
#[derive(Debug, Clone)]
pub struct VmSettings {
    /// Folders that may hold the VM image, most preferred first.
    pub image_dirs: Vec<PathBuf>,
    /// The program started as `PROGRAM vm-helper`.
    pub helper_exe: PathBuf,
    /// Guest memory in MiB.
    pub memory_mib: u32,
    /// Guest CPUs; `None` lets the back-end choose.
    pub cpus: Option<u32>,
    /// `--vmm`: a back-end's name; `None` probes.
    pub backend: Option<String>,
    /// Folders searched for the back-end's program before those where systems have it.
    pub program_dirs: Vec<PathBuf>,
}

/// Asks a running build to stop; cloned into the signal handler.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Requests the stop. The build returns `BuildError::Interrupted` once the RUN and the VM are gone.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether the stop was requested.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
