//! Image root file systems as data: looking into them, and the layers of COPY, ADD and WORKDIR.
//!
//! Everything is computed from layer indexes and written as layer entries; nothing of an image ever becomes a file on
//! the host, so names, modes and owners survive on any system and no privilege is needed. Paths and symlinks of an
//! image, a context or an archive are followed inside their own root only.

#![forbid(unsafe_code)]

mod archive;
mod chmod;
mod content;
mod copy;
mod error;
mod filter;
mod layer;
mod owner;
mod plan;
mod resolve;
mod select;
mod selection;
mod source;
mod spec;
mod staging;
mod stat;
mod view;
mod workdir;

pub use chmod::Chmod;
pub use error::{CopyError, Place};
pub use owner::Owner;
pub use plan::{CopyPlan, LayerOutput, WriteError};
pub use selection::{Selection, plan_copy};
pub use source::SourceTree;
pub use spec::{CopySource, CopySpec};
pub use stat::Stat;
pub use view::MergedView;
pub use workdir::plan_workdir;
