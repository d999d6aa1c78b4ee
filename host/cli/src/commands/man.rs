//! `kiln man`, hidden: the manual pages for packages.

use std::path::PathBuf;

use crate::arguments;
use crate::failure::Failure;

/// Write the manual pages
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder to write them to
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Writes a page for each command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let folder = &arguments.folder;
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(arguments::command(), folder))
        .map_err(|error| {
            Failure::host(format!("cannot write manual pages to {}", folder.display()))
                .because(&error)
        })
}
