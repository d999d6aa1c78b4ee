//! The Dockerfile language: text in, typed instructions with source spans out.
//!
//! ```text
//! text ──lines──► logical lines ──syntax──► words ──instruction──► ast::Dockerfile
//!                 (directives, comments,    (flags, JSON,          (typed, unexpanded)
//!                  continuations, heredocs)  quotes kept)
//! ```
//!
//! Variables are not expanded here: [`words`] holds the expansion that the planner applies in its own scopes.
//! Pure: no I/O, no environment. Input is hostile: every size is bounded, nothing panics.

#![forbid(unsafe_code)]

pub mod ast;
mod directives;
mod duration;
mod error;
mod heredoc;
pub mod hint;
mod instruction;
mod json;
mod lines;
pub mod lint;
pub mod mount;
mod parser;
mod source;
pub mod syntax;
pub mod words;

pub use ast::Dockerfile;
pub use error::{ParseError, ParseErrorKind};
pub use parser::{MAX_INSTRUCTIONS, MAX_SIZE, parse, parse_trigger, statements};
pub use source::{Position, Source, Span};
