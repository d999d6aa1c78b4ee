//! One module a command: its flags, and what it does. All print through the console and fail with a
//! [`Failure`]; none reads the environment or exits.

pub mod build;
pub mod completion;
pub mod doctor;
pub mod history;
pub mod images;
pub mod import;
pub mod inspect;
pub mod load;
pub mod man;
pub mod rmi;
pub mod run;
pub mod save;
pub mod system;
pub mod tag;
pub mod version;
pub mod vm_helper;

use crate::arguments::Command;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Runs a command.
pub fn run(command: Command, invocation: &Invocation) -> Result<(), Failure> {
    match command {
        Command::Build(arguments) => build::run(&arguments, invocation),
        Command::Images(arguments) => images::run(&arguments, invocation),
        Command::Tag(arguments) => tag::run(&arguments, invocation),
        Command::Rmi(arguments) => rmi::run(&arguments, invocation),
        Command::History(arguments) => history::run(&arguments, invocation),
        Command::Inspect(arguments) => inspect::run(&arguments, invocation),
        Command::Save(arguments) => save::run(&arguments, invocation),
        Command::Load(arguments) => load::run(&arguments, invocation),
        Command::Import(arguments) => import::run(&arguments, invocation),
        Command::Run(arguments) => run::run(&arguments, invocation),
        Command::Image(command) => self::run(command.into(), invocation),
        Command::System(command) => system::run(&command, invocation),
        Command::Prune(arguments) => system::prune(&arguments, invocation),
        Command::Doctor(arguments) => doctor::run(&arguments, invocation),
        Command::Version(arguments) => version::run(&arguments, invocation),
        Command::Completion(arguments) => completion::run(&arguments, invocation),
        Command::Man(arguments) => man::run(&arguments),
        Command::VmHelper => vm_helper::run(),
    }
}
