//! From instructions to a graph of steps: stages, argument scopes, ONBUILD, the image config.
//!
//! ```text
//! Dockerfile ─┐
//! PlanRequest ├─► plan() ─► BuildGraph { stages in build order, each: base + steps + final config }
//! BaseResolver┘
//! ```
//!
//! Pure: base images come through [`BaseResolver`], nothing is read or executed here. Metadata instructions are
//! folded into the config; the engine only makes layers for the steps that have one.

#![forbid(unsafe_code)]

mod error;
mod graph;

pub use error::{PlanError, PlanErrorKind};
pub use graph::*;
