//! `kiln system` and `kiln prune`: what the store holds, whether it is whole, and making room.

mod check;
mod df;
mod prune;

use clap::Subcommand;

use crate::failure::Failure;
use crate::invocation::Invocation;

pub use prune::Arguments as PruneArguments;
pub use prune::run as prune;

/// Look after the store
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show how much room images and cache take
    Df(df::Arguments),
    /// Verify every byte of the store
    Check(check::Arguments),
    /// Remove what is not needed any more
    Prune(PruneArguments),
}

/// Does it.
pub fn run(command: &Command, invocation: &Invocation) -> Result<(), Failure> {
    match command {
        Command::Df(arguments) => df::run(arguments, invocation),
        Command::Check(arguments) => check::run(arguments, invocation),
        Command::Prune(arguments) => prune::run(arguments, invocation),
    }
}
