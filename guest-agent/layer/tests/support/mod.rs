//! Seeded entries, and tars of them.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "test support, of which each test uses its part"
)]

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use kiln_layer::{Entry, Kind, Limits, TarEntry, TarReader, TarResult, TarWriter};

/// Xorshift: the same seed gives the same test, on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    fn name(&mut self, max_len: u64) -> Vec<u8> {
        let alphabet: &[u8] = self.one_of(&[b"ab.-_", b"xyz\xc3\xa4", b"\xff\x80q "]);
        let len = 1 + self.below(max_len);
        let name: Vec<u8> = (0..len).map(|_| self.one_of(alphabet)).collect();
        if name.iter().all(|&byte| byte == b'.') {
            b"dots".to_vec()
        } else {
            name
        }
    }

    pub fn path(&mut self) -> Vec<u8> {
        let depth = 1 + self.below(4);
        let max_len = self.one_of(&[6, 40, 120, 255]);
        (0..depth)
            .map(|_| self.name(max_len))
            .collect::<Vec<_>>()
            .join(&b'/')
    }

    fn kind(&mut self) -> Kind {
        let (major, minor) = (self.below(1 << 12) as u32, self.below(1 << 20) as u32);
        match self.below(9) {
            0..3 => Kind::File {
                size: self.one_of(&[0, 1, 511, 512, 513, 70_000]),
            },
            3 => Kind::Dir,
            4 => Kind::Symlink {
                target: [b"../", &self.path()[..]].concat(),
            },
            5 => Kind::Hardlink {
                target: self.path(),
            },
            6 => Kind::CharDevice { major, minor },
            7 => Kind::BlockDevice { major, minor },
            _ => Kind::Fifo,
        }
    }

    /// Any entry that a tar can hold, with content.
    pub fn entry(&mut self) -> (Entry, Vec<u8>) {
        let mut xattrs = BTreeMap::new();
        for _ in 0..self.below(3) {
            let len = self.below(200) as usize;
            xattrs.insert([b"user.", &self.name(30)[..]].concat(), self.bytes(len));
        }
        let entry = Entry {
            path: self.path(),
            kind: self.kind(),
            mode: self.below(0o10000) as u32,
            uid: self.one_of(&[0, 1000, 2_097_151, 2_097_152, u32::MAX]),
            gid: self.one_of(&[0, 50, 2_097_152, u32::MAX]),
            mtime: self.one_of(&[0, 1_700_000_000, -1, 1 << 33, 1 << 40, i64::MIN + 1]),
            xattrs,
        };
        let data = self.bytes(entry.data_len() as usize);
        (entry, data)
    }
}

pub fn write(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for (entry, data) in entries {
        let offset = tar.append(entry, &mut Cursor::new(data)).unwrap();
        assert_eq!(offset % 512, 0);
    }
    tar.finish().unwrap()
}

/// Every entry with its content.
pub fn read(tar: &[u8]) -> TarResult<Vec<(TarEntry, Vec<u8>)>> {
    let mut reader = TarReader::new(tar, Limits::default());
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut data = Vec::new();
        reader.read_to_end(&mut data)?;
        entries.push((entry, data));
    }
    assert_eq!(reader.finish_reading()?, tar.len() as u64);
    Ok(entries)
}

pub fn file(path: &str, data: impl Into<Vec<u8>>) -> (Entry, Vec<u8>) {
    let data = data.into();
    (
        Entry::new(
            path,
            Kind::File {
                size: data.len() as u64,
            },
            0o644,
        ),
        data,
    )
}
