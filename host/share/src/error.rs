//! How adding a file to the share fails.

use std::io;
use std::path::PathBuf;

/// Failures of [`Server::add`](crate::Server::add).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShareError {
    /// The name is empty, too long, or has a `/` or NUL in it.
    #[error("`{name}` cannot be a file name in the share")]
    BadName {
        /// The name.
        name: String,
    },
    /// The name stands, or stood, for another file: guests cache what a name means for ever.
    #[error("`{name}` already stands for another file in the share")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The host file cannot be opened.
    #[error("cannot open {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The host path is not a regular file.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
}
