//! The build context: which files of a folder on the host a build may see, and what is in them.
//!
//! Owns `.dockerignore`, the walk of the context and the memory of file digests. It reads the folder and never
//! changes it, follows no symlink, and knows nothing of images or layers. A tree that was scanned is a snapshot of
//! names and metadata; a digest is asked for only when a step selects the file.

#![forbid(unsafe_code)]

mod case;
mod context;
mod digest;
mod error;
mod glob;
mod ignore;
mod metadata;
mod modes;
mod path;
mod scan;
mod stat_index;
mod stat_table;
mod tree;

pub use case::{CaseRule, fold};
pub use context::{Context, OpenedFile};
pub use digest::{FileDigest, FileFacts};
pub use error::ContextError;
pub use glob::{Glob, GlobError, has_wildcards};
pub use ignore::{Ignore, IgnoreError, MatchState, RuleRef};
pub use modes::{MAX_MODE_RULES, ModeRuleError, Modes};
pub use path::clean;
pub use stat_index::StatIndex;
pub use tree::{Node, NodeId, NodeKind, Tree};
