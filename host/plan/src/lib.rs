//! From instructions to a graph of steps: stages, argument scopes, ONBUILD, the image config.
//!
//! ```text
//! Dockerfile ─┐
//! PlanRequest ├─► stages ─► reach ─► eval ─► BuildGraph { stages in build order: base + steps + final config }
//! BaseResolver┘   (names)   (needed)  (each instruction)
//! ```
//!
//! Pure: base images come through [`BaseResolver`], nothing is read or executed here. Metadata instructions are
//! folded into the config; the engine only makes layers for the steps that have one.

#![forbid(unsafe_code)]

mod environment;
mod error;
mod eval;
mod globals;
mod graph;
mod path;
mod plan;
mod reach;
mod stages;

pub use error::{PlanError, PlanErrorKind};
pub use graph::*;
pub use plan::{MAX_STEPS, MAX_TEXT, plan};
