//! Entitlements in the code signature of a Mach-O program, read by ourselves.
//!
//! macOS lets a program start VMs only if its signature says `com.apple.security.hypervisor`; an ad-hoc one will do, and every
//! linker run drops it. The signature is not verified here: the system does that before the program runs at all.
//!
//! ```text
//! Mach-O header ─ load commands ─ LC_CODE_SIGNATURE ─► super blob ─ index ─► entitlements (XML)
//! ```

use std::io::{self, Read, Seek, SeekFrom};

const MACH_O_64: u32 = 0xfeed_facf;
const LC_CODE_SIGNATURE: u32 = 0x1d;
const SUPER_BLOB: u32 = 0xfade_0cc0;
const ENTITLEMENTS_SLOT: u32 = 5;
const ENTITLEMENTS_BLOB: u32 = 0xfade_7171;

/// Bytes of all load commands; real programs have a few thousand.
const MAX_COMMANDS: u32 = 1 << 20;
/// Blobs in one signature; there are less than ten kinds.
const MAX_BLOBS: u32 = 64;
/// Bytes of the entitlements' text.
const MAX_TEXT: u32 = 1 << 20;

/// Whether the program's signature grants `entitlement`; none if it is no 64-bit Mach-O.
///
/// # Errors
/// When the file cannot be read, or ends early.
pub fn has_entitlement(
    program: &mut (impl Read + Seek),
    entitlement: &str,
) -> io::Result<Option<bool>> {
    let mut header = [0; 32];
    program.seek(SeekFrom::Start(0))?;
    if let Err(error) = program.read_exact(&mut header) {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => Ok(None),
            _ => Err(error),
        };
    }
    if little(&header, 0) != MACH_O_64 {
        return Ok(None);
    }
    let size = little(&header, 20).min(MAX_COMMANDS);
    let commands = bytes(program, 32, size)?;
    let Some(signature) = signature_offset(&commands) else {
        return Ok(Some(false));
    };
    let text = entitlements(program, signature)?;
    Ok(Some(text.is_some_and(|text| grants(&text, entitlement))))
}

/// Where the signature starts, by the load commands.
fn signature_offset(commands: &[u8]) -> Option<u64> {
    let mut at = 0;
    while at + 16 <= commands.len() {
        let size = little(commands, at + 4) as usize;
        if little(commands, at) == LC_CODE_SIGNATURE {
            return Some(u64::from(little(commands, at + 8)));
        }
        // A command of less than its own header would be walked over for ever.
        at += size.max(8);
    }
    None
}

/// The text of the entitlements, if the signature has them.
fn entitlements(program: &mut (impl Read + Seek), start: u64) -> io::Result<Option<String>> {
    let head = bytes(program, start, 12)?;
    if big(&head, 0) != SUPER_BLOB {
        return Ok(None);
    }
    let count = big(&head, 8).min(MAX_BLOBS);
    let index = bytes(program, start + 12, count * 8)?;
    let slot = index
        .chunks_exact(8)
        .find(|entry| big(entry, 0) == ENTITLEMENTS_SLOT);
    let Some(slot) = slot else { return Ok(None) };
    let blob = start + u64::from(big(slot, 4));
    let head = bytes(program, blob, 8)?;
    if big(&head, 0) != ENTITLEMENTS_BLOB {
        return Ok(None);
    }
    let length = big(&head, 4).saturating_sub(8).min(MAX_TEXT);
    let text = bytes(program, blob + 8, length)?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// Whether a property list has `<key>NAME</key>` with `<true/>` behind it.
fn grants(text: &str, entitlement: &str) -> bool {
    let key = format!("<key>{entitlement}</key>");
    let value = text.split_once(&key).map(|(_, rest)| rest.trim_start());
    value.is_some_and(|value| value.starts_with("<true"))
}

fn bytes(program: &mut (impl Read + Seek), at: u64, length: u32) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; length as usize];
    program.seek(SeekFrom::Start(at))?;
    program.read_exact(&mut buffer)?;
    Ok(buffer)
}

fn little(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(word(bytes, at))
}

fn big(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(word(bytes, at))
}

fn word(bytes: &[u8], at: usize) -> [u8; 4] {
    bytes[at..at + 4].try_into().expect("four bytes")
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const NAME: &str = "com.apple.security.hypervisor";

    /// A program of nothing but a header, two load commands and a signature.
    fn program(entitlements: Option<&str>) -> Vec<u8> {
        let mut out = vec![0; 32];
        out[..4].copy_from_slice(&MACH_O_64.to_le_bytes());
        let start = 32 + 24 + 16;
        for word in [0x2a, 24, 0, 0, 0, 0, LC_CODE_SIGNATURE, 16, start, 0] {
            out.extend(u32::to_le_bytes(word));
        }
        let commands = (out.len() - 32) as u32;
        out[20..24].copy_from_slice(&commands.to_le_bytes());
        let slots: &[u32] = match entitlements {
            Some(_) => &[0, 28, ENTITLEMENTS_SLOT, 36],
            None => &[0, 28],
        };
        let head = [SUPER_BLOB, 0, slots.len() as u32 / 2];
        for word in head.iter().chain(slots) {
            out.extend(word.to_be_bytes());
        }
        out.resize(start as usize + 36, 0);
        if let Some(text) = entitlements {
            out.extend(ENTITLEMENTS_BLOB.to_be_bytes());
            out.extend((text.len() as u32 + 8).to_be_bytes());
            out.extend(text.as_bytes());
        }
        out
    }

    fn has(bytes: Vec<u8>) -> Option<bool> {
        has_entitlement(&mut Cursor::new(bytes), NAME).unwrap_or(None)
    }

    #[test]
    fn entitlements_are_found_in_the_signature() {
        let plist = |value: &str| format!("<plist><dict><key>{NAME}</key>\n{value}</dict></plist>");
        assert_eq!(has(program(Some(&plist("<true/>")))), Some(true));
        assert_eq!(has(program(Some(&plist("<false/>")))), Some(false));
        assert_eq!(has(program(Some("<plist></plist>"))), Some(false));
        assert_eq!(has(program(None)), Some(false));
        assert_eq!(has(b"\x7fELF".to_vec()), None);
        assert_eq!(has(vec![0; 100]), None);
    }

    #[test]
    fn programs_cut_or_damaged_anywhere_end_in_no_panic() {
        let whole = program(Some("<plist></plist>"));
        for end in 0..whole.len() {
            has(whole[..end].to_vec());
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            has(damaged);
        }
    }
}
