//! An image archive: open it, and read its layers as far as a small bound.
#![no_main]

mod checksums;

use std::io::{Read, Seek, Write};

use kiln_oci::Platform;
use kiln_oci::archive::ArchiveReader;
use libfuzzer_sys::fuzz_target;

const READ: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let platform: Platform = "linux/amd64".parse().expect("a platform");
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(&checksums::mended(bytes))
        .expect("a temporary file takes bytes");
    file.rewind().expect("a file can be rewound");
    let Ok(archive) = ArchiveReader::open(file, &platform) else {
        return;
    };
    for layer in archive
        .images()
        .iter()
        .flat_map(|image| &image.layers)
        .take(8)
    {
        if let Ok(reader) = archive.open_layer(layer) {
            let _ = std::io::copy(&mut reader.take(READ), &mut std::io::sink());
        }
    }
});
