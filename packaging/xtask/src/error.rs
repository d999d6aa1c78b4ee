//! How a task fails. Each failure that the reader can mend carries a hint.

use std::io;
use std::path::{Path, PathBuf};

/// Failure of a task.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line names no task.
    #[error("no such task")]
    Usage,
    /// A part of a task was asked for that it does not have.
    #[error("`{part}` is not a part of this task (known: {known})")]
    UnknownPart { part: String, known: &'static str },
    /// A program cannot be started.
    #[error("cannot start `{program}`")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    /// A program failed.
    #[error("{what} failed ({status})")]
    Failed {
        what: String,
        status: String,
        log: Option<PathBuf>,
    },
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A JSON file or answer is not what was expected.
    #[error("{what} is malformed")]
    Malformed {
        what: String,
        #[source]
        source: serde_json::Error,
    },
    /// The host lacks something that the task needs.
    #[error("{what}")]
    Missing { what: String, hint: String },
    /// Checks or tests found something.
    #[error("{what}")]
    Found { what: String },
}

impl Error {
    /// An error about a file, from what was being done to it.
    pub fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { hint, .. } => Some(hint.clone()),
            Self::Start { .. } => {
                Some("`cargo xtask setup` installs what the tasks need".to_owned())
            }
            Self::Failed { log: Some(log), .. } => {
                Some(format!("the full log is in {}", log.display()))
            }
            _ => None,
        }
    }

    /// Exit code, as `kiln` uses them: 1 the project is at fault, 2 the command line, 3 the host.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage | Self::UnknownPart { .. } => 2,
            Self::Start { .. } | Self::Missing { .. } | Self::File { .. } => 3,
            Self::Failed { .. } | Self::Malformed { .. } | Self::Found { .. } => 1,
        }
    }
}
