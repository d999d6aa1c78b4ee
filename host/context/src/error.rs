//! What can go wrong while a context is read.

use std::io;
use std::path::PathBuf;

use crate::ignore::IgnoreError;

/// A context could not be opened, walked or read.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// The context folder is missing, no folder, or not readable.
    #[error("cannot open the build context {}", path.display())]
    Open {
        /// The folder that was asked for.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A folder or file below the context could not be read.
    #[error("cannot read {} in the build context", path.display())]
    Read {
        /// The path, relative to the context.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not what the walk saw a moment ago.
    #[error("{} changed while the build was reading it", path.display())]
    Changed {
        /// The path, relative to the context.
        path: PathBuf,
    },
    /// More files than a context may have.
    #[error("the build context has more than {limit} entries")]
    TooManyEntries {
        /// The bound.
        limit: usize,
    },
    /// Two names of one folder differ by case alone, and case does not count there.
    #[error(
        "`{}` and `{}` are the same name where upper and lower case do not count",
        first.display(),
        second.display()
    )]
    CaseClash {
        /// One, relative to the context.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The `.dockerignore` cannot be used.
    #[error("invalid .dockerignore")]
    Ignore(#[from] IgnoreError),
}
