//! How a build fails: what went wrong, where in the Dockerfile, and whose matter it is. What may help is for the
//! command line to say.

use std::ops::Range;
use std::path::PathBuf;

use kiln_oci::Platform;

/// Who can mend a failure; the command line makes its exit code of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The Dockerfile, the context or a command in it: exit code 1.
    Build,
    /// Flags or configuration: exit code 2.
    Usage,
    /// The machine: no hypervisor, disk, network, credentials: exit code 3.
    Host,
    /// The user stopped it: exit code 130.
    Interrupted,
}

/// A failed build.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct BuildError {
    /// What went wrong.
    #[source]
    pub cause: Cause,
    /// Bytes of the Dockerfile that are to blame.
    pub span: Option<Range<usize>>,
}

/// The reasons for which a build can fail.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The Dockerfile does not parse.
    #[error(transparent)]
    Parse(Box<kiln_dockerfile::ParseError>),
    /// The Dockerfile parses and does not make sense.
    #[error(transparent)]
    Plan(Box<kiln_plan::PlanError>),
    /// A RUN ended with something other than 0. The log has all of its output.
    #[error("process \"{command}\" did not complete successfully: {outcome}")]
    RunFailed {
        /// The command as it was run.
        command: String,
        /// Exit code or signal, in words.
        outcome: RunFailure,
        /// The last of its output.
        tail: Vec<u8>,
        /// Where all of its output is kept.
        log: Option<PathBuf>,
    },
    /// A COPY, ADD or WORKDIR cannot be done.
    #[error(transparent)]
    Copy(#[from] kiln_rootfs::CopyError),
    /// A source is there, and a rule keeps it out of the build context.
    #[error("`{path}` is not in the build context")]
    Ignored {
        /// The source as it was looked for, from the root.
        path: String,
        /// Name of the file with the rule.
        file: String,
        /// The rule.
        rule: kiln_context::RuleRef,
    },
    /// The project's settings cannot be used.
    #[error("the project's settings cannot be used")]
    Project(#[source] Box<ProjectError>),
    /// The context cannot be read.
    #[error(transparent)]
    Context(#[from] kiln_context::ContextError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] kiln_store::Error),
    /// The VM could not be started or died.
    #[error(transparent)]
    Vm(#[from] kiln_vmm::VmError),
    /// `--vmm` names nothing that this program has.
    #[error(transparent)]
    Backend(kiln_vmm::config::UnknownBackend),
    /// A stream to the guest cannot be used.
    #[error("cannot use the stream to the guest")]
    GuestStream(#[source] std::io::Error),
    /// The host gives no random bytes.
    #[error("cannot get random bytes for the guest")]
    Entropy(#[source] getrandom::Error),
    /// A RUN was reached without a VM.
    #[error("the VM is not running")]
    NotBooted,
    /// The agent refused, broke its protocol or is gone.
    #[error(transparent)]
    Agent(#[from] kiln_agent_client::Error),
    /// A secret that is required was not given.
    #[error("secret `{id}` is required and was not given")]
    SecretMissing {
        /// Its id.
        id: String,
    },
    /// Something that the Dockerfile asks for and this version does not do.
    #[error("{what} is not supported")]
    Unsupported {
        /// What it is, as the user wrote it.
        what: String,
    },
    /// An image that a FROM, COPY --from or mount names is not in the store.
    #[error("image `{name}` is not in the local store")]
    ImageMissing {
        /// The name as written.
        name: String,
    },
    /// An image that COPY --from or a mount names is for another platform than the build.
    #[error("image `{name}` is for {found}, not for {wanted}")]
    OtherPlatform {
        /// The name as written.
        name: String,
        /// What the store has.
        found: Platform,
        /// What the build is for.
        wanted: Platform,
    },
    /// There is no VM whose processor runs programs of this platform.
    #[error("commands cannot be run on {platform}")]
    NoGuest {
        /// The platform.
        platform: Platform,
    },
    /// Neither the image nor the request names a command.
    #[error("no command given, and image `{image}` has none")]
    NoCommand {
        /// The image.
        image: String,
    },
    /// A URL of an ADD cannot be fetched.
    #[error("cannot fetch {url}: {reason}")]
    Fetch {
        /// The URL.
        url: String,
        /// Why, in the words of the transport.
        reason: String,
    },
    /// The proxy or the certificates to be used cannot be.
    #[error(transparent)]
    Http(#[from] crate::http::HttpError),
    /// A fetched file is not what `--checksum` says.
    #[error("{url} has digest {found}, expected {expected}")]
    Checksum {
        /// Where it came from.
        url: String,
        /// The digest in the Dockerfile.
        expected: String,
        /// The digest of the bytes.
        found: String,
    },
    /// `--checksum` is no sha256 digest.
    #[error("`{text}` is not a checksum of the form sha256:<64 hexadecimal digits>")]
    ChecksumForm {
        /// As written.
        text: String,
    },
    /// A step needs the context of a build that has none.
    #[error("this build has no context to take files from")]
    NoContext,
    /// The build was stopped.
    #[error("interrupted")]
    Interrupted,
}

/// A `kiln.toml` in a context that cannot be used, with all that is needed to show where.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct ProjectError {
    /// The file.
    pub path: PathBuf,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// What is wrong with it.
    #[source]
    pub error: kiln_config::ConfigError,
}

/// How a RUN ended that did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunFailure {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It was never started.
    NotStarted(kiln_protocol::Failure),
}

impl std::fmt::Display for RunFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code: {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
            Self::NotStarted(failure) => write!(f, "could not start: {failure}"),
        }
    }
}

impl BuildError {
    /// Whose matter the failure is.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        match &self.cause {
            Cause::Store(_) | Cause::Vm(_) | Cause::Agent(_) => FailureKind::Host,
            Cause::Backend(_) | Cause::NoGuest { .. } | Cause::Project(_) | Cause::Http(_) => {
                FailureKind::Usage
            }
            Cause::Interrupted => FailureKind::Interrupted,
            _ => FailureKind::Build,
        }
    }
}

impl<T: Into<Cause>> From<T> for BuildError {
    fn from(cause: T) -> Self {
        Self {
            cause: cause.into(),
            span: None,
        }
    }
}
