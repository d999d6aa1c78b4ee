//! From a header block and its overrides to an [`Entry`].

use super::header::{self, Block};
use super::overrides::Overrides;
use crate::path::{MAX_PATH_LEN, PathError, normalise};
use crate::{Entry, Kind, TarError, TarResult};

/// What a header's type flag asks of the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// An entry of the layer.
    Entry,
    /// A sparse file in GNU's old encoding.
    OldSparse,
    /// Pax records for the next entry.
    Pax,
    /// Of no concern: global pax records, volume labels.
    Skipped,
    LongName,
    LongLink,
    Unsupported,
}

impl Role {
    pub fn of(flag: u8) -> Self {
        match flag {
            0 | b'0'..=b'7' | b'D' => Self::Entry,
            b'S' => Self::OldSparse,
            b'x' | b'X' => Self::Pax,
            b'g' | b'V' => Self::Skipped,
            b'L' => Self::LongName,
            b'K' => Self::LongLink,
            _ => Self::Unsupported,
        }
    }
}

/// A header with its place in the tar, for errors.
pub(crate) struct Header<'a> {
    pub block: &'a Block,
    pub offset: u64,
}

impl Header<'_> {
    /// Whether the checksum is right, also as those computed it who took bytes as signed.
    pub fn verify(&self) -> TarResult<()> {
        let stored = header::octal(&self.block[header::CHECKSUM]);
        let (unsigned, signed) = header::checksums(self.block);
        match stored == Some(i64::from(unsigned)) || stored == Some(i64::from(signed)) {
            true => Ok(()),
            false => Err(TarError::BadChecksum {
                offset: self.offset,
            }),
        }
    }

    pub fn flag(&self) -> u8 {
        self.block[header::TYPE]
    }

    fn bad_number(&self, field: &'static str) -> TarError {
        TarError::BadNumber {
            field,
            offset: self.offset,
        }
    }

    fn number(&self, range: std::ops::Range<usize>, field: &'static str) -> TarResult<i64> {
        header::number(&self.block[range]).ok_or_else(|| self.bad_number(field))
    }

    fn number_u32(&self, range: std::ops::Range<usize>, field: &'static str) -> TarResult<u32> {
        u32::try_from(self.number(range, field)?).map_err(|_| self.bad_number(field))
    }

    /// Bytes that follow the header. Links, devices and directories have none, whatever they claim.
    pub fn stored_len(&self, overrides: &Overrides) -> TarResult<u64> {
        if (b'1'..=b'6').contains(&self.flag()) {
            return Ok(0);
        }
        if let Some(size) = overrides.size {
            return Ok(size);
        }
        let size = self.number(header::SIZE, "size")?;
        u64::try_from(size).map_err(|_| self.bad_number("size"))
    }

    /// The name as stored: the overrides' or the header's own, with the prefix of its dialect.
    pub fn name(&self, overrides: &Overrides) -> Vec<u8> {
        if let Some(path) = overrides.sparse.name.as_ref().or(overrides.path.as_ref()) {
            return path.clone();
        }
        let name = header::text(&self.block[header::NAME]);
        let prefix = header::text(self.prefix());
        match prefix {
            b"" => name.to_vec(),
            prefix => [prefix, b"/", name].concat(),
        }
    }

    /// GNU keeps other fields there, star times in the last part.
    fn prefix(&self) -> &[u8] {
        if !self.block[header::MAGIC].starts_with(b"ustar\0") {
            return b"";
        }
        let is_star = self.block.ends_with(b"tar\0");
        let prefix = &self.block[header::PREFIX];
        if is_star { &prefix[..131] } else { prefix }
    }

    /// The entry; `size` is a file's logical size.
    pub fn entry(&self, name: &[u8], overrides: &mut Overrides, size: u64) -> TarResult<Entry> {
        let path_of = |name: &[u8]| {
            normalise(name).map_err(|source| TarError::Path {
                name: name.to_vec(),
                source,
            })
        };
        let mtime = match overrides.mtime {
            Some(mtime) => mtime,
            None => self.number(header::MTIME, "mtime")?,
        };
        let id = |value: Option<u32>, range, field| {
            value.map_or_else(|| self.number_u32(range, field), Ok)
        };
        Ok(Entry {
            path: path_of(name)?,
            kind: self.kind(name, overrides, size)?,
            mode: (self.number(header::MODE, "mode")? & 0o7777) as u32,
            uid: id(overrides.uid, header::UID, "uid")?,
            gid: id(overrides.gid, header::GID, "gid")?,
            mtime,
            xattrs: std::mem::take(&mut overrides.xattrs),
        })
    }

    fn kind(&self, name: &[u8], overrides: &mut Overrides, size: u64) -> TarResult<Kind> {
        let mut link = || {
            let own = || header::text(&self.block[header::LINK]).to_vec();
            overrides.link.take().unwrap_or_else(own)
        };
        let refuse = |source| TarError::Path {
            name: name.to_vec(),
            source,
        };
        Ok(match self.flag() {
            // Before directories had a type, their names ended so.
            0 if name.ends_with(b"/") => Kind::Dir,
            b'1' => Kind::Hardlink {
                target: normalise(&link()).map_err(refuse)?,
            },
            b'2' => {
                let target = link();
                if target.len() >= MAX_PATH_LEN {
                    return Err(refuse(PathError::TooLong));
                }
                if target.contains(&0) {
                    return Err(refuse(PathError::ZeroByte));
                }
                Kind::Symlink { target }
            }
            b'3' => {
                let (major, minor) = self.device()?;
                Kind::CharDevice { major, minor }
            }
            b'4' => {
                let (major, minor) = self.device()?;
                Kind::BlockDevice { major, minor }
            }
            b'5' | b'D' => Kind::Dir,
            b'6' => Kind::Fifo,
            _ => Kind::File { size },
        })
    }

    fn device(&self) -> TarResult<(u32, u32)> {
        let major = self.number_u32(header::MAJOR, "device major")?;
        Ok((major, self.number_u32(header::MINOR, "device minor")?))
    }
}
