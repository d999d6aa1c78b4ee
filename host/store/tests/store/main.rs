//! The store as its users see it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod build_cache;
mod images;
mod incoming;
mod layers;
mod maintenance;
mod support;
