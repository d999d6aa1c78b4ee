//! The 512-byte tar header: field positions, and numbers in octal or base 256.
//!
//! ```text
//!   0 name[100]  100 mode[8]  108 uid[8]  116 gid[8]  124 size[12]  136 mtime[12]  148 checksum[8]
//! 156 type[1]    157 link[100]   257 magic[8] ("ustar\0" "00")   265 uname[32]  297 gname[32]
//! 329 major[8]   337 minor[8]    345 prefix[155]                  500 -
//! ```

use std::ops::Range;

/// Everything in a tar is a multiple of this.
pub(crate) const BLOCK: usize = 512;

/// One header.
pub(crate) type Block = [u8; BLOCK];

pub(crate) const NAME: Range<usize> = 0..100;
pub(crate) const MODE: Range<usize> = 100..108;
pub(crate) const UID: Range<usize> = 108..116;
pub(crate) const GID: Range<usize> = 116..124;
pub(crate) const SIZE: Range<usize> = 124..136;
pub(crate) const MTIME: Range<usize> = 136..148;
pub(crate) const CHECKSUM: Range<usize> = 148..156;
pub(crate) const TYPE: usize = 156;
pub(crate) const LINK: Range<usize> = 157..257;
pub(crate) const MAGIC: Range<usize> = 257..265;
pub(crate) const MAJOR: Range<usize> = 329..337;
pub(crate) const MINOR: Range<usize> = 337..345;
pub(crate) const PREFIX: Range<usize> = 345..500;

pub(crate) const POSIX_MAGIC: &[u8; 8] = b"ustar\x0000";

/// Bytes from `len` to the next block.
pub(crate) fn padding(len: u64) -> u64 {
    len.wrapping_neg() % BLOCK as u64
}

/// Largest value that a field of `width` bytes holds in octal, with its terminator.
pub(crate) const fn octal_max(width: usize) -> u64 {
    (1 << (3 * (width - 1))) - 1
}

/// Writes zero-padded octal digits and a terminating zero; the caller has checked [`octal_max`].
pub(crate) fn put_octal(field: &mut [u8], mut value: u64) {
    let (terminator, digits) = field.split_last_mut().expect("fields are not empty");
    *terminator = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value & 7) as u8;
        value >>= 3;
    }
}

/// Sum of all bytes with the checksum field taken as spaces: unsigned, and as some old tars signed it.
pub(crate) fn checksums(block: &Block) -> (u32, i32) {
    let total = |range: Range<usize>| -> (u32, i32) {
        let unsigned: u32 = block[range.clone()]
            .iter()
            .map(|&byte| u32::from(byte))
            .sum();
        let high = block[range].iter().filter(|&&byte| byte >= 0x80).count();
        (unsigned, unsigned as i32 - 256 * high as i32)
    };
    let (before, after) = (total(0..CHECKSUM.start), total(CHECKSUM.end..BLOCK));
    let spaces = 8 * u32::from(b' ');
    (
        before.0 + after.0 + spaces,
        before.1 + after.1 + spaces as i32,
    )
}

/// Fills in the checksum: six digits, a zero, a space.
pub(crate) fn seal(block: &mut Block) {
    let (sum, _) = checksums(block);
    put_octal(&mut block[CHECKSUM.start..CHECKSUM.end - 1], u64::from(sum));
    block[CHECKSUM.end - 1] = b' ';
}

/// The bytes of a text field up to its terminator.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0);
    &field[..end.unwrap_or(field.len())]
}

/// A number in octal or, with the top bit set, base 256. `None` where it is neither or does not fit.
pub(crate) fn number(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base256(field),
        _ => octal(field),
    }
}

/// Octal digits between optional spaces and zeros; an empty field is 0.
pub(crate) fn octal(field: &[u8]) -> Option<i64> {
    let blank = |byte: &u8| *byte == b' ' || *byte == 0;
    let start = field
        .iter()
        .position(|byte| !blank(byte))
        .unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    digits[..end]
        .iter()
        .try_fold(0_i64, |value, &digit| match digit {
            b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
            _ => None,
        })
}

fn base256(field: &[u8]) -> Option<i64> {
    // Two's complement over the whole field; the top bit is the mark, the next one the sign.
    let negative = field[0] & 0x40 != 0;
    let first = if negative {
        field[0] | 0x80
    } else {
        field[0] & 0x7f
    };
    let mut value: i128 = if negative {
        i128::from(first) - 256
    } else {
        i128::from(first)
    };
    for &byte in &field[1..] {
        value = value.checked_mul(256)?.checked_add(i128::from(byte))?;
    }
    i64::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_every_notation() {
        for (field, want) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"000644 \0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"77777777", Some(0o77777777)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"00x0644\0", None),
            (b"-000644\0", None),
            (b"\x80\0\0\0\0\x20\0\0", Some(0x20_0000)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\x80\0\0\0\0\0\0\0\0\0\0\x07", Some(7)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(number(field), want, "{}", field.escape_ascii());
        }
    }

    #[test]
    fn octal_fields_hold_their_maximum() {
        let mut field = [0xff; 8];
        put_octal(&mut field, octal_max(8));
        assert_eq!(&field, b"7777777\0");
        put_octal(&mut field, 8);
        assert_eq!(&field, b"0000010\0");
    }
}
