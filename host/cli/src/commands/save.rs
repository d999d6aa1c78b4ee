//! `kiln save`: images to one archive, for `docker load`, registries' tools and `kiln load`.

mod layers;
mod output;

use std::io::BufWriter;
use std::path::PathBuf;

use kiln_oci::archive::{self, ArchiveError, ImageToSave};
use kiln_oci::{Compression, ImageName};
use kiln_store::{ImageRecord, Store};

use crate::console;
use crate::failure::{Exit, Failure};
use crate::invocation::Invocation;

use output::Output;

/// Large enough that the calls do not count.
const BUFFER: usize = 256 << 10;

/// Write images to an archive
///
/// An image given by name keeps that name in the archive; a repository without a tag stands for all of its tags.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Images, by name or id
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// File to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Kind of archive
    #[arg(long, value_name = "KIND", value_enum, default_value_t = Kind::DockerArchive)]
    format: Kind,
}

/// Kinds of archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// What `docker load` takes; layers are not compressed
    DockerArchive,
    /// An OCI image layout in a tar; layers are compressed with gzip
    OciArchive,
}

/// Saves.
pub fn run(arguments: &Arguments, invocation: &Invocation) -> Result<(), Failure> {
    let to_file = arguments
        .output
        .as_deref()
        .filter(|path| path.as_os_str() != "-");
    if to_file.is_none() && invocation.console.terminal.stdout {
        return Err(Failure::usage("an archive cannot be written to a terminal")
            .hint("use -o FILE, or a pipe: kiln save IMAGE | gzip > FILE"));
    }
    let store = invocation.store("kiln save")?;
    let _lease = invocation.lease(&store)?;
    let images = select(&store, &arguments.images)?;
    let compression = match arguments.format {
        Kind::DockerArchive => Compression::None,
        Kind::OciArchive => Compression::Gzip,
    };
    let images: Vec<ImageToSave<'_>> = images
        .iter()
        .map(|(image, names)| {
            Ok(ImageToSave {
                config: store.config_bytes(image.id)?,
                names: names.clone(),
                layers: layers::of(&store, &image.config.rootfs.diff_ids, compression)?,
            })
        })
        .collect::<Result<_, Failure>>()?;
    let path = to_file.map(|path| invocation.environment.current_dir.join(path));
    let mut output = Output::open(path).map_err(|error| arguments.unwritable(&error))?;
    let written = {
        let buffered = BufWriter::with_capacity(BUFFER, &mut output);
        match arguments.format {
            Kind::DockerArchive => archive::write_docker_archive(buffered, &images),
            Kind::OciArchive => archive::write_oci_archive(buffered, &images),
        }
    };
    written.map_err(|error| match error {
        ArchiveError::Io(error) => arguments.unwritable(&error),
        error => Failure::of(Exit::Host, &error),
    })?;
    output
        .commit()
        .map_err(|error| arguments.unwritable(&error))
}

/// Each image once, with the names that it is to have in the archive.
fn select(store: &Store, texts: &[String]) -> Result<Vec<(ImageRecord, Vec<ImageName>)>, Failure> {
    let mut selected: Vec<(ImageRecord, Vec<ImageName>)> = Vec::new();
    for text in texts {
        for (image, name) in find(store, text)? {
            let at = match selected.iter().position(|(known, _)| known.id == image.id) {
                Some(at) => at,
                None => {
                    selected.push((image, Vec::new()));
                    selected.len() - 1
                }
            };
            let names = &mut selected[at].1;
            names.extend(name.filter(|name| !names.contains(name)));
        }
    }
    Ok(selected)
}

fn find(store: &Store, text: &str) -> Result<Vec<(ImageRecord, Option<ImageName>)>, Failure> {
    let parsed = ImageName::parse(text).ok();
    if let Some(name) = parsed
        .as_ref()
        .filter(|name| name.tag.is_none() && name.digest.is_none())
    {
        let same = |other: &&ImageName| {
            other.registry == name.registry && other.repository == name.repository
        };
        let all: Vec<_> = store
            .list()?
            .iter()
            .flat_map(|image| {
                image
                    .names
                    .iter()
                    .filter(same)
                    .map(|name| (image.clone(), Some(name.clone())))
            })
            .collect();
        if !all.is_empty() {
            return Ok(all);
        }
    }
    let image = store.resolve(text)?;
    let name = parsed
        .map(ImageName::with_default_tag)
        .filter(|name| image.names.contains(name));
    Ok(vec![(image, name)])
}

impl Arguments {
    fn unwritable(&self, error: &std::io::Error) -> Failure {
        match &self.output {
            Some(path) if path.as_os_str() != "-" => {
                Failure::host(format!("cannot write {}", path.display())).because(error)
            }
            // An archive that is cut short is worth a word, whoever stopped reading.
            _ if error.kind() == std::io::ErrorKind::BrokenPipe => {
                Failure::build("the archive is incomplete: its reader went away")
            }
            _ => console::stdout_failure(std::io::Error::new(error.kind(), error.to_string())),
        }
    }
}
