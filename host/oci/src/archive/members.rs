//! The members of an archive: names mapped to ranges of the file, links followed within the map.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::archive::error::ArchiveError;
use crate::archive::tar_headers::{BLOCK, Header, Overrides, padding};

/// Far more than an archive of many images has; bounds memory.
const MAX_MEMBERS: usize = 200_000;
/// Longest JSON document read, manifests and configs alike. Registries stop at 4 MiB.
pub(crate) const MAX_DOCUMENT_LEN: u64 = 8 << 20;
/// Most bytes of documents read in all: a few members can be named by thousands of images.
const MAX_DOCUMENTS_LEN: u64 = 64 << 20;
/// Longest pax header or long name.
const MAX_EXTENSION_LEN: u64 = 64 << 10;
/// Links to links; old Docker archives have one level.
const MAX_LINKS: usize = 8;

/// A range of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub offset: u64,
    pub size: u64,
}

enum Member {
    File(Range),
    Link(String),
}

/// All members of one archive.
pub(crate) struct Members {
    file: Arc<Mutex<File>>,
    /// Bytes of documents that may still be read.
    documents_left: AtomicU64,
    by_name: HashMap<String, Member>,
}

impl Members {
    /// Reads all headers.
    pub fn scan(mut file: File) -> Result<Members, ArchiveError> {
        let mut by_name = HashMap::new();
        let length = file.seek(SeekFrom::End(0))?;
        let mut scan = Scan {
            file: &mut file,
            length,
            at: 0,
        };
        while let Some((name, member)) = scan.next_member()? {
            by_name.insert(name, member);
            if by_name.len() > MAX_MEMBERS {
                return Err(ArchiveError::TooManyEntries { limit: MAX_MEMBERS });
            }
        }
        Ok(Members {
            file: Arc::new(Mutex::new(file)),
            documents_left: AtomicU64::new(MAX_DOCUMENTS_LEN),
            by_name,
        })
    }

    pub fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The range of a member, links followed.
    pub fn range(&self, name: &str) -> Result<Range, ArchiveError> {
        let mut at = name.to_owned();
        for _ in 0..=MAX_LINKS {
            match self.by_name.get(&at) {
                Some(Member::File(range)) => return Ok(*range),
                Some(Member::Link(target)) => at.clone_from(target),
                None => break,
            }
        }
        Err(ArchiveError::Missing {
            name: shortened(name),
        })
    }

    /// A whole document.
    pub fn document(&self, name: &str) -> Result<Vec<u8>, ArchiveError> {
        let range = self.range(name)?;
        if range.size > MAX_DOCUMENT_LEN {
            return Err(ArchiveError::TooLong {
                name: shortened(name),
                len: range.size,
                limit: MAX_DOCUMENT_LEN,
            });
        }
        let take = |left: u64| left.checked_sub(range.size);
        self.documents_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .map_err(|_| ArchiveError::TooManyDocuments {
                limit: MAX_DOCUMENTS_LEN,
            })?;
        let mut content = Vec::new();
        self.open(range).read_to_end(&mut content)?;
        Ok(content)
    }

    /// Reads a range; any number of readers may be open at once.
    pub fn open(&self, range: Range) -> RangeReader {
        RangeReader {
            file: Arc::clone(&self.file),
            range,
        }
    }
}

/// A reader of one range of the archive.
pub(crate) struct RangeReader {
    file: Arc<Mutex<File>>,
    range: Range,
}

impl Read for RangeReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let step = (out.len() as u64).min(self.range.size) as usize;
        if step == 0 {
            return Ok(0);
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.range.offset))?;
        let read = file.read(&mut out[..step])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.range.offset += read as u64;
        self.range.size -= read as u64;
        Ok(read)
    }
}

struct Scan<'a> {
    file: &'a mut File,
    length: u64,
    at: u64,
}

impl Scan<'_> {
    /// The next file or link.
    fn next_member(&mut self) -> Result<Option<(String, Member)>, ArchiveError> {
        let mut overrides = Overrides::default();
        loop {
            let start = self.at;
            let Some(block) = self.next_block()? else {
                return Ok(None);
            };
            let header = Header(&block);
            if header.is_end() {
                return Ok(None);
            }
            let size = header.size().filter(|_| header.has_good_checksum());
            let size = size.ok_or(ArchiveError::NotATar { offset: start })?;
            if matches!(header.kind(), b'x' | b'L' | b'K' | b'g') {
                self.read_extension(&header, size, &mut overrides)?;
                continue;
            }
            let found = self.member(&header, size, std::mem::take(&mut overrides))?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// What a header stands for; none for folders and the like.
    fn member(
        &mut self,
        header: &Header<'_>,
        size: u64,
        overrides: Overrides,
    ) -> Result<Option<(String, Member)>, ArchiveError> {
        let name = overrides.path.unwrap_or_else(|| header.name());
        let name = String::from_utf8_lossy(&name);
        let link = overrides.link.unwrap_or_else(|| header.link_name());
        let link = String::from_utf8_lossy(&link);
        let member = match header.kind() {
            0 | b'0' | b'7' => {
                let size = overrides.size.unwrap_or(size);
                Member::File(self.skip(&name, size)?)
            }
            b'1' => Member::Link(normalised("", &link)),
            b'2' => Member::Link(beside(&name, &link)),
            _ => return Ok(None),
        };
        Ok(Some((normalised("", &name), member)))
    }

    /// Takes what a header in front of another says about it.
    fn read_extension(
        &mut self,
        header: &Header<'_>,
        size: u64,
        overrides: &mut Overrides,
    ) -> Result<(), ArchiveError> {
        let content = self.extension(size)?;
        match header.kind() {
            b'x' => overrides.read_pax(&content),
            b'L' => overrides.path = Some(trimmed(content)),
            b'K' => overrides.link = Some(trimmed(content)),
            // Global headers hold comments; nothing here needs them.
            _ => {}
        }
        Ok(())
    }

    fn next_block(&mut self) -> Result<Option<[u8; 512]>, ArchiveError> {
        if self.at == self.length {
            return Ok(None);
        }
        if self.length - self.at < BLOCK {
            return Err(ArchiveError::NotATar { offset: self.at });
        }
        let mut block = [0; 512];
        self.file.seek(SeekFrom::Start(self.at))?;
        self.file.read_exact(&mut block)?;
        self.at += BLOCK;
        Ok(Some(block))
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        if size > MAX_EXTENSION_LEN {
            let name = "tar extension header".to_owned();
            return Err(ArchiveError::TooLong {
                name,
                len: size,
                limit: MAX_EXTENSION_LEN,
            });
        }
        let range = self.skip("tar extension header", size)?;
        let mut content = vec![0; size as usize];
        self.file.seek(SeekFrom::Start(range.offset))?;
        self.file.read_exact(&mut content)?;
        Ok(content)
    }

    /// Passes over content; the padding of the last may be missing.
    fn skip(&mut self, name: &str, size: u64) -> Result<Range, ArchiveError> {
        let offset = self.at;
        let end = offset.checked_add(size).filter(|end| *end <= self.length);
        let end = end.ok_or_else(|| ArchiveError::Truncated {
            name: shortened(name),
        })?;
        self.at = (end + padding(size)).min(self.length);
        Ok(Range { offset, size })
    }
}

fn trimmed(mut name: Vec<u8>) -> Vec<u8> {
    while name.last() == Some(&0) {
        name.pop();
    }
    name
}

/// Where a symlink in the folder of `name` leads.
fn beside(name: &str, target: &str) -> String {
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    normalised(if target.starts_with('/') { "" } else { folder }, target)
}

/// A name without `.`, `..` and empty parts, from `folder` on. What leads above the top stays at the top,
/// as in a file system's root.
pub(crate) fn normalised(folder: &str, name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// A name as it may stand in a message.
pub(crate) fn shortened(name: &str) -> String {
    name.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_the_archive() {
        for (folder, name, expected) in [
            ("", "./a//b/", "a/b"),
            ("", "../../etc/passwd", "etc/passwd"),
            ("x/y", "../z/layer.tar", "x/z/layer.tar"),
            ("x", "../../..", ""),
        ] {
            assert_eq!(normalised(folder, name), expected);
        }
        assert_eq!(
            beside("id/layer.tar", "../other/layer.tar"),
            "other/layer.tar"
        );
        assert_eq!(
            beside("id/layer.tar", "/other/layer.tar"),
            "other/layer.tar"
        );
    }
}
