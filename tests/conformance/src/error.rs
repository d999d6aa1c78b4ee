//! What keeps the runner itself from running. A case that fails is a result, not an error.

use std::io;
use std::path::{Path, PathBuf};

/// Failure of the runner.
#[derive(Debug)]
pub enum Error {
    /// A file operation failed.
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A JSON file of the corpus is not what was expected.
    Malformed {
        path: PathBuf,
        source: serde_json::Error,
    },
    /// A program that prepares the run failed.
    Program { program: String, output: String },
    /// A line of the list of known failures has no reason.
    NoReason { line: usize },
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
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { action, path, .. } => write!(f, "cannot {action} {}", path.display()),
            Self::Malformed { path, .. } => write!(f, "{} is malformed", path.display()),
            Self::Program { program, output } => write!(f, "{program} failed: {output}"),
            Self::NoReason { line } => write!(f, "known-failures.txt:{line}: write `case: reason`"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Malformed { source, .. } => Some(source),
            Self::Program { .. } | Self::NoReason { .. } => None,
        }
    }
}
