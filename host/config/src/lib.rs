//! `kiln.toml`: settings of a project and of a user, from text to values.
//!
//! ```text
//! FOLDER/kiln.toml of a context      [context]  what the build's content is     same on every host
//! kiln.toml of the user's own        [vm]       how this machine runs VMs       never part of a result
//! ```
//!
//! A project's file comes with the project and is trusted as little as its Dockerfile: it may say what goes into the
//! image and nothing else. What concerns the machine stands in the user's file. A key that belongs into the other one, or
//! into none, is an error that names its line, never ignored.
//!
//! Owns the keys, their meaning and their bounds. Reads no file and no environment.

#![forbid(unsafe_code)]

mod document;
mod error;
mod project;
mod user;

pub use error::{ConfigError, Problem};
pub use project::Project;
pub use user::User;

/// Name of the file, in a context's root and in the user's folder of configuration.
pub const FILE_NAME: &str = "kiln.toml";

/// Most bytes of a file that are read. Real ones have a few hundred.
pub const MAX_BYTES: usize = 1 << 20;
