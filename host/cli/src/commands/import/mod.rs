//! `kiln import`: a root file system's tar becomes an image of one layer.

mod changes;

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use kiln_oci::{History, ImageConfig, Platform, RootFs};
use kiln_store::IngestLimits;

use crate::commands::build::{parse_platform, source_date_epoch_of_environment, tag_name};
use crate::failure::{Exit, Failure};
use crate::format::time;
use crate::invocation::Invocation;

/// Make an image of a root file system's tar
///
/// The tar may be compressed with gzip, bzip2, xz or zstd. It becomes the image's only layer, byte for byte.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The tar, or `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Name of the image
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Apply a Dockerfile instruction (CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, USER, VOLUME, WORKDIR, …); may be repeated
    #[arg(short, long = "change", value_name = "INSTRUCTION")]
    changes: Vec<String>,
    /// Say in the image's history where it comes from
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Platform that the files are for
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
}

/// Imports, and prints the image's id.
pub fn run(arguments: &Arguments, invocation: &Invocation) -> Result<(), Failure> {
    let name = arguments.name.as_deref().map(tag_name).transpose()?;
    let platform = match &arguments.platform {
        Some(text) => parse_platform(text)?,
        None => Platform::linux_host(),
    };
    let changed = changes::apply(&arguments.changes, &platform)?;
    let created = time::to_rfc3339(
        source_date_epoch_of_environment(&invocation.environment)?.unwrap_or_else(time::now),
    );
    let store = invocation.store("kiln import")?;
    let _lease = invocation.lease(&store)?;

    let reader = arguments.open(invocation)?;
    let mut start = [0; 1];
    let (_, mut reader) =
        kiln_oci::decompress(reader).map_err(|error| arguments.unreadable(&error))?;
    // An empty stream is a valid layer, but here it is a download that failed earlier in the pipe.
    match reader.read(&mut start) {
        Ok(0) => {
            return Err(Failure::build(format!(
                "{} is empty",
                arguments.file.display()
            )));
        }
        Ok(_) => {}
        Err(error) => return Err(arguments.unreadable(&error)),
    }
    let reader = start.as_slice().chain(reader);
    let layer = store
        .ingest_layer(reader, None, IngestLimits::default())
        .map_err(|error| match error {
            kiln_store::Error::Tar(_)
            | kiln_store::Error::Index(_)
            | kiln_store::Error::Incoming(_) => Failure::of(Exit::Build, &error),
            error => Failure::from(error),
        })?;
    let comment = arguments
        .message
        .clone()
        .unwrap_or_else(|| format!("Imported from {}", arguments.file.display()));
    let config = ImageConfig {
        created: Some(created.clone()),
        author: changed.author,
        architecture: platform.architecture.clone(),
        variant: platform.variant.clone(),
        os: platform.os.clone(),
        config: changed.config,
        rootfs: RootFs {
            diff_ids: vec![layer.diff_id],
            ..RootFs::default()
        },
        history: vec![History {
            created: Some(created),
            comment: Some(comment),
            ..History::default()
        }],
    };
    let image = store.put_image(&config)?;
    if let Some(name) = name {
        store.tag(&name, image)?;
    }
    invocation.console.data(&format!("{image}\n"))
}

impl Arguments {
    fn open(&self, invocation: &Invocation) -> Result<Box<dyn Read + Send>, Failure> {
        if self.file.as_os_str() == "-" {
            return Ok(Box::new(io::stdin()));
        }
        let text = self.file.to_string_lossy();
        if text.starts_with("http://") || text.starts_with("https://") {
            return Err(Failure::usage(format!("`{text}` is not on this machine"))
                .hint("fetch it first, for example: curl -fsSL URL | kiln import - NAME"));
        }
        let file = File::open(invocation.environment.current_dir.join(&self.file));
        Ok(Box::new(file.map_err(|error| self.unreadable(&error))?))
    }

    fn unreadable(&self, error: &io::Error) -> Failure {
        Failure::build(format!("cannot read {}", self.file.display())).because(error)
    }
}
