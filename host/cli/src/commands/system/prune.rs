//! `kiln system prune`.

use std::time::Duration;

use kiln_store::{PruneOptions, Pruned, Store};

use crate::failure::Failure;
use crate::format::size;
use crate::invocation::Invocation;

/// Remove what is not needed any more
///
/// Removes images without a name, the build cache, compressed layers and old logs.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Remove images that have a name too
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Keep the build cache and remove only until the store takes no more than this (`20g`)
    #[arg(long, value_name = "BYTES")]
    keep_storage: Option<String>,
}

/// Asks, then removes.
pub fn run(arguments: &Arguments, invocation: &Invocation) -> Result<(), Failure> {
    let options = arguments.options()?;
    if !arguments.force {
        ask(arguments, invocation)?;
    }
    let store = invocation.store("kiln prune")?;
    let pruned = prune(&store, options, invocation)?;
    invocation.console.data(&told(&pruned))
}

fn ask(arguments: &Arguments, invocation: &Invocation) -> Result<(), Failure> {
    let images = if arguments.all {
        "all images"
    } else {
        "images without a name"
    };
    let cache = if arguments.keep_storage.is_some() {
        "what was not used for longest"
    } else {
        "the build cache"
    };
    invocation
        .console
        .note(&format!("This will remove {images} and {cache}."));
    match invocation
        .console
        .confirm("Are you sure you want to continue?")
    {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::build("nothing was removed")),
        None => Err(Failure::usage("there is no terminal to ask on").hint("use --force")),
    }
}

/// Waits for running builds, and says so.
fn prune(store: &Store, options: PruneOptions, invocation: &Invocation) -> Result<Pruned, Failure> {
    match store.prune(&options) {
        Err(kiln_store::Error::LockBusy { holders }) => {
            invocation.tell_waiting(&holders);
            Ok(store.prune(&PruneOptions {
                wait: true,
                ..options
            })?)
        }
        result => Ok(result?),
    }
}

fn told(pruned: &Pruned) -> String {
    let images = pruned
        .images
        .iter()
        .map(|image| format!("Deleted: {image}\n"));
    let layers = pruned
        .layers
        .iter()
        .map(|layer| format!("Deleted: {}\n", layer.0));
    let text: String = images.chain(layers).collect();
    format!(
        "{text}Total reclaimed space: {}\n",
        size::long(pruned.bytes)
    )
}

impl Arguments {
    fn options(&self) -> Result<PruneOptions, Failure> {
        let cap = match &self.keep_storage {
            None => None,
            Some(text) => Some(size::parse_binary(text).ok_or_else(|| {
                Failure::usage(format!("--keep-storage `{text}` is not an amount"))
                    .hint("try `20g`")
            })?),
        };
        Ok(PruneOptions {
            dangling_images: true,
            named_images: self.all,
            cache_unused_for: cap.is_none().then_some(Duration::ZERO),
            blobs: cap.is_none(),
            cap,
            wait: false,
        })
    }
}
