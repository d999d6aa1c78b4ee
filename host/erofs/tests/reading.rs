//! What the builder was given is what the reader tells, and equal layers are equal bytes.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod support;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use kiln_erofs::{Index, Nid, Source};
use kiln_layer::{Entry, Kind, file_name, parent};
use support::{Layer, build, dir, everything, file, hardlink, symlink};

fn parse(layer: &Layer) -> Index {
    let index = Index::parse(layer.index.clone()).unwrap();
    index.check().unwrap();
    index
}

fn find(index: &Index, path: &[u8]) -> Option<Nid> {
    let names = path
        .split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty());
    names
        .into_iter()
        .try_fold(index.root(), |dir, name| index.lookup(dir, name).unwrap())
}

fn content(layer: &Layer, index: &Index, nid: Nid) -> Vec<u8> {
    let mut data = Vec::new();
    index
        .open_file(nid, Cursor::new(&layer.tar))
        .unwrap()
        .read_to_end(&mut data)
        .unwrap();
    data
}

fn is_marker(entry: &Entry) -> bool {
    file_name(&entry.path).starts_with(b".wh.")
}

#[test]
fn every_entry_is_found_with_its_metadata_and_content() {
    let entries = everything();
    let layer = build(&entries);
    let index = parse(&layer);
    for (entry, data) in entries.iter().filter(|(entry, _)| !is_marker(entry)) {
        let nid = find(&index, &entry.path).unwrap_or_else(|| panic!("{entry:?}"));
        let inode = index.inode(nid).unwrap();
        if let Kind::Hardlink { target } = &entry.kind {
            assert_eq!(Some(nid), find(&index, target));
            assert_eq!(inode.nlink, 2);
            continue;
        }
        let mut xattrs = entry.xattrs.clone();
        xattrs.remove(&b"trusted.overlay.redirect"[..]);
        assert_eq!(
            (&inode.kind, inode.mode),
            (&entry.kind, entry.mode),
            "{entry:?}"
        );
        assert_eq!(
            (inode.uid, inode.gid, inode.mtime),
            (entry.uid, entry.gid, entry.mtime)
        );
        assert_eq!(inode.xattrs, xattrs);
        if let Kind::File { .. } = entry.kind {
            assert!(content(&layer, &index, nid) == *data, "{entry:?}");
        }
    }
}

#[test]
fn directories_list_their_entries_in_order() {
    let entries = everything();
    let index = parse(&build(&entries));
    let mut expected: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
    for (entry, _) in entries
        .iter()
        .filter(|(entry, _)| !entry.path.is_empty() && !is_marker(entry))
    {
        let dir = parent(&entry.path).unwrap();
        expected
            .entry(dir)
            .or_default()
            .push(file_name(&entry.path));
    }
    for (dir, mut names) in expected {
        let nid = find(&index, dir).unwrap();
        let implied: &[&[u8]] = if dir.is_empty() {
            &[b"gone", b"implied", b"opaque", b"replaced"]
        } else {
            &[]
        };
        names.extend(implied);
        names.sort();
        let listed: Vec<_> = index
            .read_dir(nid)
            .unwrap()
            .iter()
            .map(|entry| entry.name)
            .collect();
        assert_eq!(listed, names, "{}", dir.escape_ascii());
    }
}

#[test]
fn missing_names_are_not_found() {
    let index = parse(&build(&everything()));
    for path in [
        &b"a"[..],
        b"zzz",
        b"!",
        b"!firsts",
        b"big/name",
        b"big/name-0500",
        b"files/oneone",
        b".",
        b"files/..",
    ] {
        assert_eq!(find(&index, path), None, "{}", path.escape_ascii());
    }
}

#[test]
fn whiteouts_and_opaque_directories_are_told() {
    let index = parse(&build(&everything()));
    let inode = |path: &str| index.inode(find(&index, path.as_bytes()).unwrap()).unwrap();
    assert!(inode("gone").is_whiteout());
    assert!(inode("opaque").opaque);
    assert!(inode("replaced/dir").opaque);
    assert!(!inode("files").opaque && !inode("null").is_whiteout());
    assert!(!index.hides_lower_layers().unwrap());
}

#[test]
fn file_data_are_extents_of_the_tar() {
    let layer = build(&[file("a", "a"), file("b", vec![7; 100_000])]);
    let index = parse(&layer);
    let extents = index.extents(find(&index, b"b").unwrap()).unwrap();
    let [extent] = extents[..] else {
        panic!("{extents:?}")
    };
    assert_eq!(
        (extent.file_offset, extent.len, extent.source),
        (0, 100_000, Source::Tar(1536))
    );
}

#[test]
fn the_same_entries_give_the_same_index() {
    assert!(build(&everything()).index == build(&everything()).index);
}

#[test]
fn an_empty_layer_is_a_bare_root() {
    let index = parse(&build(&[]));
    assert_eq!(index.read_dir(index.root()).unwrap(), []);
    let root = index.inode(index.root()).unwrap();
    assert_eq!(
        (root.mode, root.uid, root.mtime, root.nlink),
        (0o755, 0, 0, 2)
    );
}

#[test]
fn directories_of_every_size_can_be_searched() {
    // Sizes around the edges of inline directories and of blocks.
    for count in (0..60).chain([400, 3000]) {
        let names: Vec<String> = (0..count)
            .map(|number| format!("entry-{number:05}"))
            .collect();
        let entries: Vec<_> = names
            .iter()
            .map(|name| file(&format!("d/{name}"), ""))
            .collect();
        let index = parse(&build(&[&[dir("d", 0o755)], &entries[..]].concat()));
        let d = find(&index, b"d").unwrap();
        for name in &names {
            assert!(
                index.lookup(d, name.as_bytes()).unwrap().is_some(),
                "{count} {name}"
            );
            assert_eq!(
                index.lookup(d, &[name.as_bytes(), b"x"].concat()).unwrap(),
                None
            );
        }
        assert_eq!(index.read_dir(d).unwrap().len(), count);
    }
}

#[test]
fn link_targets_of_every_length_are_read_back() {
    for len in [1, 100, 447, 448, 449, 512, 1000, 4095] {
        let target = "t".repeat(len);
        let index = parse(&build(&[symlink("l", target.clone())]));
        let inode = index.inode(find(&index, b"l").unwrap()).unwrap();
        assert_eq!(
            inode.kind,
            Kind::Symlink {
                target: target.into()
            }
        );
    }
}

#[test]
fn directory_operations_on_files_are_refused() {
    let index = parse(&build(&[file("f", "x"), hardlink("g", "f")]));
    let f = find(&index, b"f").unwrap();
    assert!(index.read_dir(f).is_err() && index.lookup(f, b"x").is_err());
    assert!(index.extents(index.root()).is_err());
}
