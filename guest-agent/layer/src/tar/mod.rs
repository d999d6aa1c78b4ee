//! The tar format, both ways.

pub(crate) mod limits;
pub(crate) mod reader;
pub(crate) mod writer;
