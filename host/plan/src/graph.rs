//! The build graph: what the engine walks.
//!
//! All text in it is final: variables are expanded, paths absolute, shells applied. Stages stand in an order in
//! which each one's base and sources come before it, and none is there that the target does not need.

use std::collections::BTreeMap;

use kiln_dockerfile::{Span, lint::Warning};
use kiln_oci::{ContainerConfig, ImageConfig, Platform};

/// What the user asked for, beside the Dockerfile.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    /// `--build-arg`
    pub build_args: BTreeMap<String, String>,
    /// `--target`: a stage by name or number.
    pub target: Option<String>,
    /// `--platform`: what the image is for.
    pub platform: Platform,
    /// What the builder itself is: BUILDPLATFORM and friends.
    pub build_platform: Platform,
    /// `--label`: set on the result, over those of the Dockerfile.
    pub labels: BTreeMap<String, String>,
    /// `--build-context`: names that FROM and `--from` find before stages and images.
    pub named_contexts: BTreeMap<String, NamedContext>,
}

/// What a `--build-context` name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// A directory on the host.
    Directory,
    /// `docker-image://…`: this image takes the name's place.
    Image(String),
}

/// Supplies the configs of base images.
pub trait BaseResolver {
    /// The config of the image that `name` refers to, that for `platform` where there are several; `None` when there
    /// is no such image.
    ///
    /// # Errors
    /// Whatever kept the engine from answering.
    fn image(&self, name: &str, platform: &Platform) -> Result<Option<ImageConfig>, ResolveError>;
}

/// Why a base image's config could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot read image `{name}`")]
pub struct ResolveError {
    /// The image.
    pub name: String,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The plan of one build.
#[derive(Debug, Clone)]
pub struct BuildGraph {
    /// In build order; unused ones are dropped.
    pub stages: Vec<Stage>,
    /// The result: an index into `stages`.
    pub target: usize,
    /// Lint findings and unused build arguments.
    pub warnings: Vec<Warning>,
}

/// One stage.
#[derive(Debug, Clone)]
pub struct Stage {
    /// `AS name`, in lower case.
    pub name: Option<String>,
    /// Number in the Dockerfile, from zero.
    pub ordinal: usize,
    /// What it starts from.
    pub base: Base,
    /// The FROM instruction.
    pub from: SourceText,
    /// Everything after it that is history, in order; ONBUILD triggers of the base come first.
    pub steps: Vec<Step>,
    /// The image config's container part once all steps are done.
    pub config: ContainerConfig,
    /// MAINTAINER
    pub author: Option<String>,
    /// What it is built for.
    pub platform: Platform,
}

/// What a stage starts from.
#[derive(Debug, Clone)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An image from the store or a registry.
    Image {
        /// As in FROM, expanded; a named context's image when one took its place.
        name: String,
        /// Its config.
        config: ImageConfig,
    },
    /// Another stage, by index into [`BuildGraph::stages`].
    Stage(usize),
    /// A directory given with `--build-context` under this name is the root.
    NamedContext(String),
}

/// An instruction as it stands in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// Where; that of FROM for a trigger of an image.
    pub span: Span,
    /// On one line, as progress shows it.
    pub text: String,
    /// It is an ONBUILD trigger of the base.
    pub on_build: bool,
}

/// One instruction after FROM.
#[derive(Debug, Clone)]
pub struct Step {
    /// Where it comes from.
    pub source: SourceText,
    /// What to do.
    pub kind: StepKind,
    /// The history text.
    pub created_by: String,
    /// No layer belongs to it in the history.
    pub empty_layer: bool,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum StepKind {
    /// Only the config changes.
    Metadata,
    /// A directory is made where there is none.
    Workdir(WorkdirStep),
    /// A command is run.
    Run(RunStep),
    /// Files are added.
    Copy(CopyStep),
}

/// `WORKDIR`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkdirStep {
    /// Absolute and clean; never `/`, which makes no layer.
    pub path: String,
    /// USER at this point: who owns a new directory.
    pub user: String,
}

/// `RUN`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStep {
    /// The whole command, shell applied.
    pub argv: Vec<String>,
    /// `NAME=value`: the config's and the arguments in scope.
    pub env: Vec<String>,
    /// More of them that do not take part in the cache key: proxy settings.
    pub uncached_env: Vec<String>,
    /// USER, empty for root.
    pub user: String,
    /// Absolute; `/` when nothing set it.
    pub workdir: String,
    /// `--mount`, in order, targets absolute.
    pub mounts: Vec<Mount>,
    /// `--network`
    pub network: Network,
    /// `--security`
    pub security: Security,
    /// Files to be there under `/dev/pipes/`, read-only, executable: a heredoc that starts with `#!`.
    pub files: Vec<InlineFile>,
}

/// A small file made from the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineFile {
    /// Absolute path.
    pub path: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// `--network`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Network {
    /// As the build's policy says.
    #[default]
    Default,
    /// No network.
    None,
    /// The host's; an entitlement the engine decides on.
    Host,
}

/// `--security`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Security {
    /// Docker's default confinement.
    #[default]
    Sandbox,
    /// Root of the VM.
    Insecure,
}

/// `RUN --mount`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Absolute; empty only for a secret that is a variable and nothing else.
    pub target: String,
    /// Writes are refused.
    pub read_only: bool,
    /// The flag.
    pub span: Span,
}

/// The kinds of mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// Files of the context, a stage or an image.
    Bind {
        /// Whose.
        from: CopyFrom,
        /// Absolute path inside of it.
        source: String,
    },
    /// A directory kept between builds.
    Cache {
        /// Which one.
        id: String,
        /// Initial content.
        from: Option<CopyFrom>,
        /// Absolute path inside of `from`.
        source: String,
        /// Who may use it at once.
        sharing: kiln_dockerfile::mount::Sharing,
        /// Mode of a new directory, 0755 when not given.
        mode: u32,
        /// Owner of a new directory.
        uid: u32,
        /// Group of a new directory.
        gid: u32,
    },
    /// Memory.
    Tmpfs {
        /// Largest size in bytes.
        size: Option<u64>,
    },
    /// A secret.
    Secret {
        /// Which one.
        id: String,
        /// Fail when it is not given.
        required: bool,
        /// The variable it goes to.
        env: Option<String>,
        /// Mode.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// The ssh agent's socket.
    Ssh {
        /// Which one.
        id: String,
        /// Fail when it is not given.
        required: bool,
        /// Mode.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

/// `COPY` or `ADD`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyStep {
    /// True for `ADD`.
    pub add: bool,
    /// At least one.
    pub sources: Vec<CopySource>,
    /// Where `Path` sources are found.
    pub from: CopyFrom,
    /// Absolute and clean; a trailing slash is kept and means a directory.
    pub dest: String,
    /// `--chown`, expanded.
    pub chown: Option<String>,
    /// `--chmod`, expanded; octal or symbolic.
    pub chmod: Option<String>,
    /// `--link`
    pub link: bool,
    /// `--parents`
    pub parents: bool,
    /// `--exclude`, expanded.
    pub excludes: Vec<String>,
    /// `--checksum`
    pub checksum: Option<String>,
    /// `--unpack`
    pub unpack: Option<bool>,
    /// `--keep-git-dir`
    pub keep_git_dir: bool,
}

/// One source with its place for error excerpts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopySource {
    /// What it is.
    pub kind: CopySourceKind,
    /// Where it is written.
    pub span: Span,
}

/// The kinds of sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySourceKind {
    /// A path or pattern, expanded, as written otherwise (it may be absolute or start with `./`).
    Path(String),
    /// A file made from the Dockerfile.
    Heredoc {
        /// Its name.
        name: String,
        /// Its bytes, expanded where that applies.
        content: Vec<u8>,
    },
    /// `http://` or `https://` (ADD only).
    Url(String),
    /// A git repository (ADD only).
    Git(String),
}

/// Whose files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyFrom {
    /// The build context.
    Context,
    /// A stage, by index into [`BuildGraph::stages`].
    Stage(usize),
    /// An image.
    Image(String),
    /// Nothing at all: `--from=scratch`.
    Scratch,
    /// A directory given with `--build-context`.
    NamedContext(String),
}
