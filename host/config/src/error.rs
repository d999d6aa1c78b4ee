//! What can be wrong with a `kiln.toml`, and where.

use std::ops::Range;

use kiln_context::ModeRuleError;

use crate::MAX_BYTES;

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct ConfigError {
    /// Bytes of the text that are to blame.
    pub span: Range<usize>,
    /// What is wrong with them.
    #[source]
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file is larger than any real one.
    #[error("more than {MAX_BYTES} bytes")]
    TooLarge,
    /// The bytes are no text.
    #[error("not UTF-8")]
    NotText,
    /// The text is no TOML.
    #[error("{message}")]
    Syntax {
        /// In the words of the TOML parser.
        message: String,
    },
    /// A key that has no meaning.
    #[error("`{key}` is not known")]
    Unknown {
        /// The key, with the tables that hold it.
        key: String,
        /// The keys that could stand there.
        known: &'static [&'static str],
    },
    /// A key of the user's file in a project's.
    #[error("`{key}` is not for a project to decide")]
    NotForProjects {
        /// The key.
        key: &'static str,
    },
    /// A key of a project's file in the user's.
    #[error("`{key}` belongs to a project, not to a user")]
    NotForUsers {
        /// The key.
        key: &'static str,
    },
    /// A value of another type.
    #[error("`{key}` has to be {wanted}")]
    Type {
        /// The key.
        key: String,
        /// What it has to be.
        wanted: &'static str,
    },
    /// A mode that is not octal.
    #[error("`{text}` is not an octal mode")]
    Mode {
        /// As written.
        text: String,
    },
    /// A rule for modes that cannot be used.
    #[error("cannot use the pattern `{pattern}`")]
    ModeRule {
        /// The pattern.
        pattern: String,
        /// Why.
        #[source]
        source: ModeRuleError,
    },
}

impl Problem {
    /// What the user may do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unknown { known: [], .. } => return None,
            Self::Unknown { known, .. } => format!("known here: {}", known.join(", ")),
            Self::NotForProjects { key } => {
                format!(
                    "`[{key}]` stands in the user's own kiln.toml; `kiln doctor` tells where that is"
                )
            }
            Self::NotForUsers { key } => {
                format!("`[{key}]` stands in the kiln.toml in the root of the project's context")
            }
            Self::Mode { .. } => "write it in quotes, as \"0755\"".to_owned(),
            _ => return None,
        })
    }
}
