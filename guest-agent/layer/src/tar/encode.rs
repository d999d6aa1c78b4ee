//! From an [`Entry`] to its header blocks: which fields go into ustar and which into pax.
//!
//! Invariant: the result depends on the entry alone, and says the same to Go's `archive/tar`, GNU tar,
//! libarchive and Python. Names that are not ASCII go into pax as they are, whether UTF-8 or not.

use std::collections::BTreeMap;

use super::header::{self, BLOCK, Block, octal_max, padding, put_octal, seal};
use crate::path::MAX_PATH_LEN;
use crate::{Entry, Kind, TarError, TarResult};

/// Modes beyond these bits have no meaning in a layer.
const MODE_MASK: u32 = 0o7777;

/// Prefix of pax records that hold extended attributes.
pub(crate) const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// The entry's header, after a pax header and its data where one is needed.
pub(crate) fn header_blocks(entry: &Entry) -> TarResult<Vec<Block>> {
    check(entry)?;
    let mut records = Records::new();
    let mut block = main_header(entry, &mut records)?;
    for (name, value) in &entry.xattrs {
        records.insert([XATTR_PREFIX, name].concat(), value.clone());
    }
    seal(&mut block);
    let mut blocks = Vec::new();
    if !records.is_empty() {
        push_pax(&mut blocks, entry, &records);
    }
    blocks.push(block);
    Ok(blocks)
}

fn check(entry: &Entry) -> TarResult<()> {
    let refuse = |field| {
        Err(TarError::Unrepresentable {
            path: entry.path.clone(),
            field,
        })
    };
    let bad_path = |path: &[u8]| path.len() > MAX_PATH_LEN || path.contains(&0);
    if bad_path(&entry.path) {
        return refuse("path");
    }
    match &entry.kind {
        Kind::Symlink { target } | Kind::Hardlink { target } if bad_path(target) => {
            return refuse("link target");
        }
        Kind::File { size } if i64::try_from(*size).is_err() => return refuse("size"),
        _ => {}
    }
    // A pax key ends at the first `=`.
    let bad_name = |name: &Vec<u8>| name.is_empty() || name.contains(&b'=') || name.contains(&0);
    if entry.xattrs.keys().any(bad_name) {
        return refuse("extended attribute name");
    }
    Ok(())
}

fn main_header(entry: &Entry, records: &mut Records) -> TarResult<Block> {
    let mut block = [0; BLOCK];
    put_path(&mut block, entry, records);
    put_octal(&mut block[header::MODE], u64::from(entry.mode & MODE_MASK));
    put_number(
        &mut block[header::UID],
        i64::from(entry.uid),
        "uid",
        records,
    );
    put_number(
        &mut block[header::GID],
        i64::from(entry.gid),
        "gid",
        records,
    );
    put_number(
        &mut block[header::SIZE],
        entry.data_len().cast_signed(),
        "size",
        records,
    );
    put_number(&mut block[header::MTIME], entry.mtime, "mtime", records);
    block[header::TYPE] = match &entry.kind {
        Kind::File { .. } => b'0',
        Kind::Hardlink { target } => {
            put_link(&mut block, target, records);
            b'1'
        }
        Kind::Symlink { target } => {
            put_link(&mut block, target, records);
            b'2'
        }
        Kind::CharDevice { major, minor } => {
            put_device(&mut block, entry, *major, *minor)?;
            b'3'
        }
        Kind::BlockDevice { major, minor } => {
            put_device(&mut block, entry, *major, *minor)?;
            b'4'
        }
        Kind::Dir => b'5',
        Kind::Fifo => b'6',
    };
    block[header::MAGIC].copy_from_slice(header::POSIX_MAGIC);
    Ok(block)
}

fn put_path(block: &mut Block, entry: &Entry, records: &mut Records) {
    let mut path = entry.path.clone();
    if entry.is_dir() {
        path.extend_from_slice(if path.is_empty() { b"./" } else { b"/" });
    }
    if path.is_ascii() {
        if path.len() <= header::NAME.len() {
            block[header::NAME][..path.len()].copy_from_slice(&path);
            return;
        }
        if let Some((prefix, name)) = split_path(&path) {
            block[header::PREFIX][..prefix.len()].copy_from_slice(prefix);
            block[header::NAME][..name.len()].copy_from_slice(name);
            return;
        }
    }
    put_shortened(&mut block[header::NAME], &path);
    records.insert(b"path".to_vec(), path);
}

/// Splits at a slash so that both parts fit the ustar fields.
fn split_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let searched = path.len().min(header::PREFIX.len() + 1);
    // A directory's own trailing slash must stay with its name.
    let searched = searched.min(path.len() - 1);
    let slash = path[..searched].iter().rposition(|&byte| byte == b'/')?;
    let (prefix, name) = (&path[..slash], &path[slash + 1..]);
    (!prefix.is_empty() && name.len() <= header::NAME.len()).then_some((prefix, name))
}

fn put_link(block: &mut Block, target: &[u8], records: &mut Records) {
    if target.is_ascii() && target.len() <= header::LINK.len() {
        block[header::LINK][..target.len()].copy_from_slice(target);
    } else {
        put_shortened(&mut block[header::LINK], target);
        records.insert(b"linkpath".to_vec(), target.to_vec());
    }
}

/// What readers without pax see: the ASCII part of the name, cut.
fn put_shortened(field: &mut [u8], name: &[u8]) {
    let ascii = name.iter().filter(|byte| byte.is_ascii());
    for (slot, byte) in field.iter_mut().zip(ascii) {
        *slot = *byte;
    }
}

fn put_number(field: &mut [u8], value: i64, key: &str, records: &mut Records) {
    match u64::try_from(value) {
        Ok(value) if value <= octal_max(field.len()) => put_octal(field, value),
        _ => {
            put_octal(field, 0);
            records.insert(key.into(), value.to_string().into_bytes());
        }
    }
}

fn put_device(block: &mut Block, entry: &Entry, major: u32, minor: u32) -> TarResult<()> {
    let max = octal_max(header::MAJOR.len());
    if u64::from(major) > max || u64::from(minor) > max {
        let path = entry.path.clone();
        return Err(TarError::Unrepresentable {
            path,
            field: "device number",
        });
    }
    put_octal(&mut block[header::MAJOR], u64::from(major));
    put_octal(&mut block[header::MINOR], u64::from(minor));
    Ok(())
}

fn push_pax(blocks: &mut Vec<Block>, entry: &Entry, records: &Records) {
    let mut data = Vec::new();
    for (key, value) in records {
        push_record(&mut data, key, value);
    }
    let mut block = [0; BLOCK];
    let name = [b"PaxHeaders.0/", crate::file_name(&entry.path)].concat();
    put_shortened(&mut block[header::NAME], &name);
    for field in [header::MODE, header::UID, header::GID, header::MTIME] {
        put_octal(&mut block[field], 0);
    }
    put_octal(&mut block[header::SIZE], data.len() as u64);
    block[header::TYPE] = b'x';
    block[header::MAGIC].copy_from_slice(header::POSIX_MAGIC);
    seal(&mut block);
    blocks.push(block);
    data.resize(data.len() + padding(data.len() as u64) as usize, 0);
    let (chunks, _) = data.as_chunks::<BLOCK>();
    blocks.extend_from_slice(chunks);
}

/// `<length> <key>=<value>\n`, where the length counts itself.
pub(crate) fn push_record(data: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = 1 + key.len() + 1 + value.len() + 1;
    let digits_of = |number: usize| number.ilog10() as usize + 1;
    let mut len = rest + digits_of(rest);
    if digits_of(len) + rest > len {
        len = rest + digits_of(len);
    }
    data.extend_from_slice(len.to_string().as_bytes());
    data.push(b' ');
    data.extend_from_slice(key);
    data.push(b'=');
    data.extend_from_slice(value);
    data.push(b'\n');
}
