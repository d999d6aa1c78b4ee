//! What a guest's kernel, honest or not, gets from the share.
#![allow(clippy::unwrap_used, reason = "a failing test panics")]

use kiln_share::{MAX_READ, OUT_HEADER_LEN, Server, ShareError};

const ROOT: u64 = 1;
const ROOM: usize = MAX_READ as usize + 4096;

const ENOENT: i32 = -2;
const EINVAL: i32 = -22;
const EROFS: i32 = -30;
const ENOSYS: i32 = -38;
const EPROTO: i32 = -71;
const ESTALE: i32 = -116;

const LOOKUP: u32 = 1;
const GETATTR: u32 = 3;
const READ: u32 = 15;
const INIT: u32 = 26;
const READDIR: u32 = 28;

struct Guest {
    server: Server,
    dir: tempfile::TempDir,
}

impl Guest {
    fn with_files(files: &[(&str, &[u8])]) -> Self {
        let guest = Self {
            server: Server::new(),
            dir: tempfile::tempdir().unwrap(),
        };
        for (name, data) in files {
            guest.add(name, data).unwrap();
        }
        guest
    }

    fn add(&self, name: &str, data: &[u8]) -> Result<(), ShareError> {
        let path = self.dir.path().join(name);
        std::fs::write(&path, data).unwrap();
        self.server.add(name, &path)
    }

    fn call(&self, opcode: u32, nodeid: u64, body: &[u8]) -> Result<Vec<u8>, i32> {
        let mut reply = Vec::new();
        self.server
            .handle(&request(opcode, nodeid, body), ROOM, &mut reply);
        let len = u32::from_le_bytes(reply[..4].try_into().unwrap());
        assert_eq!(len as usize, reply.len());
        assert_eq!(reply[8..16], 77u64.to_le_bytes());
        match i32::from_le_bytes(reply[4..8].try_into().unwrap()) {
            0 => Ok(reply[OUT_HEADER_LEN..].to_vec()),
            error => Err(error),
        }
    }

    fn lookup(&self, parent: u64, name: &str) -> Result<u64, i32> {
        let body = [name.as_bytes(), b"\0"].concat();
        let entry = self.call(LOOKUP, parent, &body)?;
        assert_eq!(entry.len(), 128);
        Ok(u64::from_le_bytes(entry[..8].try_into().unwrap()))
    }

    fn layers(&self) -> u64 {
        self.lookup(ROOT, "layers").unwrap()
    }

    fn read(&self, nodeid: u64, offset: u64, size: u32) -> Result<Vec<u8>, i32> {
        self.call(READ, nodeid, &read_in(offset, size))
    }

    fn list(&self, nodeid: u64, after: u64, size: u32) -> Vec<(u64, String)> {
        let bytes = self.call(READDIR, nodeid, &read_in(after, size)).unwrap();
        assert!(bytes.len() <= size as usize);
        let mut rest = bytes.as_slice();
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let offset = u64::from_le_bytes(rest[8..16].try_into().unwrap());
            let len = u32::from_le_bytes(rest[16..20].try_into().unwrap()) as usize;
            entries.push((
                offset,
                String::from_utf8(rest[24..24 + len].to_vec()).unwrap(),
            ));
            rest = &rest[(24 + len).next_multiple_of(8)..];
        }
        entries
    }
}

fn request(opcode: u32, nodeid: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&(40 + body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&opcode.to_le_bytes());
    bytes.extend_from_slice(&77u64.to_le_bytes());
    bytes.extend_from_slice(&nodeid.to_le_bytes());
    bytes.extend_from_slice(&[0; 16]);
    bytes.extend_from_slice(body);
    bytes
}

fn read_in(offset: u64, size: u32) -> Vec<u8> {
    let mut body = 0u64.to_le_bytes().to_vec();
    body.extend_from_slice(&offset.to_le_bytes());
    body.extend_from_slice(&size.to_le_bytes());
    body.resize(40, 0);
    body
}

fn init_in(major: u32, minor: u32) -> Vec<u8> {
    [major, minor, 128 << 10, u32::MAX]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

#[test]
fn file_reads_back_at_any_offset() {
    let data: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
    let guest = Guest::with_files(&[("base.tar", &data)]);
    let file = guest.lookup(guest.layers(), "base.tar").unwrap();
    assert_eq!(guest.read(file, 0, MAX_READ).unwrap(), data);
    assert_eq!(guest.read(file, 4096, 8192).unwrap(), data[4096..12288]);
    assert_eq!(guest.read(file, 299_999, 4096).unwrap(), data[299_999..]);
    assert_eq!(guest.read(file, 300_000, 4096).unwrap(), b"");
    assert_eq!(guest.read(file, u64::MAX, u32::MAX).unwrap(), b"");
}

#[test]
fn attributes_carry_the_size_and_forbid_writing() {
    let guest = Guest::with_files(&[("base.tar", &[7; 1000])]);
    let file = guest.lookup(guest.layers(), "base.tar").unwrap();
    let attributes = guest.call(GETATTR, file, &[0; 16]).unwrap();
    assert_eq!(attributes.len(), 104);
    assert_eq!(attributes[24..32], 1000u64.to_le_bytes());
    assert_eq!(attributes[76..80], 0o100_444u32.to_le_bytes());
}

#[test]
fn added_file_appears_and_removed_file_is_stale() {
    let guest = Guest::with_files(&[]);
    let layers = guest.layers();
    assert_eq!(guest.lookup(layers, "late.erofs"), Err(ENOENT));
    guest.add("late.erofs", b"now").unwrap();
    let file = guest.lookup(layers, "late.erofs").unwrap();
    assert_eq!(guest.read(file, 0, 10).unwrap(), b"now");
    assert!(guest.server.remove("late.erofs"));
    assert!(!guest.server.remove("late.erofs"));
    assert_eq!(guest.lookup(layers, "late.erofs"), Err(ENOENT));
    assert_eq!(guest.read(file, 0, 10), Err(ESTALE));
}

#[test]
fn name_never_gets_a_second_meaning() {
    let guest = Guest::with_files(&[("a", b"1"), ("b", b"2")]);
    let (a, b) = (guest.dir.path().join("a"), guest.dir.path().join("b"));
    guest.server.add("a", &a).unwrap();
    assert!(matches!(
        guest.server.add("a", &b),
        Err(ShareError::NameTaken { .. })
    ));
    guest.server.remove("a");
    assert!(matches!(
        guest.server.add("a", &a),
        Err(ShareError::NameTaken { .. })
    ));
}

#[test]
fn names_that_are_paths_are_refused_on_both_sides() {
    let guest = Guest::with_files(&[("a", b"1")]);
    let path = guest.dir.path().join("a");
    let long = "x".repeat(256);
    for name in ["", ".", "..", "x/y", "../a", "x\0", &long] {
        assert!(matches!(
            guest.server.add(name, &path),
            Err(ShareError::BadName { .. })
        ));
    }
    let layers = guest.layers();
    for name in [
        "",
        ".",
        "..",
        "layers/a",
        "../a",
        "/a",
        "/etc/passwd",
        &long,
    ] {
        assert_eq!(guest.lookup(ROOT, name), Err(ENOENT), "{name}");
        assert_eq!(guest.lookup(layers, name), Err(ENOENT), "{name}");
    }
}

#[test]
fn directories_cannot_be_shared() {
    let guest = Guest::with_files(&[]);
    let error = guest.server.add("dir", guest.dir.path()).unwrap_err();
    assert!(matches!(
        error,
        ShareError::NotAFile { .. } | ShareError::Open { .. }
    ));
}

#[test]
fn listing_goes_on_where_it_stopped_although_files_come_and_go() {
    let guest = Guest::with_files(&[("a", b""), ("b", b""), ("c", b"")]);
    assert_eq!(guest.list(ROOT, 0, 4096), [(2, "layers".to_owned())]);
    let layers = guest.layers();
    let first = guest.list(layers, 0, 64);
    assert_eq!(
        first
            .iter()
            .map(|(_, name)| name.as_str())
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
    guest.server.remove("a");
    guest.add("0", b"").unwrap();
    let rest = guest.list(layers, first[1].0, 4096);
    assert_eq!(
        rest.iter()
            .map(|(_, name)| name.as_str())
            .collect::<Vec<_>>(),
        ["c", "0"]
    );
    assert_eq!(guest.list(layers, 0, 8), []);
}

#[test]
fn everything_that_writes_is_refused_and_unknown_calls_are_unknown() {
    let guest = Guest::with_files(&[("a", b"1")]);
    let file = guest.lookup(guest.layers(), "a").unwrap();
    for opcode in [4, 6, 8, 9, 10, 11, 12, 13, 16, 21, 24, 35, 43, 45, 47, 51] {
        assert_eq!(
            guest.call(opcode, file, &[0; 64]),
            Err(EROFS),
            "opcode {opcode}"
        );
    }
    for opcode in [0, 5, 7, 14, 22, 23, 39, 46, 48, 52, 4096, u32::MAX] {
        assert_eq!(
            guest.call(opcode, file, &[0; 64]),
            Err(ENOSYS),
            "opcode {opcode}"
        );
    }
}

#[test]
fn requests_without_reply_get_none() {
    let guest = Guest::with_files(&[]);
    for opcode in [2, 36, 41, 42] {
        let mut reply = vec![1];
        guest
            .server
            .handle(&request(opcode, ROOT, &[0; 16]), ROOM, &mut reply);
        assert!(reply.is_empty());
    }
}

#[test]
fn version_is_negotiated() {
    let guest = Guest::with_files(&[]);
    let reply = guest.call(INIT, 0, &init_in(7, 41)).unwrap();
    assert_eq!(reply.len(), 64);
    assert_eq!(reply[..4], 7u32.to_le_bytes());
    let flags = u32::from_le_bytes(reply[12..16].try_into().unwrap());
    assert_ne!(flags & (1 << 22), 0, "reads of more than 32 pages");
    assert_eq!(reply[28..30], 256u16.to_le_bytes());
    assert_eq!(
        guest.call(INIT, 0, &init_in(8, 0)).unwrap()[..4],
        7u32.to_le_bytes()
    );
    assert_eq!(guest.call(INIT, 0, &init_in(6, 0)), Err(EPROTO));
    assert_eq!(guest.call(INIT, 0, &init_in(7, 20)), Err(EPROTO));
}

#[test]
fn truncated_bodies_are_invalid() {
    let guest = Guest::with_files(&[("a", b"1")]);
    let file = guest.lookup(guest.layers(), "a").unwrap();
    assert_eq!(guest.call(READ, file, &read_in(0, 1)[..19]), Err(EINVAL));
    assert_eq!(guest.call(READDIR, ROOT, &[]), Err(EINVAL));
    assert_eq!(guest.call(LOOKUP, ROOT, b"layers"), Err(EINVAL));
    assert_eq!(guest.call(INIT, 0, &[7, 0, 0]), Err(EINVAL));
}

#[test]
fn reply_never_exceeds_its_room() {
    let guest = Guest::with_files(&[("a", &[9; 10_000])]);
    let file = guest.lookup(guest.layers(), "a").unwrap();
    for (opcode, nodeid, body) in [
        (READ, file, read_in(0, u32::MAX)),
        (READDIR, ROOT, read_in(0, u32::MAX)),
        (GETATTR, ROOT, vec![0; 16]),
        (INIT, 0, init_in(7, 31)),
        (LOOKUP, ROOT, b"layers\0".to_vec()),
    ] {
        for room in [0, 1, 15, 16, 17, 100, 5000] {
            let mut reply = Vec::new();
            guest
                .server
                .handle(&request(opcode, nodeid, &body), room, &mut reply);
            assert!(reply.len() <= room, "opcode {opcode}, room {room}");
        }
    }
}

/// Deterministic noise: a failure repeats.
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

#[test]
fn mutated_requests_are_answered_within_bounds() {
    let guest = Guest::with_files(&[("a", &[9; 10_000]), ("b", b"")]);
    let file = guest.lookup(guest.layers(), "a").unwrap();
    let seeds = [
        request(INIT, 0, &init_in(7, 41)),
        request(LOOKUP, 2, b"a\0"),
        request(GETATTR, file, &[0; 16]),
        request(READ, file, &read_in(4096, 8192)),
        request(READDIR, 2, &read_in(0, 4096)),
        request(27, 2, &[0; 8]),
        request(34, file, &[2; 8]),
        request(17, ROOT, &[]),
    ];
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let mut reply = Vec::new();
    for _ in 0..50_000 {
        let mut bytes = seeds[noise.next(seeds.len())].clone();
        for _ in 0..noise.next(6) {
            let at = noise.next(bytes.len());
            bytes[at] = [0, 1, 2, 0x7f, 0x80, 0xff, noise.next(256) as u8][noise.next(7)];
        }
        bytes.truncate(noise.next(bytes.len() * 2));
        let room = [0, 16, 200, 4112, ROOM][noise.next(5)];
        guest.server.handle(&bytes, room, &mut reply);
        assert!(reply.is_empty() || (16..=room).contains(&reply.len()));
    }
    assert_eq!(guest.read(file, 0, 3).unwrap(), [9; 3]);
}
