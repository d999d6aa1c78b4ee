//! What can go wrong while files are looked up or copied into an image.

use std::io;

use kiln_context::{ContextError, GlobError, IgnoreError, RuleRef};
use kiln_layer::TarError;
use kiln_oci::DiffId;

/// Where a path was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The build context, or a named one.
    Context,
    /// A stage or an image.
    Image,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Place::Context => "build context",
            Place::Image => "source image",
        })
    }
}

/// COPY, ADD or WORKDIR cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A source does not exist.
    #[error("`{path}` is not in the {place}")]
    NotFound {
        /// The source as it was looked for, from the root.
        path: String,
        /// Where.
        place: Place,
        /// The `.dockerignore` rule that hides it, if one does.
        ignored_by: Option<RuleRef>,
        /// A path that is there and differs by upper and lower case alone.
        similar: Option<String>,
    },
    /// A file would take the place of a folder.
    #[error("cannot replace directory `/{path}` with a file")]
    FileOverDir {
        /// Path in the image.
        path: String,
    },
    /// A folder would take the place of a file or link.
    #[error("cannot copy a directory onto `/{path}`, which is not a directory")]
    DirOverFile {
        /// Path in the image.
        path: String,
    },
    /// A path leads through something that is no folder.
    #[error("`/{path}` is not a directory")]
    NotADirectory {
        /// Path in the image.
        path: String,
    },
    /// More symlinks than any sane path has.
    #[error("too many symlinks in `{path}`")]
    TooManyLinks {
        /// The path that was followed.
        path: String,
    },
    /// A path is longer than Linux takes.
    #[error("path `/{path}` is too long")]
    PathTooLong {
        /// Path in the image, cut.
        path: String,
    },
    /// A name that layers keep for their whiteouts.
    #[error("`/{path}` cannot be stored in a layer: names that start with `.wh.` are reserved")]
    ReservedName {
        /// Path in the image.
        path: String,
    },
    /// `--chmod` is neither octal nor symbolic.
    #[error(
        "invalid --chmod `{text}`: expected an octal mode up to 7777 or a symbolic one like u+x"
    )]
    Chmod {
        /// The flag's value.
        text: String,
    },
    /// `--chown` names somebody, and there is no image to look him up in.
    #[error("cannot look up `{name}` for --chown: the image has no files")]
    NoUsers {
        /// The name.
        name: String,
    },
    /// `--chown` has a number that no user can have.
    #[error("`{id}` is not a valid user or group number")]
    BadId {
        /// The number.
        id: String,
    },
    /// An `--exclude` cannot be used.
    #[error("invalid --exclude")]
    Exclude(#[source] IgnoreError),
    /// A `--parents` source cannot be used.
    #[error("invalid source pattern")]
    Pattern(#[source] IgnoreError),
    /// A source pattern cannot be used.
    #[error("invalid source pattern `{pattern}`")]
    Glob {
        /// The pattern.
        pattern: String,
        /// Why.
        #[source]
        source: GlobError,
    },
    /// An archive that ADD unpacks is broken or hostile.
    #[error("cannot unpack `{name}`")]
    Archive {
        /// The archive.
        name: String,
        /// Why.
        #[source]
        source: TarError,
    },
    /// A hard link of an archive points at nothing.
    #[error("cannot unpack `{name}`: `{link}` is a hard link to `{target}`, which does not exist")]
    ArchiveLink {
        /// The archive.
        name: String,
        /// The entry.
        link: String,
        /// What it links to.
        target: String,
    },
    /// Unpacked, an archive is larger than the limit.
    #[error("`{name}` unpacks to more than {limit} bytes")]
    ArchiveTooLarge {
        /// The archive.
        name: String,
        /// The limit.
        limit: u64,
    },
    /// The build context failed.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A layer of the image, or of one that is copied from, is missing or damaged.
    #[error("cannot read layer {}", diff_id.0.short())]
    Layer {
        /// Which.
        diff_id: DiffId,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file could not be read.
    #[error("cannot read `{what}`")]
    Read {
        /// What was read.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The files that a source selects hold more than any sane image.
    #[error("the selected files hold more than {limit} bytes")]
    TooMuch {
        /// The bound.
        limit: u64,
    },
    /// A file that should be small is not.
    #[error("`/{path}` has {size} bytes, more than the {limit} that are read of it")]
    TooLarge {
        /// Path in the image.
        path: String,
        /// Its size.
        size: u64,
        /// The bound.
        limit: u64,
    },
}

/// Bytes of a path for a message.
pub(crate) fn show(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
