//! The store as its users see it.

mod build_cache;
mod crash;
mod images;
mod incoming;
mod layers;
mod maintenance;
mod support;
