//! Where the bytes of a copied file come from, until they are written into a layer.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kiln_context::{Context, NodeId};
use kiln_erofs::{Extent, Nid};

use crate::error::CopyError;
use crate::layer::Layer;

/// Archives up to this size wait in memory, larger ones in a file.
const SPOOL_IN_MEMORY: u64 = 16 << 20;

/// The bytes of one file.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// A file of a context.
    Context { context: Arc<Context>, node: NodeId },
    /// A file of a layer.
    Layer(LayerContent),
    /// Bytes at hand.
    Bytes(Arc<[u8]>),
    /// A file that Kiln downloaded.
    Host(Arc<PathBuf>),
    /// A file of an archive.
    Spooled {
        spool: Arc<Spool>,
        offset: u64,
        size: u64,
    },
}

impl Content {
    pub fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Content::Context { context, node } => {
                Box::new(context.open(*node).map_err(io::Error::other)?)
            }
            Content::Layer(content) => Box::new(content.open()),
            Content::Bytes(bytes) => Box::new(Cursor::new(bytes.clone())),
            Content::Host(path) => Box::new(File::open(path.as_path())?),
            Content::Spooled {
                spool,
                offset,
                size,
            } => Box::new(SpoolReader {
                spool: spool.clone(),
                at: *offset,
                left: *size,
            }),
        })
    }
}

/// A file of a layer: pieces of the layer's tar.
#[derive(Debug, Clone)]
pub(crate) struct LayerContent {
    layer: Arc<Layer>,
    extents: Arc<[Extent]>,
}

impl LayerContent {
    pub fn new(layer: Arc<Layer>, nid: Nid) -> Result<LayerContent, CopyError> {
        let extents = layer.extents(nid)?.into();
        Ok(LayerContent { layer, extents })
    }

    pub fn open(&self) -> LayerReader {
        LayerReader {
            content: self.clone(),
            extent: 0,
            done: 0,
        }
    }
}

/// Reads a file of a layer.
pub(crate) struct LayerReader {
    content: LayerContent,
    extent: usize,
    done: u64,
}

impl Read for LayerReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(extent) = self.content.extents.get(self.extent) {
            let left = extent.len - self.done;
            if left == 0 {
                self.extent += 1;
                self.done = 0;
                continue;
            }
            let want = buffer
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            let len = self
                .content
                .layer
                .read_extent(extent, self.done, &mut buffer[..want])?;
            if len == 0 && want > 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.done += len as u64;
            return Ok(len);
        }
        Ok(0)
    }
}

/// The files of an unpacked archive, one after another, in memory or in a nameless temporary file.
#[derive(Debug)]
pub(crate) struct Spool(Mutex<Place>);

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    File(File),
}

impl Spool {
    pub fn new() -> Spool {
        Spool(Mutex::new(Place::Memory(Vec::new())))
    }

    /// Append `size` bytes of `data`, which start at `at`; beyond the memory's share, all goes to a file in `folder`.
    pub fn append(&self, at: u64, data: &mut dyn Read, size: u64, folder: &Path) -> io::Result<()> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Place::Memory(bytes) = &mut *place
            && at + size > SPOOL_IN_MEMORY
        {
            let mut file = tempfile::tempfile_in(folder)?;
            file.write_all(bytes)?;
            *place = Place::File(file);
        }
        let copied = match &mut *place {
            Place::Memory(bytes) => io::copy(&mut data.take(size), bytes)?,
            Place::File(file) => {
                file.seek(SeekFrom::Start(at))?;
                io::copy(&mut data.take(size), file)?
            }
        };
        if copied == size {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *place {
            Place::Memory(bytes) => {
                let start = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                (&bytes[start..]).read(buffer)
            }
            Place::File(file) => {
                file.seek(SeekFrom::Start(at))?;
                file.read(buffer)
            }
        }
    }
}

struct SpoolReader {
    spool: Arc<Spool>,
    at: u64,
    left: u64,
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let len = self.spool.read_at(self.at, &mut buffer[..want])?;
        self.at += len as u64;
        self.left -= len as u64;
        Ok(len)
    }
}
