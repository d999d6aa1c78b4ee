//! The tar format, both ways.

mod decode;
mod encode;
mod header;
pub(crate) mod limits;
mod overrides;
pub(crate) mod reader;
mod sparse;
mod stream;
pub(crate) mod writer;
