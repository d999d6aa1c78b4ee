//! Reads a file of a layer as a stream, from the tar and the index together.

use std::io::{self, Read, Seek, SeekFrom};

use crate::error::IndexError;
use crate::index::{Index, Nid};
use crate::inode::{Extent, Source};

/// A file's content, holes as zeros. The tar's position is moved only where extents do not follow each other.
#[derive(Debug)]
pub struct FileContent<'a, T> {
    index: &'a Index,
    tar: T,
    tar_position: Option<u64>,
    extents: std::vec::IntoIter<Extent>,
    /// What is left of the present extent.
    current: Option<Extent>,
}

impl Index {
    /// Opens a file for reading; `tar` is the layer's own.
    pub fn open_file<T: Read + Seek>(
        &self,
        nid: Nid,
        tar: T,
    ) -> Result<FileContent<'_, T>, IndexError> {
        let extents = self.extents(nid)?.into_iter();
        Ok(FileContent {
            index: self,
            tar,
            tar_position: None,
            extents,
            current: None,
        })
    }
}

impl<T: Read + Seek> Read for FileContent<'_, T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.current.is_none_or(|extent| extent.len == 0) {
            self.current = self.extents.next();
        }
        let Some(extent) = self.current else {
            return Ok(0);
        };
        let want = buf
            .len()
            .min(usize::try_from(extent.len).unwrap_or(usize::MAX));
        let buf = &mut buf[..want];
        let got = match extent.source {
            Source::Hole => {
                buf.fill(0);
                want
            }
            Source::Index(offset) => {
                let bytes = self.index.own_bytes(offset, want as u64);
                buf.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
                want
            }
            Source::Tar(offset) => self.read_tar(offset, buf)?,
        };
        self.current = Some(after(extent, got as u64));
        Ok(got)
    }
}

impl<T: Read + Seek> FileContent<'_, T> {
    fn read_tar(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if self.tar_position != Some(offset) {
            self.tar.seek(SeekFrom::Start(offset))?;
        }
        let got = self.tar.read(buf)?;
        if got == 0 && !buf.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.tar_position = Some(offset + got as u64);
        Ok(got)
    }
}

fn after(extent: Extent, read: u64) -> Extent {
    let source = match extent.source {
        Source::Hole => Source::Hole,
        Source::Tar(offset) => Source::Tar(offset + read),
        Source::Index(offset) => Source::Index(offset + read),
    };
    Extent {
        file_offset: extent.file_offset + read,
        len: extent.len - read,
        source,
    }
}
