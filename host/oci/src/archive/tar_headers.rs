//! As much of the tar format as archives of images use: parsing headers, writing plain ones.
//!
//! Layers are tars of a far richer kind and are none of this module's business.

use crate::archive::error::ArchiveError;

pub(crate) const BLOCK: u64 = 512;
/// Above this an octal size field overflows.
const MAX_OCTAL_SIZE: u64 = 0o77_777_777_777;

/// A header block.
pub(crate) struct Header<'a>(pub &'a [u8; 512]);

impl Header<'_> {
    /// Whether this is a block of the end marker.
    pub fn is_end(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    pub fn has_good_checksum(&self) -> bool {
        let sum: u32 = self
            .0
            .iter()
            .enumerate()
            .map(|(at, byte)| {
                u32::from(if (148..156).contains(&at) {
                    b' '
                } else {
                    *byte
                })
            })
            .sum();
        number(&self.0[148..156]) == Some(u64::from(sum))
    }

    pub fn kind(&self) -> u8 {
        self.0[156]
    }

    pub fn size(&self) -> Option<u64> {
        number(&self.0[124..136])
    }

    pub fn name(&self) -> Vec<u8> {
        let name = until_nul(&self.0[..100]);
        let prefix = until_nul(&self.0[345..500]);
        // GNU tars keep times where ustar keeps the prefix.
        if &self.0[257..263] != b"ustar\0" || prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    pub fn link_name(&self) -> Vec<u8> {
        until_nul(&self.0[157..257]).to_vec()
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal, or base 256 with the top bit set; none if malformed or above `u64`.
fn number(field: &[u8]) -> Option<u64> {
    if field.first().is_some_and(|byte| byte & 0x80 != 0) {
        let first = u64::from(field[0] & 0x7f);
        return field[1..].iter().try_fold(first, |value, byte| {
            value.checked_mul(256).map(|value| value | u64::from(*byte))
        });
    }
    let text = field
        .iter()
        .skip_while(|byte| **byte == b' ')
        .take_while(|byte| !matches!(byte, b' ' | 0));
    text.copied().try_fold(0u64, |value, byte| match byte {
        b'0'..=b'7' => value
            .checked_mul(8)
            .map(|value| value | u64::from(byte - b'0')),
        _ => None,
    })
}

/// The records of a pax header that archives need: path, link target and size.
#[derive(Default)]
pub(crate) struct Overrides {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
}

impl Overrides {
    /// Takes what a pax header says. Malformed records end it: a name that is then wrong is just not found.
    pub fn read_pax(&mut self, mut records: &[u8]) {
        while let Some((length, rest)) = split_once(records, b' ') {
            let Some(length) = std::str::from_utf8(length)
                .ok()
                .and_then(|text| text.parse::<usize>().ok())
            else {
                return;
            };
            let skipped = records.len() - rest.len();
            let Some(record) = length
                .checked_sub(skipped + 1)
                .and_then(|length| rest.get(..length))
            else {
                return;
            };
            let Some((key, value)) = split_once(record, b'=') else {
                return;
            };
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => {
                    self.size = std::str::from_utf8(value)
                        .ok()
                        .and_then(|text| text.parse().ok())
                }
                _ => {}
            }
            records = records.get(length..).unwrap_or_default();
        }
    }
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == separator)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// A header for a file or, with a name that ends in `/`, a folder. The same bytes for the same arguments.
pub(crate) fn header(name: &str, size: u64) -> Result<[u8; 512], ArchiveError> {
    let mut block = [0u8; 512];
    let is_dir = name.ends_with('/');
    if name.len() > 100 {
        return Err(ArchiveError::TooLong {
            name: name.to_owned(),
            len: name.len() as u64,
            limit: 100,
        });
    }
    block[..name.len()].copy_from_slice(name.as_bytes());
    let mode: &[u8; 8] = if is_dir { b"0000755\0" } else { b"0000644\0" };
    block[100..108].copy_from_slice(mode);
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    if size <= MAX_OCTAL_SIZE {
        block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    } else {
        block[124] = 0x80;
        block[128..136].copy_from_slice(&size.to_be_bytes());
    }
    block[136..148].copy_from_slice(b"00000000000\0");
    block[156] = if is_dir { b'5' } else { b'0' };
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

/// Zero bytes that follow content of this length.
pub(crate) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back() {
        for (name, size) in [
            ("a", 0),
            ("blobs/", 0),
            ("blobs/x", 5),
            ("huge", u64::MAX >> 1),
            ("edge", MAX_OCTAL_SIZE),
        ] {
            let block = header(name, size).unwrap();
            let parsed = Header(&block);
            assert!(parsed.has_good_checksum());
            assert_eq!(parsed.name(), name.as_bytes());
            assert_eq!(parsed.size(), Some(size));
        }
    }

    #[test]
    fn malformed_pax_records_are_ignored() {
        for records in [
            &b"9999 path=x\n"[..],
            b"0 path=x\n",
            b"x path=y\n",
            b"7 path=\n",
            b"4 a=",
            b" =",
            b"99999999999999999999 a=b",
        ] {
            let mut overrides = Overrides::default();
            overrides.read_pax(records);
            assert!(overrides.size.is_none());
        }
        let mut overrides = Overrides::default();
        overrides.read_pax(b"11 path=ab\n10 size=7\n");
        assert_eq!(
            (overrides.path.as_deref(), overrides.size),
            (Some(&b"ab"[..]), Some(7))
        );
    }
}
