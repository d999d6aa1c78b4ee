//! `RUN --mount=…`: the flag as written, and its typed meaning once variables are expanded.
//!
//! The flag is split as CSV first and each value expanded on its own, so a value with commas cannot add options.

mod csv;
mod error;
mod resolve;

use crate::ast::Word;
use crate::words::ExpandError;

pub use error::MountError;

/// A `--mount` flag as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountFlag {
    /// The whole value.
    pub text: Word,
    /// `key[=value]`, split, keys in lower case, values unexpanded.
    pub options: Vec<MountOption>,
}

impl MountFlag {
    /// Splits a flag's value. Only what can be said without variables is checked.
    pub(crate) fn parse(text: Word) -> Result<Self, MountError> {
        let fields = csv::fields(&text.text).ok_or_else(|| MountError::Csv {
            text: text.text.clone(),
        })?;
        let options: Vec<MountOption> = fields.into_iter().map(MountOption::parse).collect();
        let from = options
            .iter()
            .find(|option| option.key == "from")
            .and_then(|option| option.value.as_ref());
        match from {
            Some(value) if has_variable(value) => Err(MountError::FromVariable {
                value: value.clone(),
            }),
            _ => Ok(Self { text, options }),
        }
    }

    /// What the mount copies from or stands on, known without variables: a stage, image or named context.
    #[must_use]
    pub fn from(&self) -> Option<&str> {
        let option = self.options.iter().rfind(|option| option.key == "from")?;
        option.value.as_deref().filter(|value| !value.is_empty())
    }

    /// Expands the values and says what they mean together.
    ///
    /// # Errors
    /// When a value does not expand, or the options do not fit each other.
    pub fn resolve(
        &self,
        expand: &mut dyn FnMut(&str) -> Result<String, ExpandError>,
    ) -> Result<Mount, MountError> {
        resolve::resolve(&self.options, expand)
    }
}

/// True for a `$` with anything after it.
fn has_variable(value: &str) -> bool {
    value.find('$').is_some_and(|at| at + 1 < value.len())
}

/// One `key[=value]` of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountOption {
    /// In lower case.
    pub key: String,
    /// `None` for a bare key such as `readonly`.
    pub value: Option<String>,
}

impl MountOption {
    fn parse(field: String) -> Self {
        match field.split_once('=') {
            Some((key, value)) => Self {
                key: key.to_lowercase(),
                value: Some(value.to_owned()),
            },
            None => Self {
                key: field.to_lowercase(),
                value: None,
            },
        }
    }
}

/// A mount with everything known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Where, not yet joined with the working directory; `None` where the option was not given.
    pub target: Option<String>,
    /// Writes are refused.
    pub read_only: bool,
}

/// The kinds of mounts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MountKind {
    /// Files of the context, a stage or an image; writes are thrown away.
    Bind(BindMount),
    /// A directory kept between builds.
    Cache(CacheMount),
    /// Memory, with its largest size in bytes.
    Tmpfs(Option<u64>),
    /// A secret as a file or a variable.
    Secret(SecretMount),
    /// The ssh agent's socket.
    Ssh(SshMount),
}

/// `type=bind`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BindMount {
    /// Stage, image or named context; `None` is the build context.
    pub from: Option<String>,
    /// Path inside of it, as written.
    pub source: Option<String>,
}

/// `type=cache`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheMount {
    /// Which one; `None` means the target path.
    pub id: Option<String>,
    /// Initial content: stage, image or named context.
    pub from: Option<String>,
    /// Path inside of `from`.
    pub source: Option<String>,
    /// Who may use it at once.
    pub sharing: Sharing,
    /// Owner and mode of a new directory.
    pub file: FileOwner,
}

/// `type=secret`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretMount {
    /// Which one.
    pub id: String,
    /// Fail when it is not given.
    pub required: bool,
    /// Put it into this variable; there is no file then, unless `target` is given.
    pub env: Option<String>,
    /// Owner and mode, 0400 when not given.
    pub file: FileOwner,
}

/// `type=ssh`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SshMount {
    /// Which one, `default` when not given.
    pub id: String,
    /// Fail when it is not given.
    pub required: bool,
    /// Owner and mode, 0600 when not given.
    pub file: FileOwner,
}

/// Owner and mode of what a mount makes, as far as they were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FileOwner {
    /// `mode`
    pub mode: Option<u32>,
    /// `uid`
    pub uid: Option<u32>,
    /// `gid`
    pub gid: Option<u32>,
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
