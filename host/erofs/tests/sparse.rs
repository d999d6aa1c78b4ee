//! Sparse files in an index: content equals what the tar reader gives, whatever the map.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod support;

use std::io::{Cursor, Read};

use kiln_erofs::{BuildError, Index, IndexBuilder, Source};
use kiln_layer::{Entry, Kind};
use support::pattern;

/// A file with runs, as it lies in a tar from byte 512 on, and its content.
struct Sparse {
    size: u64,
    runs: Vec<(u64, u64)>,
    tar: Vec<u8>,
}

impl Sparse {
    fn new(size: u64, runs: &[(u64, u64)]) -> Self {
        let stored: u64 = runs.iter().map(|run| run.1).sum();
        let mut tar = vec![0; 512];
        tar.extend(pattern(size ^ stored, stored as usize));
        tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
        Self {
            size,
            runs: runs.to_vec(),
            tar,
        }
    }

    fn content(&self) -> Vec<u8> {
        let mut content = vec![0; self.size as usize];
        let mut from = 512;
        for &(offset, len) in &self.runs {
            let (offset, len) = (offset as usize, len as usize);
            content[offset..offset + len].copy_from_slice(&self.tar[from..from + len]);
            from += len;
        }
        content
    }

    fn builder(&self) -> IndexBuilder {
        let mut builder = IndexBuilder::new();
        let entry = Entry::new("f", Kind::File { size: self.size }, 0o644);
        builder.add(&entry, 512, Some(&self.runs)).unwrap();
        builder
    }

    fn index(&self) -> Index {
        let mut bytes = Vec::new();
        let mut read = |offset: u64, target: &mut [u8]| {
            let offset = offset as usize;
            target.copy_from_slice(&self.tar[offset..offset + target.len()]);
            Ok(())
        };
        let builder = self.builder();
        builder
            .finish_with_data(self.tar.len() as u64, &mut read, &mut bytes)
            .unwrap();
        let index = Index::parse(bytes).unwrap();
        index.check().unwrap();
        index
    }

    fn read_back(&self) -> Vec<u8> {
        let index = self.index();
        let nid = index.lookup(index.root(), b"f").unwrap().unwrap();
        let mut content = Vec::new();
        index
            .open_file(nid, Cursor::new(&self.tar))
            .unwrap()
            .read_to_end(&mut content)
            .unwrap();
        content
    }
}

#[test]
fn aligned_maps_copy_nothing() {
    for (size, runs) in [
        (1 << 20, vec![]),
        (1 << 20, vec![(0, 4096)]),
        (
            1 << 20,
            vec![(4096, 4096), (65_536, 512), (1_000_448, 48_128)],
        ),
        (100_001, vec![(8192, 512), (99_840, 161)]),
    ] {
        let sparse = Sparse::new(size, &runs);
        let mut bytes = Vec::new();
        sparse
            .builder()
            .finish(sparse.tar.len() as u64, &mut bytes)
            .unwrap();
        assert!(sparse.read_back() == sparse.content(), "{runs:?}");
    }
}

#[test]
fn odd_maps_are_copied_where_they_must() {
    for (size, runs) in [
        (10_000, vec![(1, 1)]),
        (10_000, vec![(0, 100), (101, 300), (9_000, 1_000)]),
        (5_000, vec![(512, 700), (1_500, 3_500)]),
        (700, vec![(0, 600)]),
    ] {
        let sparse = Sparse::new(size, &runs);
        assert!(sparse.read_back() == sparse.content(), "{runs:?}");
        let without_tar = sparse
            .builder()
            .finish(sparse.tar.len() as u64, &mut Vec::new());
        assert!(
            matches!(without_tar, Err(BuildError::Unaligned { .. })),
            "{runs:?}"
        );
    }
}

#[test]
fn random_maps_are_read_back() {
    let mut seeds = pattern(77, 80_000).into_iter().map(u64::from);
    let mut next = || seeds.next().unwrap() << 8 | seeds.next().unwrap();
    for round in 0..150 {
        let unit = [1, 512, 4096][round % 3];
        let (mut runs, mut at) = (Vec::new(), 0);
        for _ in 0..next() % 12 {
            let offset = at + next() % 40 * unit;
            let len = (1 + next() % 40) * unit;
            runs.push((offset, len));
            at = offset + len;
        }
        let sparse = Sparse::new(at + next() % 3000, &runs);
        assert!(sparse.read_back() == sparse.content(), "{round}: {runs:?}");
    }
}

#[test]
fn a_tar_without_its_last_padding_is_indexed() {
    let mut sparse = Sparse::new(700, &[(0, 700)]);
    sparse.tar.truncate(512 + 700);
    assert_eq!(sparse.read_back(), sparse.content());
}

#[test]
fn a_terabyte_of_holes_is_one_extent() {
    let sparse = Sparse {
        size: 1 << 40,
        runs: Vec::new(),
        tar: vec![0; 1024],
    };
    let index = sparse.index();
    let nid = index.lookup(index.root(), b"f").unwrap().unwrap();
    let extents = index.extents(nid).unwrap();
    assert_eq!(
        (extents.len(), extents[0].len, extents[0].source),
        (1, 1 << 40, Source::Hole)
    );
}

#[test]
fn malformed_maps_are_refused() {
    let entry = Entry::new("f", Kind::File { size: 1000 }, 0o644);
    for runs in [
        [(500, 10), (505, 10)],
        [(500, 10), (100, 10)],
        [(0, 1), (991, 10)],
        [(0, 1), (u64::MAX, 1)],
    ] {
        let result = IndexBuilder::new().add(&entry, 512, Some(&runs));
        assert!(
            matches!(result, Err(BuildError::SparseMap { .. })),
            "{runs:?}"
        );
    }
}
