//! Why a Dockerfile cannot be planned, each with the place to point at.

use std::error::Error;
use std::fmt;

use kiln_dockerfile::{ParseError, Span, mount::MountError, words::ExpandError};
use kiln_oci::Platform;

/// A build that cannot be planned. Shown as its kind; the kind's own cause is the cause.
#[derive(Debug)]
pub struct PlanError {
    /// The place to point at; `None` when the request, not the Dockerfile, is at fault.
    pub span: Option<Span>,
    /// What is wrong.
    pub kind: PlanErrorKind,
    /// What could be meant, when something known is close.
    pub hint: Option<String>,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl Error for PlanError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.kind.source()
    }
}

impl PlanError {
    pub(crate) fn at(span: Span, kind: impl Into<PlanErrorKind>) -> Self {
        Self {
            span: Some(span),
            kind: kind.into(),
            hint: None,
        }
    }

    pub(crate) fn of_request(kind: PlanErrorKind) -> Self {
        Self {
            span: None,
            kind,
            hint: None,
        }
    }

    pub(crate) fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

/// The closed set of reasons.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanErrorKind {
    /// ARG alone.
    #[error("the Dockerfile has no stages to build")]
    NoStages,
    /// An instruction other than ARG above the first FROM.
    #[error("no build stage in current context")]
    NoStageYet,
    /// FROM with nothing left after expansion.
    #[error("base name `{word}` should not be blank")]
    BlankBase {
        /// As written.
        word: String,
    },
    /// `--target` names no stage.
    #[error("target stage `{name}` could not be found")]
    UnknownTarget {
        /// As given.
        name: String,
    },
    /// `--from` with a number that no earlier stage has.
    #[error("invalid stage index {index}")]
    StageIndex {
        /// As written.
        index: String,
    },
    /// `--from` names this or a later stage.
    #[error("cannot copy from stage `{name}`, it needs to be defined before the current stage")]
    StageNotYetDefined {
        /// As written.
        name: String,
    },
    /// Stages that need each other.
    #[error("circular dependency detected on stage: {name}")]
    Circular {
        /// One of them.
        name: String,
    },
    /// `--from=$X`
    #[error(
        "variable expansion is not supported for --from, define a stage with FROM and an ARG of the global scope"
    )]
    FromVariable,
    /// The base image is nowhere.
    #[error("image `{name}` not found")]
    ImageNotFound {
        /// The image.
        name: String,
    },
    /// The base image is there, for another platform.
    #[error("image `{name}` is for {found}, not for {wanted}")]
    OtherPlatform {
        /// The image.
        name: String,
        /// What it is for.
        found: Platform,
        /// What the stage is for.
        wanted: Platform,
    },
    /// The base image could not be asked for.
    #[error(transparent)]
    Resolve(#[from] crate::graph::ResolveError),
    /// A name that is no image reference.
    #[error("invalid image name `{name}`")]
    InvalidImageName {
        /// As expanded.
        name: String,
    },
    /// `--platform` that does not parse.
    #[error("invalid platform `{value}`")]
    InvalidPlatform {
        /// As expanded.
        value: String,
    },
    /// A word could not be expanded.
    #[error("failed to process `{word}`")]
    Expand {
        /// As written.
        word: String,
        /// Why.
        #[source]
        source: ExpandError,
    },
    /// An invalid `--mount`.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// An ONBUILD trigger of the base that does not parse.
    #[error("in the base's ONBUILD trigger `{trigger}`")]
    Trigger {
        /// The trigger.
        trigger: String,
        /// Why.
        #[source]
        source: Box<ParseError>,
    },
    /// EXPOSE with something that is no port.
    #[error("invalid port `{value}`")]
    InvalidPort {
        /// As expanded.
        value: String,
    },
    /// STOPSIGNAL with something that is no signal.
    #[error("invalid signal `{value}`")]
    InvalidSignal {
        /// As expanded.
        value: String,
    },
    /// VOLUME with an empty path.
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
    /// `--checksum` that is no digest.
    #[error("invalid checksum `{value}`")]
    InvalidChecksum {
        /// As expanded.
        value: String,
    },
    /// RUN with a heredoc and the JSON form.
    #[error("a heredoc cannot be given to a RUN in JSON form")]
    HeredocInExec,
    /// ENV or LABEL with an empty name after expansion.
    #[error("{instruction} names can not be blank")]
    BlankName {
        /// The instruction.
        instruction: &'static str,
    },
    /// `--checksum` with several sources.
    #[error("checksum can't be specified for multiple sources")]
    ChecksumManySources,
    /// `--checksum` with a source of the context.
    #[error("checksum requires HTTP(S) or Git sources")]
    ChecksumLocal,
    /// COPY of a URL or git repository.
    #[error("source can't be a URL for COPY")]
    CopyFromUrl,
    /// `--chmod` that is neither octal nor symbolic.
    #[error(
        "invalid syntax in --chmod=`{value}`: use an octal number up to 7777, or clauses such as u=rwX,go-w"
    )]
    InvalidChmod {
        /// As expanded.
        value: String,
    },
    /// More steps than the planner accepts.
    #[error("the build has more than {limit} steps")]
    TooManySteps {
        /// The bound.
        limit: usize,
    },
    /// More text than the planner accepts.
    #[error("the environments and commands of all steps together are larger than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
}
