//! Broken indexes are refused or read in part, without panic and without end.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod support;

use std::io::{Cursor, Read};

use kiln_erofs::{Index, IndexBuilder, IndexError, Nid};
use kiln_layer::{Limits, TarReader};
use support::{build, dir, everything, file, pattern};

/// Reads all that an index says, in every way that the API has.
fn read_all(bytes: Vec<u8>) -> Result<(), IndexError> {
    let index = Index::parse(bytes)?;
    let _ = index.check();
    walk(&index, index.root(), &mut 20_000)
}

fn walk(index: &Index, dir: Nid, budget: &mut u32) -> Result<(), IndexError> {
    for entry in index.read_dir(dir)? {
        // Shared directories make a walk long but finite; the store's check refuses them.
        *budget = budget.saturating_sub(1);
        if *budget == 0 {
            return Ok(());
        }
        let _ = index.lookup(dir, entry.name);
        let _ = index.inode(entry.nid);
        if let Ok(content) = index.open_file(entry.nid, Cursor::new(&[1; 4096])) {
            let _ = content.take(10_000).read_to_end(&mut Vec::new());
        }
        let _ = walk(index, entry.nid, budget);
    }
    Ok(())
}

fn small_layer() -> Vec<u8> {
    let mut entries = everything();
    entries
        .retain(|(entry, _)| !entry.path.starts_with(b"big/name-0") || entry.path.ends_with(b"x"));
    entries.truncate(60);
    entries.extend([dir("a/b/c/d", 0o755), file("a/b/f", "x")]);
    build(&entries).index
}

#[test]
fn mutated_indexes_never_panic() {
    let index = small_layer();
    let mut random = Random(9);
    for _ in 0..3000 {
        let mut broken = index.clone();
        for _ in 0..=random.below(3) {
            let at = 1024 + random.below(broken.len() - 1024);
            broken[at] = [0, 1, 0x7f, 0x80, 0xff, broken[at] ^ 1][random.below(6)];
        }
        let _ = read_all(broken);
    }
}

#[test]
fn mutated_inodes_never_panic() {
    let index = small_layer();
    let mut random = Random(10);
    for _ in 0..3000 {
        let mut broken = index.clone();
        let inode = 1536 + 32 * random.below(40);
        for _ in 0..=random.below(3) {
            broken[inode + random.below(64)] = random.next() as u8;
        }
        let _ = read_all(broken);
    }
}

#[test]
fn truncated_indexes_are_refused() {
    let index = small_layer();
    for len in (0..index.len()).step_by(97) {
        assert!(Index::parse(index[..len].to_vec()).is_err(), "{len}");
    }
}

#[test]
fn a_directory_that_holds_its_parent_is_refused() {
    let mut bytes = build(&[dir("a/b", 0o755)]).index;
    let index = Index::parse(bytes.clone()).unwrap();
    let a = index.lookup(index.root(), b"a").unwrap().unwrap();
    let b = index.lookup(a, b"b").unwrap().unwrap();
    // The entry for `b` in `a`: the only place that names b with a directory's type, besides its own `.`.
    let entry = [&b.get().to_le_bytes()[..], &[0]].concat();
    let at = bytes
        .windows(9)
        .position(|window| window[..8] == entry[..8])
        .unwrap();
    bytes[at..at + 8].copy_from_slice(&index.root().get().to_le_bytes());
    let broken = Index::parse(bytes).unwrap();
    assert!(matches!(
        broken.check(),
        Err(IndexError::Inode {
            what: "order of directories",
            ..
        })
    ));
}

#[test]
fn claims_of_giant_sizes_cost_nothing() {
    let bytes = build(&[file("f", "x"), dir("d", 0o755)]).index;
    let index = Index::parse(bytes.clone()).unwrap();
    for name in [&b"f"[..], b"d"] {
        let nid = index.lookup(index.root(), name).unwrap().unwrap();
        let mut broken = bytes.clone();
        let size = nid.get() as usize * 32 + 8;
        broken[size..size + 8].copy_from_slice(&(1_u64 << 62).to_le_bytes());
        assert!(Index::parse(broken).unwrap().check().is_err());
    }
}

#[test]
fn mutated_tars_never_make_the_builder_panic() {
    let mut entries = everything();
    entries.retain(|(entry, _)| {
        !entry.path.starts_with(b"big/") && !entry.path.starts_with(b"files/")
    });
    let tar = build(&entries).tar;
    let mut random = Random(21);
    for _ in 0..300 {
        let mut broken = tar.clone();
        for _ in 0..=random.below(6) {
            let block = 512 * random.below(broken.len() / 512);
            let at = block
                + [
                    random.below(100),
                    124 + random.below(12),
                    156,
                    157 + random.below(60),
                ][random.below(4)];
            broken[at] = [b'0', b'1', b'2', b'5', b'/', b'.', 0, 0xff][random.below(8)];
            reseal(&mut broken[block..block + 512]);
        }
        index_tar(&broken);
    }
}

fn index_tar(tar: &[u8]) {
    let mut reader = TarReader::new(tar, Limits::default());
    let mut builder = IndexBuilder::new();
    while let Ok(Some(found)) = reader.next_entry() {
        let _ = builder.add(&found.entry, found.data_offset, found.sparse.as_deref());
    }
    let mut index = Vec::new();
    if builder.finish(tar.len() as u64, &mut index).is_ok() {
        Index::parse(index).unwrap().check().unwrap();
    }
}

fn reseal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// The same numbers on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        let bytes = pattern(self.0, 16);
        u64::from_le_bytes(*bytes.last_chunk().unwrap())
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
