//! A sparse file as a small plain one, which archives, packages and every file system carry unharmed: how the
//! scratch-disk template travels.
//!
//! ```text
//! magic "KILNSPK1" | length u64 | (number u64 | 4096 bytes)*      little endian, numbers ascend
//! ```
//!
//! Only blocks that are not all zeros are there; the last one is padded with zeros. So the same content gives the
//! same bytes, whatever holes the file system made of it.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::{holes, sparse};

/// First bytes of a packed file; the digit is the version of the form.
const MAGIC: &[u8; 8] = b"KILNSPK1";

/// Length of a block in bytes.
const BLOCK: u64 = 4096;

/// Longest file that is unpacked: no disk of ours comes near it.
const MAX_LEN: u64 = 16 << 40;

/// Packs the file `from` into the new file `to`.
pub fn pack(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let len = source.metadata()?.len();
    let mut target = BufWriter::new(File::create_new(to)?);
    target.write_all(MAGIC)?;
    target.write_all(&len.to_le_bytes())?;
    let mut next = 0;
    for range in sparse::data_ranges(&source)? {
        // Two ranges may touch one block; it counts once.
        let first = next.max(range.start / BLOCK);
        next = next.max(range.end.div_ceil(BLOCK));
        source.seek(SeekFrom::Start(first * BLOCK))?;
        for number in first..next {
            let mut block = Vec::with_capacity(BLOCK as usize);
            Read::by_ref(&mut source)
                .take(BLOCK)
                .read_to_end(&mut block)?;
            block.resize(BLOCK as usize, 0);
            if block.iter().any(|byte| *byte != 0) {
                target.write_all(&number.to_le_bytes())?;
                target.write_all(&block)?;
            }
        }
    }
    target.flush()
}

/// Makes the new file `to` from the packed file `from`, with holes where the file system has them.
///
/// Fails with `InvalidData` if `from` is no packed file or was cut.
pub fn unpack(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = BufReader::new(File::open(from)?);
    let mut magic = [0; MAGIC.len()];
    read_whole(&mut source, &mut magic)?;
    if &magic != MAGIC {
        return Err(malformed("not a packed sparse file"));
    }
    let len = read_number(&mut source)?;
    if len > MAX_LEN {
        return Err(malformed("the packed file claims an absurd length"));
    }
    let mut target = File::create_new(to)?;
    // A file system without holes takes the room instead.
    let _ = holes::allow_holes(&target);
    target.set_len(len)?;
    let mut next = 0;
    let mut block = [0; BLOCK as usize];
    while !source_ended(&mut source)? {
        let number = read_number(&mut source)?;
        if number < next || number >= len.div_ceil(BLOCK) {
            return Err(malformed("a block of the packed file is out of place"));
        }
        read_whole(&mut source, &mut block)?;
        let start = number * BLOCK;
        let used = BLOCK.min(len - start) as usize;
        target.seek(SeekFrom::Start(start))?;
        target.write_all(&block[..used])?;
        next = number + 1;
    }
    Ok(())
}

fn source_ended(source: &mut impl io::BufRead) -> io::Result<bool> {
    source.fill_buf().map(<[u8]>::is_empty)
}

fn read_number(source: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    read_whole(source, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn read_whole(source: &mut impl Read, bytes: &mut [u8]) -> io::Result<()> {
    source.read_exact(bytes).map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            malformed("the packed file ends in the middle")
        } else {
            error
        }
    })
}

fn malformed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of `len` bytes with `text` at each offset.
    fn sparse_file(path: &Path, len: u64, offsets: &[u64], text: &[u8]) {
        let mut file = File::create(path).unwrap();
        let _ = holes::allow_holes(&file);
        file.set_len(len).unwrap();
        for offset in offsets {
            file.seek(SeekFrom::Start(*offset)).unwrap();
            file.write_all(text).unwrap();
        }
    }

    #[test]
    fn unpacked_file_has_the_bytes_that_were_packed() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let len = (3 << 20) + 5;
        sparse_file(
            &path("from"),
            len,
            &[0, 4095, 1 << 20, (3 << 20) + 2],
            b"abc",
        );
        pack(&path("from"), &path("packed")).unwrap();
        let blocks = (path("packed").metadata().unwrap().len() - 16) / (8 + BLOCK);
        assert_eq!(blocks, 4, "blocks 0, 1, 256 and the last");
        unpack(&path("packed"), &path("to")).unwrap();
        assert!(std::fs::read(path("from")).unwrap() == std::fs::read(path("to")).unwrap());
    }

    #[test]
    fn packed_bytes_do_not_depend_on_how_holes_are_stored() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        sparse_file(&path("holes"), 1 << 20, &[70_000], b"superblock");
        std::fs::write(path("full"), std::fs::read(path("holes")).unwrap()).unwrap();
        for name in ["holes", "full"] {
            pack(&path(name), &path(&format!("{name}.packed"))).unwrap();
        }
        let packed = |name: &str| std::fs::read(path(&format!("{name}.packed"))).unwrap();
        assert_eq!(packed("holes"), packed("full"));
    }

    #[cfg(unix)]
    #[test]
    fn unpacked_file_takes_the_room_of_its_blocks_only() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        sparse_file(&path("from"), 1 << 36, &[1 << 30, 1 << 35], b"abc");
        pack(&path("from"), &path("packed")).unwrap();
        unpack(&path("packed"), &path("to")).unwrap();
        let metadata = path("to").metadata().unwrap();
        assert_eq!(metadata.len(), 1 << 36);
        assert!(
            metadata.blocks() * 512 < 1 << 20,
            "{} blocks",
            metadata.blocks()
        );
    }

    #[test]
    fn damaged_pack_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        sparse_file(&path("from"), 1 << 20, &[0, 70_000], b"abc");
        pack(&path("from"), &path("packed")).unwrap();
        let whole = std::fs::read(path("packed")).unwrap();
        let second = 16 + 8 + BLOCK as usize;
        let mut cases = vec![
            whole[..10].to_vec(),
            whole[..whole.len() - 1].to_vec(),
            b"KILNSPK2".iter().chain(&whole[8..]).copied().collect(),
        ];
        for (offset, value) in [
            (8, u64::MAX),      // absurd length
            (8, 4096),          // second block beyond the end
            (second, 0),        // not ascending
            (second, u64::MAX), // overflows
        ] {
            let mut bytes = whole.clone();
            bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
            cases.push(bytes);
        }
        for (number, bytes) in cases.iter().enumerate() {
            std::fs::write(path("damaged"), bytes).unwrap();
            let error = unpack(&path("damaged"), &path(&format!("to{number}"))).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "case {number}");
        }
    }
}
