//! A layer's tar: read it, index it, and read the index as host and store do. The index of a tar that was taken
//! must be sound, and entries must survive being written and read again.
#![no_main]

mod checksums;

use std::io::{Cursor, Read};

use kiln_erofs::{Index, IndexBuilder};
use kiln_layer::{Limits, TarReader, TarWriter};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    entries: 2000,
    pax_len: 64 << 10,
    xattr_len: 64 << 10,
    sparse_segments: 2000,
};

/// Most of one file that is read; holes make files far longer than their tars.
const READ: u64 = 64 << 10;

fuzz_target!(|bytes: &[u8]| {
    let bytes = &checksums::mended(bytes);
    rewrite(bytes);
    let Some(index) = index(bytes) else {
        return;
    };
    index.check().expect("an index that was written is sound");
    let mut folders = vec![index.root()];
    while let Some(folder) = folders.pop() {
        for entry in index.read_dir(folder).expect("a folder") {
            let inode = index.inode(entry.nid).expect("an inode");
            let found = index.lookup(folder, entry.name).expect("a folder");
            assert_eq!(found, Some(entry.nid));
            if inode.is_dir() {
                folders.push(entry.nid);
            }
            if let kiln_layer::Kind::File { size } = inode.kind {
                let file = index
                    .open_file(entry.nid, Cursor::new(bytes))
                    .expect("a file");
                let read = std::io::copy(&mut file.take(READ), &mut std::io::sink());
                assert_eq!(read.expect("all of a file is in the tar"), size.min(READ));
            }
        }
    }
});

fn index(bytes: &[u8]) -> Option<Index> {
    let mut reader = TarReader::new(bytes, LIMITS);
    let mut builder = IndexBuilder::new();
    while let Some(found) = reader.next_entry().ok()? {
        builder
            .add(&found.entry, found.data_offset, found.sparse.as_deref())
            .ok()?;
    }
    let length = reader.finish_reading().ok()?;
    assert_eq!(length, bytes.len() as u64);
    let mut read_at = |offset: u64, buffer: &mut [u8]| {
        let mut cursor = Cursor::new(bytes);
        cursor.set_position(offset);
        cursor.read_exact(buffer)
    };
    let mut out = Vec::new();
    builder
        .finish_with_data(length, &mut read_at, &mut out)
        .ok()?;
    Some(Index::parse(out).expect("what was written can be read"))
}

/// Writes what is read, and reads it again.
fn rewrite(bytes: &[u8]) {
    let mut reader = TarReader::new(bytes, LIMITS);
    let mut writer = TarWriter::new(Vec::new());
    let mut written = Vec::new();
    while let Ok(Some(found)) = reader.next_entry() {
        let mut entry = found.entry;
        // Data are the stream's matter; the header alone is compared.
        if let kiln_layer::Kind::File { size } = &mut entry.kind {
            *size = 0;
        }
        if writer.append(&entry, &mut std::io::empty()).is_err() {
            return;
        }
        written.push(entry);
    }
    let tar = writer.finish().expect("a Vec takes everything");
    let mut again = TarReader::new(tar.as_slice(), Limits::default());
    for entry in written {
        let read = again.next_entry().expect("our own tar").expect("an entry");
        assert_eq!(read.entry, entry);
    }
}
