//! `kiln load`: images from an archive that docker or another tool wrote.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek};
use std::path::PathBuf;

use kiln_oci::archive::{ArchiveReader, ArchivedImage};
use kiln_oci::{Compression, ImageName, Platform, decompress};
use kiln_platform::disk_space;
use kiln_store::{ImageId, IngestLimits, Store, TempFile};

use crate::escape;
use crate::failure::Failure;
use crate::invocation::Invocation;

/// Bytes at the start of a file that tell how it is compressed.
const MAGIC: usize = 6;

/// Largest archive once decompressed: a few kilobytes can stand for more than any disk.
const MAX_ARCHIVE: u64 = 1 << 40;

/// Read images from an archive
///
/// Takes docker and OCI archives, also compressed with gzip, bzip2, xz or zstd.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// File to read [default: standard input]
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Print nothing but the images' names
    #[arg(short, long)]
    quiet: bool,
}

/// Loads, and prints what was loaded.
pub fn run(arguments: &Arguments, invocation: &Invocation) -> Result<(), Failure> {
    let input = arguments
        .input
        .as_deref()
        .filter(|path| path.as_os_str() != "-");
    if input.is_none() && io::stdin().is_terminal() {
        return Err(
            Failure::usage("standard input is a terminal, not an archive")
                .hint("use -i FILE, or a pipe"),
        );
    }
    let store = invocation.store("kiln load")?;
    let _lease = invocation.lease(&store)?;
    let opened = match input {
        Some(path) => {
            let path = invocation.environment.current_dir.join(path);
            let file = File::open(&path).map_err(|error| arguments.unreadable(&error))?;
            arguments.open(file, &store)?
        }
        None => arguments.staged(io::stdin(), &store)?,
    };
    let reader = ArchiveReader::open(opened.file, &Platform::linux_host())
        .map_err(|error| arguments.broken(&error))?;
    for image in reader.images() {
        let id = arguments.load(&store, &reader, image)?;
        let names = name(&store, image, id, invocation)?;
        let lines: String = match (names.is_empty(), arguments.quiet) {
            (true, true) => format!("{id}\n"),
            (true, false) => format!("Loaded image ID: {id}\n"),
            (false, true) => names.iter().map(|name| format!("{name}\n")).collect(),
            (false, false) => names
                .iter()
                .map(|name| format!("Loaded image: {name}\n"))
                .collect(),
        };
        invocation.console.data(&lines)?;
    }
    Ok(())
}

/// Gives the image the names that it has in the archive, and returns them.
fn name(
    store: &Store,
    image: &ArchivedImage,
    id: ImageId,
    invocation: &Invocation,
) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for text in &image.names {
        let Ok(name) = ImageName::parse(text) else {
            let text = escape::line(text);
            invocation.console.note(&format!(
                "warning: the archive has a name that is none: `{text}`"
            ));
            continue;
        };
        let name = name.with_default_tag();
        store.tag(&name, id)?;
        names.push(name.familiar());
    }
    Ok(names)
}

/// The archive as a file that can be searched. What was staged for it lives as long as this.
struct Opened {
    file: File,
    _staged: Option<TempFile>,
}

impl Arguments {
    /// A plain tar is read where it is, anything else is decompressed first.
    fn open(&self, mut file: File, store: &Store) -> Result<Opened, Failure> {
        let mut start = [0; MAGIC];
        let seekable = file.metadata().is_ok_and(|metadata| metadata.is_file());
        if !seekable {
            return self.staged(file, store);
        }
        let read = read_start(&mut file, &mut start).map_err(|error| self.unreadable(&error))?;
        file.rewind().map_err(|error| self.unreadable(&error))?;
        match Compression::detect(&start[..read]) {
            Compression::None => Ok(Opened {
                file,
                _staged: None,
            }),
            _ => self.staged(file, store),
        }
    }

    fn staged(&self, reader: impl Read + Send, store: &Store) -> Result<Opened, Failure> {
        let unreadable = |error: &io::Error| self.unreadable(error);
        let mut staged = store.tmp_file()?;
        let (_, reader) = decompress(reader).map_err(|error| unreadable(&error))?;
        let copied = io::copy(&mut reader.take(MAX_ARCHIVE), &mut staged.file);
        let copied = copied.map_err(|error| match disk_space::is_full(&error) {
            true => Failure::host("no space left to unpack the archive")
                .because(&error)
                .hint("`kiln prune` makes room"),
            false => unreadable(&error),
        })?;
        if copied == MAX_ARCHIVE {
            return Err(Failure::build(format!(
                "{} is larger than {MAX_ARCHIVE} bytes",
                self.shown()
            )));
        }
        staged.file.rewind().map_err(|error| unreadable(&error))?;
        let file = staged
            .file
            .try_clone()
            .map_err(|error| unreadable(&error))?;
        Ok(Opened {
            file,
            _staged: Some(staged),
        })
    }

    /// Stores an image with its layers. Nothing in the archive is believed: layers are hashed, configs parsed.
    fn load(
        &self,
        store: &Store,
        reader: &ArchiveReader,
        image: &ArchivedImage,
    ) -> Result<ImageId, Failure> {
        for layer in &image.layers {
            if store.has_layer(layer.diff_id)? {
                continue;
            }
            let tar = reader
                .open_layer(layer)
                .map_err(|error| self.broken(&error))?;
            store
                .ingest_layer(tar, Some(layer.diff_id), IngestLimits::default())
                .map_err(|error| match error {
                    kiln_store::Error::Tar(_)
                    | kiln_store::Error::Index(_)
                    | kiln_store::Error::Incoming(_)
                    | kiln_store::Error::LayerTooLarge { .. }
                    | kiln_store::Error::DigestMismatch { .. } => self.broken(&error),
                    error => Failure::from(error),
                })?;
        }
        Ok(store.put_image_bytes(&image.config)?)
    }

    fn shown(&self) -> String {
        self.input.as_ref().map_or_else(
            || "standard input".to_owned(),
            |path| path.display().to_string(),
        )
    }

    fn unreadable(&self, error: &io::Error) -> Failure {
        Failure::build(format!("cannot read {}", self.shown())).because(error)
    }

    fn broken(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        Failure::build(format!("{} cannot be loaded", self.shown())).because(error)
    }
}

/// As much of the buffer as there is.
fn read_start(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read(&mut buffer[read..])? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}
