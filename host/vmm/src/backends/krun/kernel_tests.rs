//! Kernels, real ones and such that are none.

use std::path::PathBuf;

use super::*;

const BASE: u64 = 0x100_0000;

/// A kernel with two segments: 100 bytes of code, and 50 bytes of data that take 70,000 in memory.
fn elf() -> Vec<u8> {
    let mut file = vec![0; 512];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(16, &2u16.to_le_bytes());
    put(18, &62u16.to_le_bytes());
    put(24, &(BASE + 0x10).to_le_bytes());
    put(32, &64u64.to_le_bytes());
    put(54, &56u16.to_le_bytes());
    put(56, &2u16.to_le_bytes());
    for (number, [offset, address, file_len, memory_len]) in
        [[300, BASE, 100, 100], [400, BASE + 0x1000, 50, 70_000]]
            .into_iter()
            .enumerate()
    {
        let at = 64 + number * 56;
        put(at, &1u32.to_le_bytes());
        for (place, value) in [(8, offset), (24, address), (32, file_len), (40, memory_len)] {
            put(at + place, &value.to_le_bytes());
        }
    }
    put(300, &[0xaa; 100]);
    put(400, &[0xbb; 50]);
    file
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn load(&self, kernel: &[u8]) -> Result<Bundle, KernelError> {
        load_x86_64(
            &self.file("vmlinux", kernel),
            &self.file("initramfs", b"070701cpio"),
        )
    }
}

/// What the bundle holds at a guest address.
fn bytes(bundle: &mut Bundle, address: u64, len: usize) -> Vec<u8> {
    let at = (address - bundle.address) as usize;
    let pieces = bundle.pages.pieces(at, len).expect("it is all there");
    pieces.flat_map(|piece| piece.to_vec()).collect()
}

/// The numbers in a stub, after checking that it is one.
fn numbers(code: &[u8]) -> [u32; 3] {
    let number = |at: usize| u32::from_le_bytes(code[at..at + 4].try_into().unwrap());
    assert_eq!(code[..6], [0xc7, 0x86, 0x18, 0x02, 0, 0]);
    assert_eq!(code[10..16], [0xc7, 0x86, 0x1c, 0x02, 0, 0]);
    assert_eq!(code[20], 0xb8);
    assert_eq!(code[25..27], [0xff, 0xe0]);
    [number(6), number(16), number(21)]
}

#[test]
fn kernel_lies_where_its_segments_say_and_the_stub_tells_of_the_initramfs() {
    let folder = Folder::new();
    let mut bundle = folder.load(&elf()).unwrap();
    assert_eq!(bundle.address, BASE);
    assert_eq!(bytes(&mut bundle, BASE, 100), [0xaa; 100]);
    assert_eq!(bytes(&mut bundle, BASE + 100, 0xf9c), [0; 0xf9c]);
    assert_eq!(bytes(&mut bundle, BASE + 0x1000, 50), [0xbb; 50]);
    assert_eq!(bytes(&mut bundle, BASE + 0x1032, 69_950), [0; 69_950]);

    let entry = bundle.entry;
    let [initramfs, len, kernel] = numbers(&bytes(&mut bundle, entry, 27));
    assert_eq!(u64::from(kernel), BASE + 0x10);
    assert!(u64::from(initramfs) >= BASE + 0x1000 + 70_000);
    assert_eq!(
        bytes(&mut bundle, initramfs.into(), len as usize),
        b"070701cpio"
    );
    assert!(bundle.entry >= u64::from(initramfs + len));
}

#[test]
fn kernel_of_the_vm_image_loads() {
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vm-image/out/x86_64");
    let (kernel, initramfs) = (image.join("vmlinux"), image.join("initramfs.cpio"));
    if !kernel.is_file() {
        return println!("skipped: there is no {}", kernel.display());
    }
    let mut bundle = load_x86_64(&kernel, &initramfs).unwrap();
    let file = std::fs::read(&kernel).unwrap();
    let header = elf::header(file.first_chunk().unwrap()).unwrap();
    let table = &file[header.table_offset as usize..][..header.table_len];
    for segment in elf::segments(table, file.len() as u64, MAX_KERNEL_LEN).unwrap() {
        let expected = &file[segment.offset as usize..][..segment.file_len as usize];
        let found = bytes(&mut bundle, segment.address, expected.len());
        assert!(found == expected, "{segment:?}");
        let rest = (segment.memory_len - segment.file_len) as usize;
        let zeros = bytes(&mut bundle, segment.address + segment.file_len, rest);
        assert!(zeros.iter().all(|byte| *byte == 0), "{segment:?}");
    }
    let entry = bundle.entry;
    let [at, len, first] = numbers(&bytes(&mut bundle, entry, 27));
    assert_eq!(u64::from(first), header.entry);
    let archive = std::fs::read(&initramfs).unwrap();
    assert!(bytes(&mut bundle, at.into(), len as usize) == archive);
}

#[test]
fn every_cut_of_a_kernel_is_refused() {
    let (folder, whole) = (Folder::new(), elf());
    for len in 0..450 {
        assert!(folder.load(&whole[..len]).is_err(), "{len}");
    }
    assert!(folder.load(&whole[..450]).is_ok());
}

#[test]
fn contradictions_are_refused() {
    let (folder, whole) = (Folder::new(), elf());
    let u64_of = |value: u64| value.to_le_bytes().to_vec();
    let cases: &[(&str, usize, Vec<u8>)] = &[
        ("magic", 0, vec![0]),
        ("class", 4, vec![1]),
        ("byte order", 5, vec![2]),
        ("type", 16, vec![3]),
        ("machine", 18, vec![183]),
        ("entry below", 24, u64_of(BASE - 1)),
        ("entry beyond", 24, u64_of(BASE + (1 << 20))),
        ("table outside", 32, u64_of(u64::MAX)),
        ("size of table entries", 54, vec![57]),
        ("no segments", 56, vec![0, 0]),
        ("too many segments", 56, vec![65, 0]),
        ("offset outside", 64 + 8, u64_of(u64::MAX - 10)),
        ("odd address", 64 + 24, u64_of(BASE + 1)),
        ("address too low", 64 + 24, u64_of(0)),
        ("address too high", 64 + 56 + 24, u64_of(u64::MAX - 10)),
        ("segments overlap", 64 + 56 + 24, u64_of(BASE + 99)),
        ("more file than memory", 64 + 40, u64_of(99)),
        ("too much memory", 64 + 56 + 40, u64_of(MAX_KERNEL_LEN + 1)),
        ("endless memory", 64 + 56 + 40, u64_of(u64::MAX)),
    ];
    for (what, at, bytes) in cases {
        let mut kernel = whole.clone();
        kernel[*at..*at + bytes.len()].copy_from_slice(bytes);
        assert!(folder.load(&kernel).is_err(), "{what}");
    }
}

#[test]
fn mutilated_headers_never_lead_outside() {
    let whole = elf();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut accepted = 0;
    for _ in 0..200_000 {
        let mut kernel = whole.clone();
        for _ in 0..1 + next() % 4 {
            let at = next() as usize % (64 + 2 * 56);
            kernel[at] = [0, 1, 0x7f, 0xff, next() as u8][next() as usize % 5];
        }
        let Ok(header) = elf::header(kernel.first_chunk().unwrap()) else {
            continue;
        };
        let table = &kernel[64..64 + header.table_len.min(112)];
        let Ok(segments) = elf::segments(table, 512, MAX_KERNEL_LEN) else {
            continue;
        };
        accepted += 1;
        assert!(
            segments
                .windows(2)
                .all(|two| two[0].end() <= two[1].address)
        );
        let len = segments.last().unwrap().end() - segments[0].address;
        assert!(len <= MAX_KERNEL_LEN);
        assert!(segments.iter().all(|one| one.offset + one.file_len <= 512));
    }
    assert!(accepted > 100, "the mutations hardly got past the magic");
}

#[test]
fn too_long_an_initramfs_is_refused_unread() {
    let folder = Folder::new();
    let kernel = folder.file("vmlinux", &elf());
    let initramfs = folder.file("initramfs", b"");
    let file = File::options().write(true).open(&initramfs).unwrap();
    file.set_len(MAX_INITRAMFS_LEN + 1).unwrap();
    let loaded = load_x86_64(&kernel, &initramfs);
    assert!(
        matches!(loaded, Err(KernelError::TooLong { .. })),
        "{loaded:?}"
    );
}

#[test]
fn aarch64_image_is_taken_as_it_is() {
    let mut image = vec![7; 100_000];
    image[8..16].copy_from_slice(&0u64.to_le_bytes());
    image[16..24].copy_from_slice(&150_000u64.to_le_bytes());
    image[56..60].copy_from_slice(b"ARM\x64");
    let folder = Folder::new();
    let load = |image: &[u8]| load_aarch64(&folder.file("Image", image));
    let mut bundle = load(&image).unwrap();
    assert_eq!(
        (bundle.address, bundle.entry),
        (AARCH64_START, AARCH64_START)
    );
    assert!(bytes(&mut bundle, AARCH64_START, image.len()) == image);

    for (what, at, value) in [
        ("magic", 56, 0u64),
        ("offset", 8, 0x8_0000),
        ("shorter than its file", 16, 99_999),
        ("endless", 16, u64::MAX),
    ] {
        let mut image = image.clone();
        image[at..at + 8].copy_from_slice(&value.to_le_bytes());
        assert!(load(&image).is_err(), "{what}");
    }
    assert!(load(&image[..63]).is_err());
}

#[test]
fn aarch64_kernel_of_the_vm_image_loads() {
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vm-image/out/aarch64");
    let kernel = image.join("vmlinux");
    if !kernel.is_file() {
        return println!("skipped: there is no {}", kernel.display());
    }
    let mut bundle = load_aarch64(&kernel).unwrap();
    let file = std::fs::read(&kernel).unwrap();
    assert!(bytes(&mut bundle, AARCH64_START, file.len()) == file);
}
