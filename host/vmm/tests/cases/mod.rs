//! The tests themselves.

pub mod devices;
pub mod ends;
