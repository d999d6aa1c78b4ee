//! Requests to the share: two bytes of length and one of room before each. Replies must be well formed.
#![no_main]

use std::io::Write;
use std::sync::LazyLock;

use kiln_share::{MAX_READ, OUT_HEADER_LEN, Server};
use libfuzzer_sys::fuzz_target;

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&[7; 10_000])
        .expect("a temporary file takes bytes");
    let server = Server::new();
    for name in ["a.tar", "a.erofs", "gone"] {
        server.add(name, file.path()).expect("a file");
    }
    server.remove("gone");
    server
});

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    let mut reply = Vec::new();
    while let Some(([low, high, room], after)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (request, after) = after.split_at(length);
        rest = after;
        let room = match room {
            255 => OUT_HEADER_LEN + MAX_READ as usize,
            room => usize::from(*room) * 3,
        };
        SERVER.handle(request, room, &mut reply);
        if reply.is_empty() {
            continue;
        }
        assert!(reply.len() <= room && reply.len() >= OUT_HEADER_LEN);
        assert_eq!(reply[..4], (reply.len() as u32).to_le_bytes());
        assert_eq!(reply[8..16], request[8..16]);
    }
});
