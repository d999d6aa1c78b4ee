//! Building and running programs for other systems than this one, from Linux.
//!
//! Two things are needed to build: the target's standard library ([`crate::check::cross::cargo_for`]), and a C compiler
//! and linker that know the target ([`Zig`]). What is built for Windows runs under [`Wine`].

pub mod target;
mod wine;
mod zig;

pub use target::{System, Target};
pub use wine::Wine;
pub use zig::{Zig, variable};
