//! The command line: all subcommands, and what happens to one that does not parse.
//!
//! The flags of a command are defined beside it, in `commands/NAME.rs`; the names are docker's wherever docker has the
//! same thing. An argument that is not known is an error, never ignored.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{
    build, completion, doctor, history, images, import, inspect, load, man, rmi, run, save, system,
    tag, version,
};
use crate::env::VARIABLES;
use crate::failure::{Exit, Failure};
use crate::refused;

/// Build OCI images from Dockerfiles inside a throw-away microVM
#[derive(Debug, Parser)]
#[command(name = "kiln", version, disable_help_subcommand = true, after_long_help = variables_help())]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// A subcommand.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build an image from a Dockerfile
    Build(Box<build::Arguments>),
    /// List images
    Images(images::Arguments),
    /// Give an image another name
    Tag(tag::Arguments),
    /// Remove names and images
    Rmi(rmi::Arguments),
    /// Show how an image was made
    History(history::Arguments),
    /// Show an image's configuration as JSON
    Inspect(inspect::Arguments),
    /// Write images to an archive
    Save(save::Arguments),
    /// Read images from an archive
    Load(load::Arguments),
    /// Make an image of a root file system's tar
    Import(import::Arguments),
    /// Run a command in an image, in a fresh VM
    Run(Box<run::Arguments>),
    /// Manage images
    #[command(subcommand)]
    Image(ImageCommand),
    /// Look after the store
    #[command(subcommand)]
    System(system::Command),
    /// Remove what is not needed any more
    Prune(system::PruneArguments),
    /// Check what this machine can do
    Doctor(doctor::Arguments),
    /// Show the version
    Version(version::Arguments),
    /// Print a completion script for a shell
    Completion(completion::Arguments),
    /// Write the manual pages
    #[command(hide = true)]
    Man(man::Arguments),
    /// Run a VM: started by kiln itself
    #[command(hide = true)]
    VmHelper,
}

/// `kiln image …`: the same commands under docker's other names.
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Build an image from a Dockerfile
    Build(Box<build::Arguments>),
    /// List images
    #[command(visible_alias = "list")]
    Ls(images::Arguments),
    /// Give an image another name
    Tag(tag::Arguments),
    /// Remove names and images
    #[command(visible_alias = "remove")]
    Rm(rmi::Arguments),
    /// Show how an image was made
    History(history::Arguments),
    /// Show an image's configuration as JSON
    Inspect(inspect::Arguments),
    /// Write images to an archive
    Save(save::Arguments),
    /// Read images from an archive
    Load(load::Arguments),
    /// Make an image of a root file system's tar
    Import(import::Arguments),
}

impl From<ImageCommand> for Command {
    fn from(command: ImageCommand) -> Self {
        match command {
            ImageCommand::Build(arguments) => Self::Build(arguments),
            ImageCommand::Ls(arguments) => Self::Images(arguments),
            ImageCommand::Tag(arguments) => Self::Tag(arguments),
            ImageCommand::Rm(arguments) => Self::Rmi(arguments),
            ImageCommand::History(arguments) => Self::History(arguments),
            ImageCommand::Inspect(arguments) => Self::Inspect(arguments),
            ImageCommand::Save(arguments) => Self::Save(arguments),
            ImageCommand::Load(arguments) => Self::Load(arguments),
            ImageCommand::Import(arguments) => Self::Import(arguments),
        }
    }
}

/// What the command line asks for.
pub enum Parsed {
    /// To do something.
    Command(Box<Command>),
    /// To read this.
    Help(String),
}

/// Reads the command line.
pub fn parse(words: Vec<OsString>) -> Result<Parsed, Failure> {
    let error = match Cli::try_parse_from(&words) {
        Ok(cli) => return Ok(Parsed::Command(Box::new(cli.command))),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            Ok(Parsed::Help(error.render().to_string()))
        }
        ErrorKind::UnknownArgument => {
            Err(known_elsewhere(&words, &error).unwrap_or_else(|| told(&error)))
        }
        _ => Err(told(&error)),
    }
}

/// clap has its own report, with suggestions and colours.
fn told(error: &clap::Error) -> Failure {
    let _ = error.print();
    Failure::silent(Exit::Usage)
}

/// The failure for a flag that docker has and Kiln does not.
fn known_elsewhere(words: &[OsString], error: &clap::Error) -> Option<Failure> {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let mut commands = words
        .iter()
        .skip(1)
        .filter_map(|word| word.to_str())
        .filter(|word| !word.starts_with('-'));
    let command = match commands.next()? {
        "image" => commands.next()?,
        command => command,
    };
    refused::find(command, flag)
}

/// The whole command, for completion scripts and manual pages.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

fn variables_help() -> String {
    let width = VARIABLES
        .iter()
        .map(|variable| variable.name.len())
        .max()
        .unwrap_or(0);
    let lines = VARIABLES
        .iter()
        .map(|variable| format!("  {:width$}  {}\n", variable.name, variable.meaning));
    format!("Environment:\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Parsed, Failure> {
        parse(words.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn the_definitions_are_consistent() {
        command().debug_assert();
    }

    #[test]
    fn help_and_version_are_data() {
        assert!(
            matches!(parsed("kiln --version"), Ok(Parsed::Help(text)) if text.starts_with("kiln 0."))
        );
        assert!(
            matches!(parsed("kiln build --help"), Ok(Parsed::Help(text)) if text.contains("--build-arg"))
        );
        assert!(
            matches!(parsed("kiln --help"), Ok(Parsed::Help(text)) if text.contains("KILN_DATA_DIR"))
        );
    }

    #[test]
    fn unknown_things_are_usage_errors() {
        for words in [
            "kiln",
            "kiln nonsense",
            "kiln build --nonsense .",
            "kiln build",
            "kiln image build --push .",
        ] {
            assert!(
                matches!(parsed(words), Err(failure) if failure.exit == Exit::Usage),
                "{words}"
            );
        }
    }

    #[test]
    fn image_subcommands_are_the_commands() {
        let Ok(Parsed::Command(command)) = parsed("kiln image ls -q") else {
            panic!("does not parse")
        };
        let Command::Image(command) = *command else {
            panic!("not an image command")
        };
        assert!(matches!(Command::from(command), Command::Images(_)));
    }
}
