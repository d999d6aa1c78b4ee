//! Reads tars of every dialect that images are made of.
//!
//! Owns the walk from header to header and the content of the present entry. Must not decide what a path means for
//! a layer: whiteout markers are entries here.
//! Invariant: offsets count from the first byte of the tar, whatever was read, skipped or sparse.

use std::io::{self, Read};

use super::decode::{Header, Role};
use super::header::{Block, padding};
use super::overrides::Overrides;
use super::sparse::{Source, SparseMap};
use super::stream::{NextBlock, Stream};
use crate::{Entry, Limits, TarError, TarResult};

/// One entry as found in a tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TarEntry {
    /// What the tar says; `Kind::File { size }` is the logical size, holes included.
    pub entry: Entry,
    /// Where the entry's data start, counted from the start of the tar.
    pub data_offset: u64,
    /// For sparse files the `(offset in the file, length)` of the data, which lie back to back from `data_offset`.
    pub sparse: Option<Vec<(u64, u64)>>,
}

/// Reads entries one after another; as a [`Read`], gives the content of the entry that came last, holes as zeros.
#[derive(Debug)]
pub struct TarReader<R> {
    stream: Stream<R>,
    limits: Limits,
    headers: u64,
    content: Content,
    ended: bool,
}

/// What is left to read of the present entry.
#[derive(Debug, Default)]
struct Content {
    /// Bytes of data in the tar, and the padding behind them.
    stored_left: u64,
    padding: u64,
    /// Place in the file, and the file's length.
    position: u64,
    size: u64,
    /// Runs still to come, the present one in front; `None` for files without holes.
    runs: Option<std::vec::IntoIter<(u64, u64)>>,
    run: (u64, u64),
}

impl<R: Read> TarReader<R> {
    /// Starts at the first byte of a tar.
    pub fn new(inner: R, limits: Limits) -> Self {
        let stream = Stream::new(inner);
        Self {
            stream,
            limits,
            headers: 0,
            content: Content::default(),
            ended: false,
        }
    }

    /// The next entry, or `None` at the end of the archive. Unread data of the last one are skipped.
    pub fn next_entry(&mut self) -> TarResult<Option<TarEntry>> {
        let mut overrides = Overrides::default();
        loop {
            self.skip_content()?;
            let offset = self.stream.position();
            let Some(block) = self.next_header()? else {
                return Ok(None);
            };
            let header = Header {
                block: &block,
                offset,
            };
            header.verify()?;
            let role = Role::of(header.flag());
            match role {
                Role::Entry | Role::OldSparse => {
                    return self.open_entry(&header, role, overrides).map(Some);
                }
                Role::Pax => {
                    let data = self.extension(&header, self.limits.pax_len)?;
                    overrides.apply_pax(&data, offset, &self.limits)?;
                }
                Role::LongName | Role::LongLink => {
                    let data = self.extension(&header, Overrides::MAX_LONG_NAME)?;
                    overrides.apply_long_name(role == Role::LongLink, &data);
                }
                Role::Skipped => {
                    let len = header.stored_len(&Overrides::default())?;
                    self.set_content(Content {
                        stored_left: len,
                        padding: padding(len),
                        ..Content::default()
                    });
                }
                Role::Unsupported => {
                    let name = header.name(&overrides);
                    return Err(TarError::UnsupportedType {
                        name,
                        flag: header.flag(),
                    });
                }
            }
        }
    }

    /// Reads all that is left, for who hashes the stream, and gives the tar's whole length.
    ///
    /// To be called when [`Self::next_entry`] gave `None`: the diff id covers what follows the end marker too.
    pub fn finish_reading(&mut self) -> TarResult<u64> {
        self.skip_content()?;
        self.ended = true;
        self.stream.skip(u64::MAX)?;
        Ok(self.stream.position())
    }

    /// The stream below; bytes read ahead are lost.
    pub fn into_inner(self) -> R {
        self.stream.into_inner()
    }

    /// The next header block; a block of zeros or the end of the stream ends the archive.
    fn next_header(&mut self) -> TarResult<Option<Block>> {
        if self.ended {
            return Ok(None);
        }
        let block = match self.stream.next_block()? {
            NextBlock::Block(block) if block.iter().any(|&byte| byte != 0) => block,
            NextBlock::Block(_) | NextBlock::End => {
                self.ended = true;
                return Ok(None);
            }
        };
        self.headers += 1;
        if self.headers > self.limits.entries {
            let (limit, offset) = (self.limits.entries, self.stream.position());
            return Err(TarError::LimitExceeded {
                what: "entries",
                limit,
                offset,
            });
        }
        Ok(Some(block))
    }

    /// The data of a header that speaks about the next one.
    fn extension(&mut self, header: &Header<'_>, limit: u64) -> TarResult<Vec<u8>> {
        let len = header.stored_len(&Overrides::default())?;
        if len > limit {
            let offset = header.offset;
            return Err(TarError::LimitExceeded {
                what: "bytes of extended header",
                limit,
                offset,
            });
        }
        let mut data = vec![0; len as usize];
        self.stream.read_exact(&mut data)?;
        self.set_content(Content {
            padding: padding(len),
            ..Content::default()
        });
        Ok(data)
    }

    fn open_entry(
        &mut self,
        header: &Header<'_>,
        role: Role,
        mut overrides: Overrides,
    ) -> TarResult<TarEntry> {
        let name = header.name(&overrides);
        let stored_len = header.stored_len(&overrides)?;
        let padding = padding(stored_len);
        let mut source = Source {
            stream: &mut self.stream,
            limits: &self.limits,
            name: &name,
            stored_len,
        };
        let sparse = match role {
            Role::OldSparse => Some(source.old_map(header.block)?),
            _ => source.pax_map(&overrides.sparse)?,
        };
        let (size, data_len) = match &sparse {
            Some(SparseMap { size, data_len, .. }) => (*size, *data_len),
            None => (stored_len, stored_len),
        };
        let entry = header.entry(&name, &mut overrides, size)?;
        let data_offset = self.stream.position();
        if data_offset
            .checked_add(stored_len)
            .is_none_or(|end| i64::try_from(end).is_err())
        {
            return Err(TarError::BadNumber {
                field: "size",
                offset: header.offset,
            });
        }
        let sparse = sparse.map(|map| map.runs);
        self.set_content(Content {
            stored_left: data_len,
            padding,
            position: 0,
            size: entry.data_len(),
            runs: sparse.clone().map(Vec::into_iter),
            run: (0, 0),
        });
        Ok(TarEntry {
            entry,
            data_offset,
            sparse,
        })
    }

    fn set_content(&mut self, content: Content) {
        self.content = content;
    }

    /// Moves behind the present entry. Padding may be missing at the very end of the stream.
    fn skip_content(&mut self) -> TarResult<()> {
        let content = std::mem::take(&mut self.content);
        if self.stream.skip(content.stored_left)? < content.stored_left {
            return Err(self.stream.truncated());
        }
        if self.stream.skip(content.padding)? < content.padding {
            self.ended = true;
        }
        Ok(())
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let content = &mut self.content;
        let (hole, data) = content.ahead();
        if hole > 0 {
            let len = at_most(buf, hole);
            buf[..len].fill(0);
            content.position += len as u64;
            return Ok(len);
        }
        let len = at_most(buf, data);
        if len == 0 {
            return Ok(0);
        }
        let got = self.stream.read_some(&mut buf[..len])?;
        if got == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                self.stream.truncated(),
            ));
        }
        content.position += got as u64;
        content.stored_left -= got as u64;
        Ok(got)
    }
}

impl Content {
    /// Length of the hole here, or else of the data here.
    fn ahead(&mut self) -> (u64, u64) {
        let Some(runs) = &mut self.runs else {
            return (0, self.size - self.position);
        };
        let end = |(offset, len): (u64, u64)| offset + len;
        if self.position >= end(self.run) {
            self.run = runs.next().unwrap_or((self.size, 0));
        }
        match self.run.0.checked_sub(self.position) {
            Some(hole) if hole > 0 => (hole, 0),
            _ => (0, end(self.run) - self.position),
        }
    }
}

fn at_most(buf: &[u8], len: u64) -> usize {
    buf.len().min(usize::try_from(len).unwrap_or(usize::MAX))
}
