//! `RUN --mount=…`: the flag as written, and its typed meaning once variables are expanded.
//!
//! BuildKit expands each value on its own after splitting the flag as CSV, so a value with commas cannot add options.

use crate::ast::Word;

/// A `--mount` flag as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountFlag {
    /// The whole value.
    pub text: Word,
    /// `key[=value]`, split, keys in lower case, values unexpanded.
    pub options: Vec<MountOption>,
}

/// One `key[=value]` of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountOption {
    /// In lower case.
    pub key: String,
    /// `None` for a bare key such as `readonly`.
    pub value: Option<String>,
}

/// A mount with everything known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Where, not yet joined with the working directory; `None` for a secret or ssh socket at its default place.
    pub target: Option<String>,
    /// Writes are refused.
    pub read_only: bool,
}

/// The kinds of mounts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MountKind {
    /// Files of the context, a stage or an image; writes are thrown away.
    Bind {
        /// Stage, image or named context; `None` is the build context.
        from: Option<String>,
        /// Path inside of it, as written.
        source: Option<String>,
    },
    /// A directory kept between builds.
    Cache {
        /// Which one; the target path when not given.
        id: String,
        /// Initial content: stage, image or named context.
        from: Option<String>,
        /// Path inside of `from`.
        source: Option<String>,
        /// Who may use it at once.
        sharing: Sharing,
        /// Mode of a new directory.
        mode: Option<u32>,
        /// Owner of a new directory.
        uid: Option<u32>,
        /// Group of a new directory.
        gid: Option<u32>,
    },
    /// Memory.
    Tmpfs {
        /// Largest size in bytes.
        size: Option<u64>,
    },
    /// A secret as a file or a variable.
    Secret {
        /// Which one.
        id: String,
        /// Fail when it is not given.
        required: bool,
        /// Put it into this variable; with `target` unset there is no file.
        env: Option<String>,
        /// Mode, 0400 when not given.
        mode: Option<u32>,
        /// Owner.
        uid: Option<u32>,
        /// Group.
        gid: Option<u32>,
    },
    /// The agent's socket.
    Ssh {
        /// Which one, `default` when not given.
        id: String,
        /// Fail when it is not given.
        required: bool,
        /// Mode, 0600 when not given.
        mode: Option<u32>,
        /// Owner.
        uid: Option<u32>,
        /// Group.
        gid: Option<u32>,
    },
}

/// Who may use a cache directory at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sharing {
    /// Anybody.
    #[default]
    Shared,
    /// One each gets its own.
    Private,
    /// One after the other.
    Locked,
}

/// What can be wrong with a mount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// A type that does not exist.
    #[error("unsupported mount type `{kind}`")]
    UnsupportedType {
        /// As written.
        kind: String,
    },
    /// A key that does not exist.
    #[error("unexpected key `{key}` in `{field}`")]
    UnexpectedKey {
        /// The key.
        key: String,
        /// The whole field.
        field: String,
    },
    /// A key that this type does not take.
    #[error("unexpected key `{key}` for mount type `{kind}`")]
    KeyNotForType {
        /// The key.
        key: String,
        /// The mount type.
        kind: &'static str,
    },
    /// A key without its value.
    #[error("missing value for mount option `{key}`")]
    MissingValue {
        /// The key.
        key: String,
    },
    /// A value that does not parse.
    #[error("invalid value for `{key}`: {value}")]
    InvalidValue {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Quotes that do not match.
    #[error("failed to parse `{text}` as comma-separated values")]
    Csv {
        /// The flag's value.
        text: String,
    },
    /// `from=$X`
    #[error("`{value}` doesn't support variable expansion, define alias stage instead")]
    FromVariable {
        /// As written.
        value: String,
    },
    /// No target where one is needed.
    #[error("target is required for {kind} mounts")]
    TargetRequired {
        /// The mount type.
        kind: &'static str,
    },
    /// A secret without id, target and source.
    #[error("one of source, target required")]
    SecretWithoutName,
    /// A variable of the value could not be expanded.
    #[error("in mount option `{key}`")]
    Expand {
        /// The key.
        key: String,
        /// Why.
        #[source]
        source: crate::words::ExpandError,
    },
}
