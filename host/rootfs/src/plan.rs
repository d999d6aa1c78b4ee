//! A step as a list of layer entries, ready to be written.

use std::collections::HashMap;
use std::io::{self, Cursor, Read};
use std::sync::mpsc;

use kiln_layer::{Entry, Kind, whiteout};
use kiln_oci::Digest;

use crate::content::Content;
use crate::error::CopyError;
use crate::staging::Staging;

/// Files up to this size are read ahead as a whole; larger ones keep the writer busy by themselves.
const READ_AHEAD_FILE: u64 = 1 << 20;
/// Bytes and files that go from reader to writer in one message.
const READ_AHEAD_BATCH: (u64, usize) = (1 << 20, 256);
/// Messages under way: bounds memory to some 10 MiB.
const READ_AHEAD_DEPTH: usize = 8;

/// Takes the entries of a layer in order.
pub trait LayerOutput {
    /// What goes wrong when it writes.
    type Error;

    /// Append an entry, whose `data` gives exactly the bytes that a file's size says.
    fn append(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<(), Self::Error>;
}

impl LayerOutput for kiln_store::LayerWriter {
    type Error = kiln_store::Error;

    fn append(&mut self, entry: &Entry, data: &mut dyn Read) -> Result<(), kiln_store::Error> {
        kiln_store::LayerWriter::append(self, entry, data)
    }
}

/// A plan could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E: std::error::Error + 'static> {
    /// The layer could not take an entry.
    #[error(transparent)]
    Output(E),
    /// A source could not be opened.
    #[error(transparent)]
    Source(CopyError),
}

/// What a COPY, ADD or WORKDIR puts into its layer.
#[derive(Debug)]
pub struct CopyPlan {
    entries: Vec<Planned>,
    digest: Digest,
}

#[derive(Debug)]
struct Planned {
    entry: Entry,
    content: Option<Content>,
}

impl CopyPlan {
    /// Turn the changes of a step into entries: by path, folders first, second names of a file as links.
    pub(crate) fn new(staging: Staging<'_>, digest: Digest) -> Result<CopyPlan, CopyError> {
        let mut entries = Vec::new();
        let mut first_names: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
        for (path, change) in staging.finish()? {
            let mut entry = change.entry(&path);
            let mut content = change.content;
            if let (Some(inode), Kind::File { .. }) = (change.stat.inode, &entry.kind) {
                match first_names.get(&inode) {
                    Some(first) => {
                        entry.kind = Kind::Hardlink {
                            target: first.clone(),
                        };
                        content = None;
                    }
                    None => drop(first_names.insert(inode, path.clone())),
                }
            }
            entries.push(Planned { entry, content });
            if change.opaque {
                let marker = Entry::new(
                    whiteout::opaque_marker_for(&path),
                    Kind::File { size: 0 },
                    0o600,
                );
                entries.push(Planned {
                    entry: marker,
                    content: None,
                });
            }
        }
        Ok(CopyPlan { entries, digest })
    }

    /// Digest of all that the step takes: names, contents, modes, owners and flags, never times.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether the image stays as it is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries in the order in which they are written.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter().map(|planned| &planned.entry)
    }

    /// Write the layer's entries. Small files are read ahead on another thread.
    pub fn write<O: LayerOutput>(&self, output: &mut O) -> Result<(), WriteError<O::Error>>
    where
        O::Error: std::error::Error + 'static,
    {
        let small = self
            .entries
            .iter()
            .filter(|planned| planned.reads_ahead())
            .count();
        if small < 16 {
            return self
                .entries
                .iter()
                .try_for_each(|planned| planned.write(None, output));
        }
        let (sender, receiver) = mpsc::sync_channel(READ_AHEAD_DEPTH);
        std::thread::scope(|scope| {
            scope.spawn(move || self.read_ahead(&sender));
            // Owned here, so that a writer that fails lets the reader go before the scope waits for it.
            let receiver = receiver;
            let mut batch = Vec::new().into_iter();
            for planned in &self.entries {
                if !planned.reads_ahead() {
                    planned.write(None, output)?;
                    continue;
                }
                while batch.len() == 0 {
                    let next = receiver.recv();
                    batch = next.expect("the reader sends every small file").into_iter();
                }
                let bytes = batch.next().expect("it is not empty");
                planned.write(Some(bytes), output)?;
            }
            Ok(())
        })
    }

    /// Read all small files in order; ends early when the writer is gone.
    fn read_ahead(&self, sender: &mpsc::SyncSender<Vec<io::Result<Vec<u8>>>>) {
        let (max_bytes, max_files) = READ_AHEAD_BATCH;
        let mut batch = Vec::new();
        let mut bytes = 0;
        for planned in self.entries.iter().filter(|planned| planned.reads_ahead()) {
            bytes += planned.entry.data_len();
            batch.push(planned.read());
            if (bytes >= max_bytes || batch.len() == max_files)
                && sender.send(std::mem::take(&mut batch)).is_err()
            {
                return;
            }
            bytes = if batch.is_empty() { 0 } else { bytes };
        }
        // The writer is gone only if it failed, and then says so itself.
        let _ = sender.send(batch);
    }
}

impl Planned {
    fn reads_ahead(&self) -> bool {
        self.content.is_some() && self.entry.data_len() <= READ_AHEAD_FILE
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.entry.data_len() as usize];
        if let Some(content) = self.content.as_ref().filter(|_| !bytes.is_empty()) {
            content.open()?.read_exact(&mut bytes)?;
        }
        Ok(bytes)
    }

    fn write<O: LayerOutput>(
        &self,
        bytes: Option<io::Result<Vec<u8>>>,
        output: &mut O,
    ) -> Result<(), WriteError<O::Error>>
    where
        O::Error: std::error::Error + 'static,
    {
        let failed = |source| {
            WriteError::Source(CopyError::Read {
                what: crate::error::show(&self.entry.path),
                source,
            })
        };
        let mut reader: Box<dyn Read> = match (bytes, &self.content) {
            (Some(bytes), _) => Box::new(Cursor::new(bytes.map_err(failed)?)),
            (None, Some(content)) => content.open().map_err(failed)?,
            (None, None) => Box::new(io::empty()),
        };
        output
            .append(&self.entry, &mut reader)
            .map_err(WriteError::Output)
    }
}
