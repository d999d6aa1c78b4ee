//! What the writer writes the reader reads, and nothing that is broken makes it panic.

mod support;

use std::io::{self, Cursor, Read};

use kiln_layer::{Entry, Kind, Limits, TarError, TarReader, TarWriter};
use support::{Random, file, read, write};

#[test]
fn entries_are_read_as_they_were_written() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let entries: Vec<_> = (0..20).map(|_| random.entry()).collect();
        let tar = write(&entries);
        let found = read(&tar).unwrap();
        assert_eq!(found.len(), entries.len(), "seed {seed}");
        for ((entry, data), (tar_entry, found_data)) in entries.iter().zip(&found) {
            assert_eq!(&tar_entry.entry, entry, "seed {seed}");
            assert_eq!(found_data, data, "seed {seed}");
            let start = tar_entry.data_offset as usize;
            assert_eq!(&tar[start..start + data.len()], &data[..], "seed {seed}");
        }
    }
}

#[test]
fn the_same_entries_give_the_same_bytes() {
    let entries = || {
        let mut random = Random::new(7);
        (0..50).map(|_| random.entry()).collect::<Vec<_>>()
    };
    assert_eq!(write(&entries()), write(&entries()));
}

#[test]
fn the_root_directory_keeps_its_metadata() {
    let mut root = Entry::new("", Kind::Dir, 0o700);
    root.uid = 5;
    let found = read(&write(&[(root.clone(), Vec::new())])).unwrap();
    assert_eq!(found[0].0.entry, root);
}

#[test]
fn sizes_beyond_the_octal_field_are_written() {
    let size = (8 << 30) + 5;
    let mut tar = TarWriter::new(Cursor::new(Vec::new()));
    let entry = Entry::new("big", Kind::File { size }, 0o644);
    assert_eq!(tar.begin(&entry).unwrap(), 1536);
    // Only the header matters here: leave the data out and look at what a reader sees first.
    let error = tar.end().unwrap_err();
    assert!(matches!(error, TarError::SourceShort { expected, got: 0, .. } if expected == size));
}

#[test]
fn parts_and_zeros_make_the_same_tar_as_one_stream() {
    let content = [&b"head"[..], &[0; 700_000], b"tail"].concat();
    let (entry, _) = file("f", content.clone());
    let mut parts = TarWriter::new(Vec::new());
    let offset = parts.begin(&entry).unwrap();
    parts.write_data(b"head").unwrap();
    parts.write_zeros(700_000).unwrap();
    parts.write_data(b"tail").unwrap();
    parts.end().unwrap();
    assert_eq!(offset, 512);
    assert_eq!(parts.finish().unwrap(), write(&[(entry, content)]));
}

#[test]
fn too_little_and_too_much_data_are_refused() {
    let (entry, _) = file("f", "12345");
    let mut tar = TarWriter::new(Vec::new());
    let short = tar.append(&entry, &mut &b"123"[..]);
    assert!(matches!(
        short,
        Err(TarError::SourceShort {
            expected: 5,
            got: 3,
            ..
        })
    ));
    let mut tar = TarWriter::new(Vec::new());
    tar.begin(&entry).unwrap();
    assert!(matches!(
        tar.write_data(b"123456"),
        Err(TarError::SourceLong { expected: 5, .. })
    ));
}

#[test]
fn skipped_content_leaves_offsets_right() {
    let mut random = Random::new(3);
    let entries = [
        file("a", random.bytes(1_000_000)),
        file("b", "b"),
        file("c", random.bytes(300_000)),
    ];
    let tar = write(&entries);
    let mut reader = TarReader::new(&tar[..], Limits::default());
    reader.next_entry().unwrap();
    reader.read_exact(&mut [0; 1000]).unwrap();
    reader.next_entry().unwrap();
    let last = reader.next_entry().unwrap().unwrap();
    let start = last.data_offset as usize;
    assert_eq!(&tar[start..start + 300_000], entries[2].1);
    assert_eq!(reader.next_entry().unwrap(), None);
}

#[test]
fn what_follows_the_end_marker_is_read_and_counted() {
    let mut tar = write(&[file("a", "a")]);
    tar.extend_from_slice(&[7; 100_001]);
    assert_eq!(read(&tar).unwrap().len(), 1);
}

#[test]
fn a_tar_may_end_without_marker_or_last_padding() {
    let tar = write(&[file("a", "abc")]);
    for len in [1024, 515, 600] {
        assert_eq!(read(&tar[..len]).unwrap()[0].1, b"abc", "{len}");
    }
    assert_eq!(read(b"").unwrap(), []);
}

#[test]
fn truncated_tars_are_told_from_complete_ones() {
    let tar = write(&[file("a", vec![1; 2000]), file("b", "b")]);
    for len in [1, 511, 513, 600, 2511, 2561, 3072] {
        let result = read(&tar[..len]);
        assert!(
            matches!(result, Err(TarError::Truncated { .. } | TarError::Io(_))),
            "{len}"
        );
    }
}

#[test]
fn escaping_names_are_refused_by_name() {
    let tar = write(&[(Entry::new("../etc/passwd", Kind::Fifo, 0o644), Vec::new())]);
    let Err(TarError::Path { name, .. }) = read(&tar) else {
        panic!("accepted")
    };
    assert_eq!(name, b"../etc/passwd");
}

#[test]
fn limits_hold() {
    let mut entry = file("a", "").0;
    entry.xattrs.insert(b"user.a".to_vec(), vec![0; 5000]);
    let tar = write(&[(entry, Vec::new()), file("b", "")]);
    let defaults = Limits::default();
    for limits in [
        Limits {
            entries: 2,
            ..defaults
        },
        Limits {
            pax_len: 4000,
            ..defaults
        },
        Limits {
            xattr_len: 4000,
            ..defaults
        },
    ] {
        let mut reader = TarReader::new(&tar[..], limits);
        let result = std::iter::from_fn(|| reader.next_entry().transpose()).find(Result::is_err);
        assert!(
            matches!(result, Some(Err(TarError::LimitExceeded { .. }))),
            "{limits:?}"
        );
    }
}

#[test]
fn no_mutation_of_a_tar_makes_the_reader_panic() {
    let mut random = Random::new(11);
    let entries: Vec<_> = (0..12).map(|_| random.entry()).collect();
    let tar = write(&entries);
    for _ in 0..4000 {
        let mut broken = tar.clone();
        for _ in 0..=random.below(4) {
            let block = random.below(broken.len() as u64 / 512) as usize * 512;
            let at = block + random.below(512) as usize;
            broken[at] = random.one_of(&[0, 1, b'0', b'7', b'S', b'x', b'L', 0x80, 0xff]);
            reseal(&mut broken[block..block + 512]);
        }
        broken.truncate(random.below(broken.len() as u64 * 4) as usize);
        let _ = read_all(&broken);
    }
}

#[test]
fn no_random_header_makes_the_reader_panic() {
    let mut random = Random::new(12);
    for _ in 0..4000 {
        let mut tar = random.bytes(512 * 6);
        for block in tar.chunks_exact_mut(512) {
            block[124..136].copy_from_slice(b"00000001000\0");
            block[156] = random.one_of(b"0125SxLKg");
            block[257..265].copy_from_slice(random.one_of(&[b"ustar\x0000", b"ustar  \0"]));
            reseal(block);
        }
        let _ = read_all(&tar);
    }
}

/// Makes the checksum right again, so that what is behind it is reached.
fn reseal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Reads without keeping, as claimed sizes may be huge.
fn read_all(tar: &[u8]) -> Result<(), TarError> {
    let mut reader = TarReader::new(tar, Limits::default());
    while reader.next_entry()?.is_some() {
        io::copy(&mut (&mut reader).take(1 << 20), &mut io::sink())?;
    }
    reader.finish_reading().map(drop)
}
