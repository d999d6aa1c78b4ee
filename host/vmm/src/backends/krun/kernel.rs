//! The guest's kernel as libkrun takes it: one piece of memory, put at one address and entered at another.
//!
//! ```text
//! x86_64    | kernel, flattened from its ELF file | initramfs | stub |     entered at the stub
//! aarch64   | Image as it is |                                             entered at its start
//! ```
//!
//! libkrun hands no initramfs to a kernel on x86_64 Linux. So it travels behind the kernel, and the stub, five
//! instructions long, writes its place into the boot parameters that every x86_64 kernel is started with, and goes on
//! to the kernel. On aarch64 libkrun puts the initramfs into the device tree itself.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::elf::{self, Segment};
use super::pages::{PAGE, Pages};

/// Most memory that a kernel may take: ten times what ours does.
const MAX_KERNEL_LEN: u64 = 256 << 20;

/// Longest initramfs.
const MAX_INITRAMFS_LEN: u64 = 256 << 20;

/// A kernel for x86_64 is started with the first GiB mapped, and everything must be within.
const MAX_ADDRESS: u64 = 1 << 30;

/// Below are the boot parameters, tables and the command line that libkrun writes.
const MIN_ADDRESS: u64 = 1 << 20;

/// Where memory starts on aarch64, and with it the kernel.
const AARCH64_START: u64 = 0x8000_0000;

/// Length of the header of an aarch64 Image.
const IMAGE_HEADER_LEN: usize = 64;

/// Offsets of `ramdisk_image` and `ramdisk_size` in `struct boot_params`.
const RAMDISK_FIELDS: [u32; 2] = [0x218, 0x21c];

/// A kernel in memory.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) pages: Pages,
    /// Guest address of the first page.
    pub(super) address: u64,
    /// Guest address of the first instruction.
    pub(super) entry: u64,
}

impl Bundle {
    /// First guest address after it.
    pub(super) fn end(&self) -> u64 {
        self.address + self.pages.len() as u64
    }
}

/// Why a kernel cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum KernelError {
    /// It is something else.
    #[error("it is no kernel for this architecture")]
    NotAKernel,
    /// It contradicts itself.
    #[error("it is damaged: {what}")]
    Damaged { what: &'static str },
    /// It is too long.
    #[error("the {what} is longer than {limit} bytes")]
    TooLong { what: &'static str, limit: u64 },
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
}

/// Loads an ELF kernel for x86_64 and its initramfs.
pub(super) fn load_x86_64(kernel: &Path, initramfs: &Path) -> Result<Bundle, KernelError> {
    let mut file = File::open(kernel)?;
    let file_len = file.metadata()?.len();
    let mut head = [0; elf::HEADER_LEN];
    read_head(&mut file, &mut head)?;
    let header = elf::header(&head)?;
    let mut table = vec![0; header.table_len];
    file.seek(SeekFrom::Start(header.table_offset))?;
    read_head(&mut file, &mut table)?;
    let segments = elf::segments(&table, file_len, MAX_KERNEL_LEN)?;

    let (address, kernel_len) = extent(&segments)?;
    let inside = address..address + kernel_len as u64;
    if !inside.contains(&header.entry) {
        return Err(KernelError::Damaged {
            what: "its entry is outside of it",
        });
    }
    let mut initramfs = File::open(initramfs)?;
    let initramfs_len = bounded_len(&initramfs, "initramfs", MAX_INITRAMFS_LEN)?;
    let initramfs_at = kernel_len.next_multiple_of(PAGE);
    let stub_at = (initramfs_at + initramfs_len).next_multiple_of(PAGE);
    let mut pages = Pages::zeroed(stub_at + PAGE);
    if address + pages.len() as u64 > MAX_ADDRESS {
        return Err(KernelError::Damaged {
            what: "it lies too high",
        });
    }
    for segment in &segments {
        let at = (segment.address - address) as usize;
        file.seek(SeekFrom::Start(segment.offset))?;
        fill(&mut pages, at, segment.file_len as usize, &mut file)?;
    }
    fill(&mut pages, initramfs_at, initramfs_len, &mut initramfs)?;
    // All below 1 GiB, so below 4 GiB.
    let low = |at: usize| (address + at as u64) as u32;
    let stub = stub(
        [low(initramfs_at), initramfs_len as u32],
        header.entry as u32,
    );
    fill(&mut pages, stub_at, stub.len(), &mut stub.as_slice())?;
    Ok(Bundle {
        entry: address + stub_at as u64,
        pages,
        address,
    })
}

/// Loads an aarch64 Image.
pub(super) fn load_aarch64(kernel: &Path) -> Result<Bundle, KernelError> {
    let mut file = File::open(kernel)?;
    let len = bounded_len(&file, "kernel", MAX_KERNEL_LEN)?;
    let mut head = [0; IMAGE_HEADER_LEN];
    read_head(&mut file, &mut head)?;
    let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
    if &head[56..60] != b"ARM\x64" {
        return Err(KernelError::NotAKernel);
    }
    let (text_offset, image_len) = (number(8), number(16));
    if text_offset != 0 {
        return Err(KernelError::Damaged {
            what: "it does not start at its start",
        });
    }
    if image_len < len as u64 || image_len > MAX_KERNEL_LEN {
        return Err(KernelError::Damaged {
            what: "its length in memory",
        });
    }
    // What the kernel needs beyond the file is the memory after it, which libkrun leaves to it.
    let mut pages = Pages::zeroed(len);
    file.seek(SeekFrom::Start(0))?;
    fill(&mut pages, 0, len, &mut file)?;
    Ok(Bundle {
        pages,
        address: AARCH64_START,
        entry: AARCH64_START,
    })
}

/// The first address of the segments and their length together.
fn extent(segments: &[Segment]) -> Result<(u64, usize), KernelError> {
    let first = segments.first().map_or(0, |segment| segment.address);
    let end = segments.last().map_or(0, Segment::end);
    if first < MIN_ADDRESS || !first.is_multiple_of(PAGE as u64) || end > MAX_ADDRESS {
        return Err(KernelError::Damaged {
            what: "its address",
        });
    }
    Ok((first, (end - first) as usize))
}

/// Machine code that writes both numbers into the boot parameters at `rsi` and jumps to `entry`.
fn stub(ramdisk: [u32; 2], entry: u32) -> Vec<u8> {
    let mut code = Vec::with_capacity(32);
    for (field, value) in RAMDISK_FIELDS.into_iter().zip(ramdisk) {
        code.extend_from_slice(&[0xc7, 0x86]); // mov dword [rsi + field], value
        code.extend_from_slice(&field.to_le_bytes());
        code.extend_from_slice(&value.to_le_bytes());
    }
    code.push(0xb8); // mov eax, entry
    code.extend_from_slice(&entry.to_le_bytes());
    code.extend_from_slice(&[0xff, 0xe0]); // jmp rax
    code
}

fn bounded_len(file: &File, what: &'static str, limit: u64) -> Result<usize, KernelError> {
    let len = file.metadata()?.len();
    if len > limit {
        return Err(KernelError::TooLong { what, limit });
    }
    Ok(len as usize)
}

/// Reads what a kernel must have; a file that is too short for it is no kernel.
fn read_head(file: &mut File, into: &mut [u8]) -> Result<(), KernelError> {
    file.read_exact(into).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => KernelError::NotAKernel,
        _ => KernelError::Read(error),
    })
}

fn fill(pages: &mut Pages, at: usize, len: usize, from: &mut impl Read) -> Result<(), KernelError> {
    let pieces = pages.pieces(at, len).ok_or(KernelError::Damaged {
        what: "a part lies outside of it",
    })?;
    for piece in pieces {
        from.read_exact(piece)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "kernel_tests.rs"]
mod tests;
