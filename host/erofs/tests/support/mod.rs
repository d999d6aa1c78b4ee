#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "test support, of which each test uses its part"
)]
//! A layer with one of everything, as tar and index.

use std::collections::BTreeMap;
use std::io::Cursor;

use kiln_erofs::IndexBuilder;
use kiln_layer::{Entry, Kind, TarWriter};

/// A layer's two files.
pub struct Layer {
    pub tar: Vec<u8>,
    pub index: Vec<u8>,
}

/// Writes entries with their contents as tar and index.
pub fn build(entries: &[(Entry, Vec<u8>)]) -> Layer {
    let mut tar = TarWriter::new(Vec::new());
    let mut builder = IndexBuilder::new();
    for (entry, data) in entries {
        let offset = tar.append(entry, &mut Cursor::new(data)).unwrap();
        builder.add(entry, offset, None).unwrap();
    }
    let tar = tar.finish().unwrap();
    let mut index = Vec::new();
    builder.finish(tar.len() as u64, &mut index).unwrap();
    Layer { tar, index }
}

pub fn dir(path: &str, mode: u32) -> (Entry, Vec<u8>) {
    (Entry::new(path, Kind::Dir, mode), Vec::new())
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

pub fn symlink(path: &str, target: impl Into<Vec<u8>>) -> (Entry, Vec<u8>) {
    (
        Entry::new(
            path,
            Kind::Symlink {
                target: target.into(),
            },
            0o777,
        ),
        Vec::new(),
    )
}

pub fn hardlink(path: &str, target: &str) -> (Entry, Vec<u8>) {
    (
        Entry::new(
            path,
            Kind::Hardlink {
                target: target.into(),
            },
            0o644,
        ),
        Vec::new(),
    )
}

/// Content that differs at every offset and from file to file.
pub fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(step)
        .take(len.div_ceil(8))
        .flatten()
        .collect();
    bytes.truncate(len);
    bytes
}

/// One of everything that a layer can hold.
pub fn everything() -> Vec<(Entry, Vec<u8>)> {
    let with = |(mut entry, data): (Entry, Vec<u8>), change: &dyn Fn(&mut Entry)| {
        change(&mut entry);
        (entry, data)
    };
    let device = |path: &str, kind| (Entry::new(path, kind, 0o660), Vec::new());
    let xattrs = |pairs: &[(&str, &[u8])]| -> BTreeMap<Vec<u8>, Vec<u8>> {
        pairs
            .iter()
            .map(|&(name, value)| (name.into(), value.to_vec()))
            .collect()
    };
    let mut entries = vec![
        with(dir("", 0o755), &|root| root.mtime = 1_600_000_000),
        with(dir("big", 0o2775), &|dir| (dir.uid, dir.gid) = (1000, 50)),
    ];
    for number in 0..1000 {
        let len = (number * 37) % 3000;
        entries.push(file(
            &format!("big/name-{number:04}-{}", "x".repeat(number % 60)),
            pattern(number as u64, len),
        ));
    }
    entries.extend([
        dir("files", 0o755),
        file("files/empty", ""),
        file("files/one", "1"),
        file("files/block", pattern(1, 512)),
        file("files/block+1", pattern(2, 513)),
        file("files/page", pattern(3, 4096)),
        file("files/large", pattern(4, 3_000_001)),
        with(file("files/setuid", "#!/bin/sh\n"), &|file| {
            (file.mode, file.uid, file.gid, file.mtime) = (0o4755, 3_000_000, 4_000_000, -5)
        }),
        with(file("files/xattrs", "x"), &|file| {
            file.xattrs = xattrs(&[
                (
                    "security.capability",
                    b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                ),
                ("trusted.overlay.redirect", b"/elsewhere"),
                ("user.long", &pattern(9, 3000)),
                ("user.short", b"value"),
            ]);
        }),
        hardlink("files/hard", "files/large"),
        symlink("files/link", "one"),
        symlink("files/long-link", "y".repeat(4095)),
        symlink("files/longer-link", format!("../{}", "z/".repeat(300))),
        device("null", Kind::CharDevice { major: 1, minor: 3 }),
        device(
            "disk",
            Kind::BlockDevice {
                major: 259,
                minor: 70_000,
            },
        ),
        device("pipe", Kind::Fifo),
        file("implied/parents/deep", "deep"),
        file(".wh.gone", ""),
        file("opaque/.wh..wh..opq", ""),
        file("opaque/new", "new"),
        file("replaced/.wh.dir", ""),
        file("replaced/dir/new", "new"),
        file("!first", "sorts before the dots"),
        file(".-between", "sorts between the dots"),
        (
            Entry::new(&b"not-utf8-\xff\xfe"[..], Kind::File { size: 2 }, 0o600),
            b"ok".to_vec(),
        ),
        file(&"n".repeat(255), "longest name"),
    ]);
    entries
}
