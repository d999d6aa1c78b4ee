//! `kiln completion`.

use clap_complete::Shell;

use crate::arguments;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

/// Prints it.
pub fn run(arguments: &Arguments, invocation: &Invocation) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut arguments::command(),
        "kiln",
        &mut script,
    );
    invocation.console.bytes(&script)
}
