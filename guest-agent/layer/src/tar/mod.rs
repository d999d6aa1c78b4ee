//! The tar format, both ways.

mod encode;
mod header;
pub(crate) mod limits;
pub(crate) mod reader;
pub(crate) mod writer;
