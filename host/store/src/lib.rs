//! Everything Kiln keeps on disk: layers, build cache, images, names and blobs.
//!
//! One data folder, any number of processes, no daemon. Bytes lie in files that are named by their digest
//! and never change; SQLite says what they are for. Invariant: a crash at any moment, power loss included,
//! leaves a store that opens and whose records are true; what a dead process staged is swept.
//!
//! Only this crate knows file names inside the data folder. It never prints and never reads the environment.
#![forbid(unsafe_code)]

mod blobs;
mod cache;
mod check;
mod database;
mod error;
mod images;
mod layer;
mod layout;
mod lease;
mod prune;
mod reference;
mod removal;
mod store;
mod usage;

pub use cache::CacheHit;
pub use check::{CheckReport, Problem, Repair};
pub use error::{Error, Result};
pub use images::{ImageId, ImageRecord};
pub use layer::{IngestLimits, LayerRecord, LayerSink, LayerWriter};
pub use lease::{Holder, Lease};
pub use prune::{PruneOptions, Pruned};
pub use removal::Removed;
pub use store::{Store, TempFile};
pub use usage::{Usage, UsageOf};
