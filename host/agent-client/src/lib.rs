//! Client of the agent in the guest, over any byte streams.
//!
//! A thread reads the control connection and hands what comes to the run that it belongs to; runs may go on
//! side by side, each in the thread that called [`AgentClient::run`]. Everything from the guest is hostile:
//! every length is bounded, text is cleaned of control characters, a guest that sends more output than it was
//! given credit for is cut off, and no bytes that it can send make this crate panic.

#![forbid(unsafe_code)]

mod client;
mod error;
mod hello;
mod layer;
mod receive;
mod text;

pub use client::{AgentClient, OutputStream, RunOutcome, Terms};
pub use error::Error;
pub use kiln_protocol as protocol;
pub use layer::{LayerPart, LayerReader, LayerStream};
