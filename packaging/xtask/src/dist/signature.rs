//! The code signature at the end of a Mach-O, read as Apple's kernel reads it.
//!
//! ```text
//! superblob: magic FADE0CC0 | length | count | (slot, offset)*          big endian, all of it
//!   slot 0        code directory   FADE0C02   digests of every page and of the blobs in the other slots
//!   slot 2        requirements     FADE0C01   empty in an ad-hoc signature
//!   slot 5        entitlements     FADE7171   as XML
//!   slot 7        entitlements     FADE7172   as DER, which newer systems read
//! ```

use std::collections::BTreeMap;
use std::ops::Range;

use sha2::{Digest as _, Sha256};

const SUPERBLOB: u32 = 0xfade_0cc0;
const CODE_DIRECTORY: u32 = 0xfade_0c02;
const ENTITLEMENTS: u32 = 0xfade_7171;
const ENTITLEMENTS_DER: u32 = 0xfade_7172;

/// Slots by number.
const SLOT_DIRECTORY: u32 = 0;
const SLOT_ENTITLEMENTS: u32 = 5;
const SLOT_ENTITLEMENTS_DER: u32 = 7;

/// Flags of the code directory: signed by nobody; the hardened runtime.
const FLAG_ADHOC: u32 = 0x2;
const FLAG_RUNTIME: u32 = 0x1_0000;

/// SHA-256, the one kind of digest that is accepted.
const HASH_SHA256: u8 = 2;

/// Blobs in a signature at most; real ones have five.
const MAX_BLOBS: u32 = 32;

/// What is wrong with a signature.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Fault {
    /// It ends early or points out of itself.
    #[error("it is cut or points outside of itself")]
    Cut,
    /// A blob is not of the kind that its slot holds.
    #[error("slot {slot} holds a blob of kind {magic:#x}")]
    Kind { slot: u32, magic: u32 },
    /// A slot is empty.
    #[error("slot {0} is empty")]
    Empty(u32),
    /// The flags are not those of an ad-hoc signature with the hardened runtime.
    #[error("its flags are {0:#x}")]
    Flags(u32),
    /// Pages or blobs are digested in a way that is not expected.
    #[error("its digests are of kind {kind} and length {length}")]
    DigestKind { kind: u8, length: u8 },
    /// It does not cover the file up to itself.
    #[error("it covers {covered} bytes of {wanted}")]
    Coverage { covered: u32, wanted: u32 },
    /// A page is not what was signed.
    #[error("page {0} is not the one that was signed")]
    Page(usize),
    /// A blob is not what was signed.
    #[error("the blob in slot {0} is not the one that was signed")]
    Slot(u32),
    /// The entitlements are not the ones of this project.
    #[error("it carries other entitlements")]
    Entitlements,
}

/// What a whole signature says.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature {
    /// Name of the program.
    pub identifier: String,
    /// Pages that are covered.
    pub pages: usize,
}

/// Checks the signature that lies at `offset` of the binary, `size` bytes long with its padding.
pub fn check(
    binary: &[u8],
    offset: u32,
    size: u32,
    entitlements: &[u8],
) -> Result<Signature, Fault> {
    let start = offset as usize;
    let blob = slice(binary, start..start.saturating_add(size as usize))?;
    let slots = slots(blob)?;
    let directory = Directory::read(slots.get(&SLOT_DIRECTORY).ok_or(Fault::Empty(0))?)?;
    if directory.flags & FLAG_ADHOC == 0 || directory.flags & FLAG_RUNTIME == 0 {
        return Err(Fault::Flags(directory.flags));
    }
    if directory.code_limit != offset {
        return Err(Fault::Coverage {
            covered: directory.code_limit,
            wanted: offset,
        });
    }
    let pages = directory.check_pages(&binary[..start])?;
    for (slot, content) in &slots {
        // From 0x1000 on: other code directories and the signature over them, which has no digest here.
        if *slot != SLOT_DIRECTORY && *slot < 0x1000 {
            directory.check_slot(*slot, content)?;
        }
    }
    let xml = kind(&slots, SLOT_ENTITLEMENTS, ENTITLEMENTS)?;
    kind(&slots, SLOT_ENTITLEMENTS_DER, ENTITLEMENTS_DER)?;
    if words(xml) != words(entitlements) {
        return Err(Fault::Entitlements);
    }
    Ok(Signature {
        identifier: directory.identifier()?,
        pages,
    })
}

/// XML without the space that means nothing in it.
fn words(xml: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(xml)
        .replace('<', " <")
        .replace('>', "> ");
    text.split_whitespace().map(str::to_owned).collect()
}

fn slots(blob: &[u8]) -> Result<BTreeMap<u32, &[u8]>, Fault> {
    let magic = number(blob, 0)?;
    if magic != SUPERBLOB {
        return Err(Fault::Kind { slot: 0, magic });
    }
    let count = number(blob, 8)?;
    if count > MAX_BLOBS {
        return Err(Fault::Cut);
    }
    let mut slots = BTreeMap::new();
    for entry in 0..count as usize {
        let slot = number(blob, 12 + entry * 8)?;
        let start = number(blob, 16 + entry * 8)? as usize;
        let length = number(blob, start.saturating_add(4))? as usize;
        slots.insert(slot, slice(blob, start..start.saturating_add(length))?);
    }
    Ok(slots)
}

/// The content of a slot, without its head, which must say this kind.
fn kind<'a>(slots: &BTreeMap<u32, &'a [u8]>, slot: u32, wanted: u32) -> Result<&'a [u8], Fault> {
    let blob = slots.get(&slot).ok_or(Fault::Empty(slot))?;
    let magic = number(blob, 0)?;
    if magic != wanted {
        return Err(Fault::Kind { slot, magic });
    }
    slice(blob, 8..blob.len())
}

/// A code directory.
struct Directory<'a> {
    blob: &'a [u8],
    flags: u32,
    hash_offset: usize,
    identifier_offset: usize,
    special_slots: u32,
    code_slots: usize,
    code_limit: u32,
    page_size: usize,
}

/// Length of its digests.
const DIGEST: usize = 32;

impl<'a> Directory<'a> {
    fn read(blob: &'a [u8]) -> Result<Self, Fault> {
        let magic = number(blob, 0)?;
        if magic != CODE_DIRECTORY {
            return Err(Fault::Kind { slot: 0, magic });
        }
        let [length, kind, _platform, page_bits] = *slice(blob, 36..40)? else {
            return Err(Fault::Cut);
        };
        if kind != HASH_SHA256 || usize::from(length) != DIGEST {
            return Err(Fault::DigestKind { kind, length });
        }
        if !(9..=20).contains(&page_bits) {
            return Err(Fault::Cut);
        }
        Ok(Self {
            blob,
            flags: number(blob, 12)?,
            hash_offset: number(blob, 16)? as usize,
            identifier_offset: number(blob, 20)? as usize,
            special_slots: number(blob, 24)?,
            code_slots: number(blob, 28)? as usize,
            code_limit: number(blob, 32)?,
            page_size: 1 << page_bits,
        })
    }

    fn check_pages(&self, code: &[u8]) -> Result<usize, Fault> {
        let pages = code.chunks(self.page_size);
        if pages.len() != self.code_slots {
            return Err(Fault::Page(self.code_slots.min(pages.len())));
        }
        for (page, bytes) in pages.enumerate() {
            let at = page.saturating_mul(DIGEST).saturating_add(self.hash_offset);
            if slice(self.blob, at..at.saturating_add(DIGEST))? != Sha256::digest(bytes).as_slice()
            {
                return Err(Fault::Page(page));
            }
        }
        Ok(self.code_slots)
    }

    /// The digests of the other slots stand before those of the pages, the first one last.
    fn check_slot(&self, slot: u32, content: &[u8]) -> Result<(), Fault> {
        if slot > self.special_slots {
            return Err(Fault::Slot(slot));
        }
        let before = (slot as usize).saturating_mul(DIGEST);
        let at = self.hash_offset.checked_sub(before).ok_or(Fault::Cut)?;
        if slice(self.blob, at..at + DIGEST)? != Sha256::digest(content).as_slice() {
            return Err(Fault::Slot(slot));
        }
        Ok(())
    }

    fn identifier(&self) -> Result<String, Fault> {
        let rest = slice(self.blob, self.identifier_offset..self.blob.len())?;
        let end = rest.iter().position(|byte| *byte == 0).ok_or(Fault::Cut)?;
        Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
    }
}

fn slice(bytes: &[u8], range: Range<usize>) -> Result<&[u8], Fault> {
    bytes.get(range).ok_or(Fault::Cut)
}

fn number(bytes: &[u8], at: usize) -> Result<u32, Fault> {
    let bytes = slice(bytes, at..at.saturating_add(4))?;
    Ok(u32::from_be_bytes(
        bytes.try_into().map_err(|_| Fault::Cut)?,
    ))
}
