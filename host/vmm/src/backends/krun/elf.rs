//! The loadable segments of a kernel's ELF file. Pure: bytes in, places out.
//!
//! The file is Kiln's own, yet it lies on a disk: every number in it is bounded before it is used.

use super::kernel::KernelError;

/// Length of the part of an ELF64 header that is read.
pub(super) const HEADER_LEN: usize = 64;

/// Length of one program header.
const PROGRAM_HEADER_LEN: usize = 56;

/// Most program headers; a kernel has half a dozen.
const MAX_PROGRAM_HEADERS: u16 = 64;

const MAGIC: &[u8] = b"\x7fELF";
const CLASS_64: u8 = 2;
const LITTLE_ENDIAN: u8 = 1;
const TYPE_EXECUTABLE: u16 = 2;
const MACHINE_X86_64: u16 = 62;
const PT_LOAD: u32 = 1;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Physical address of the first instruction.
    pub(super) entry: u64,
    /// Where the program headers are in the file.
    pub(super) table_offset: u64,
    /// Their length together.
    pub(super) table_len: usize,
}

/// A part of the file and where it belongs in memory; what follows it there up to `memory_len` is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) offset: u64,
    pub(super) address: u64,
    pub(super) file_len: u64,
    pub(super) memory_len: u64,
}

impl Segment {
    /// First address after it.
    pub(super) fn end(&self) -> u64 {
        // Bounded by `segments`.
        self.address + self.memory_len
    }
}

/// Reads the header of a kernel for x86_64.
pub(super) fn header(bytes: &[u8; HEADER_LEN]) -> Result<Header, KernelError> {
    let fits = bytes.starts_with(MAGIC)
        && bytes[4] == CLASS_64
        && bytes[5] == LITTLE_ENDIAN
        && u16_at(bytes, 16) == TYPE_EXECUTABLE
        && u16_at(bytes, 18) == MACHINE_X86_64;
    if !fits {
        return Err(KernelError::NotAKernel);
    }
    let count = u16_at(bytes, 56);
    let entry_len = usize::from(u16_at(bytes, 54));
    if entry_len != PROGRAM_HEADER_LEN || count == 0 || count > MAX_PROGRAM_HEADERS {
        return Err(KernelError::Damaged {
            what: "its table of segments",
        });
    }
    Ok(Header {
        entry: u64_at(bytes, 24),
        table_offset: u64_at(bytes, 32),
        table_len: usize::from(count) * PROGRAM_HEADER_LEN,
    })
}

/// The segments that are to be loaded, by address, none touching another.
///
/// `file_len` and `max_len` bound what they may take of the file and of memory.
pub(super) fn segments(
    table: &[u8],
    file_len: u64,
    max_len: u64,
) -> Result<Vec<Segment>, KernelError> {
    let damaged = |what| Err(KernelError::Damaged { what });
    let mut segments: Vec<Segment> = table
        .chunks_exact(PROGRAM_HEADER_LEN)
        .filter(|entry| u32_at(entry, 0) == PT_LOAD)
        .map(|entry| Segment {
            offset: u64_at(entry, 8),
            address: u64_at(entry, 24),
            file_len: u64_at(entry, 32),
            memory_len: u64_at(entry, 40),
        })
        .filter(|segment| segment.memory_len > 0)
        .collect();
    segments.sort_unstable_by_key(|segment| segment.address);
    let Some(first) = segments.first().copied() else {
        return damaged("it has nothing to load");
    };
    for segment in &segments {
        let in_file = segment
            .offset
            .checked_add(segment.file_len)
            .is_some_and(|end| end <= file_len);
        if !in_file || segment.file_len > segment.memory_len {
            return damaged("a segment is not in the file");
        }
        let in_memory = segment
            .address
            .checked_add(segment.memory_len)
            .is_some_and(|end| end - first.address <= max_len);
        if !in_memory {
            return damaged("a segment is too far away");
        }
    }
    let overlap = |pair: &[Segment]| pair[0].end() > pair[1].address;
    if segments.windows(2).any(overlap) {
        return damaged("segments overlap");
    }
    Ok(segments)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes[at..at + 4].try_into().expect("four bytes were taken");
    u32::from_le_bytes(bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes[at..at + 8]
        .try_into()
        .expect("eight bytes were taken");
    u64::from_le_bytes(bytes)
}
