//! `kiln rmi`.

use kiln_store::{Removed, Store};

use crate::failure::Failure;
use crate::invocation::Invocation;

/// Remove names and images
///
/// A name is removed; the image goes with its last name. Layers go when neither an image nor the build cache needs
/// them.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Images, by name or id
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// Remove an image with several names by its id; take no offence at images that do not exist
    #[arg(short, long)]
    force: bool,
}

/// Removes as many as can be removed, and fails if one cannot.
pub fn run(arguments: &Arguments, invocation: &Invocation) -> Result<(), Failure> {
    let store = invocation.store("kiln rmi")?;
    let mut failed: Option<Failure> = None;
    for image in &arguments.images {
        match remove(&store, image, arguments.force) {
            Ok(removed) => invocation.console.data(&told(&removed))?,
            Err(failure) => {
                if let Some(earlier) = failed.replace(failure) {
                    invocation
                        .console
                        .note(earlier.render(&invocation.console.terminal).trim_end());
                }
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

fn remove(store: &Store, image: &str, force: bool) -> Result<Removed, Failure> {
    match store.remove_image(image, force) {
        Err(kiln_store::Error::NoSuchImage { .. }) if force => Ok(Removed::default()),
        result => Ok(result?),
    }
}

fn told(removed: &Removed) -> String {
    let untagged = removed
        .untagged
        .iter()
        .map(|name| format!("Untagged: {}\n", name.familiar()));
    let deleted = removed.deleted.iter().map(|id| format!("Deleted: {id}\n"));
    let layers = removed
        .layers
        .iter()
        .map(|layer| format!("Deleted: {}\n", layer.0));
    untagged.chain(deleted).chain(layers).collect()
}
