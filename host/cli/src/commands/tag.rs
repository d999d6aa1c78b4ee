//! `kiln tag`.

use crate::commands::build::tag_name;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Give an image another name
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Image, by name or id
    #[arg(value_name = "IMAGE")]
    image: String,
    /// The new name
    #[arg(value_name = "NAME")]
    name: String,
}

/// Tags.
pub fn run(arguments: &Arguments, invocation: &Invocation) -> Result<(), Failure> {
    let name = tag_name(&arguments.name)?;
    let store = invocation.store("kiln tag")?;
    let image = store.resolve(&arguments.image)?;
    store.tag(&name, image.id)?;
    Ok(())
}
