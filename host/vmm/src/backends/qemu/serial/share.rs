//! The share's port: the guest's kernel asks for files, one FUSE message after the other.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpStream};

use kiln_mux::{MAX_REPLY, MAX_REQUEST, expect_token, read_prefixed};
use kiln_share::{MAX_READ, OUT_HEADER_LEN, Server};

// The link carries whatever the share says.
const _: () = assert!(MAX_REPLY == OUT_HEADER_LEN + MAX_READ as usize);
const _: () = assert!(MAX_REQUEST == kiln_share::MAX_REQUEST);

/// Serves the share until the port is closed or the guest breaks the rules.
pub(super) fn serve(port: &TcpStream, token: &str, share: &Server) -> io::Result<()> {
    let result = answer(port, port, token, share);
    let _ = port.shutdown(Shutdown::Both);
    result
}

fn answer(from: impl io::Read, mut to: impl Write, token: &str, share: &Server) -> io::Result<()> {
    let mut from = BufReader::with_capacity(2 * MAX_REQUEST, from);
    if !expect_token(&mut from, token)? {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let (mut request, mut reply) = (Vec::new(), Vec::new());
    while read_prefixed(&mut from, &mut request, MAX_REQUEST)? {
        share.handle(&request, MAX_REPLY, &mut reply);
        to.write_all(&reply)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    /// A FUSE request without a body.
    fn request(opcode: u32, nodeid: u64) -> Vec<u8> {
        let mut bytes = vec![0; 40];
        bytes[..4].copy_from_slice(&40u32.to_le_bytes());
        bytes[4..8].copy_from_slice(&opcode.to_le_bytes());
        bytes[8..16].copy_from_slice(&7u64.to_le_bytes());
        bytes[16..24].copy_from_slice(&nodeid.to_le_bytes());
        bytes
    }

    fn said(bytes: &[u8]) -> (io::Result<()>, Vec<u8>) {
        let mut replies = Vec::new();
        let result = answer(bytes, &mut replies, TOKEN, &Server::new());
        (result, replies)
    }

    #[test]
    fn requests_are_answered_after_the_token() {
        let mut bytes = TOKEN.as_bytes().to_vec();
        let getattr = 3;
        bytes.extend(request(getattr, 1));
        bytes.extend(request(getattr, 99));
        let (result, replies) = said(&bytes);
        result.unwrap();
        let (first, second) = replies.split_at(replies.len() - OUT_HEADER_LEN);
        assert_eq!(first[..4], (first.len() as u32).to_le_bytes());
        assert_eq!(first[4..16], [0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
        let stale = 116i32;
        assert_eq!(second[4..8], (-stale).to_le_bytes());
    }

    #[test]
    fn nothing_is_answered_without_the_token_or_after_a_broken_request() {
        let mut wrong = b"0123456789abcdef0123456789abcdeX".to_vec();
        wrong.extend(request(3, 1));
        let (result, replies) = said(&wrong);
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(replies.is_empty());

        let mut broken = TOKEN.as_bytes().to_vec();
        broken.extend(u32::MAX.to_le_bytes());
        broken.extend(request(3, 1));
        let (result, replies) = said(&broken);
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(replies.is_empty());
    }
}
