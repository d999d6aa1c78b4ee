//! FUSE messages on a byte stream: each begins with its own length (u32, little endian, itself included).

use std::io::{self, Read};

/// Bytes of the length.
const PREFIX: usize = 4;

/// Reads the next message, whole, into `message`; false at a clean end.
///
/// # Errors
/// `InvalidData` for a length below 4 or above `max`, `UnexpectedEof` for an end inside a message, or the stream's own.
pub fn read_prefixed(from: &mut impl Read, message: &mut Vec<u8>, max: usize) -> io::Result<bool> {
    message.resize(PREFIX, 0);
    let first = loop {
        match from.read(message) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    if first == 0 {
        return Ok(false);
    }
    from.read_exact(&mut message[first..])?;
    let prefix: [u8; PREFIX] = message.as_slice().try_into().expect("just sized");
    let len = usize::try_from(u32::from_le_bytes(prefix)).unwrap_or(usize::MAX);
    if !(PREFIX..=max).contains(&len) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    message.resize(len, 0);
    from.read_exact(&mut message[PREFIX..])?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_at_their_own_lengths() {
        let bytes = b"\x06\0\0\0ab\x04\0\0\0";
        let mut from = bytes.as_slice();
        let mut message = Vec::new();
        assert!(read_prefixed(&mut from, &mut message, 6).unwrap());
        assert_eq!(message, b"\x06\0\0\0ab");
        assert!(read_prefixed(&mut from, &mut message, 6).unwrap());
        assert_eq!(message.len(), 4);
        assert!(!read_prefixed(&mut from, &mut message, 6).unwrap());
    }

    #[test]
    fn lengths_out_of_bounds_and_torn_messages_are_refused() {
        for bytes in [
            b"\x03\0\0\0".as_slice(),
            b"\x07\0\0\0abc",
            b"\xff\xff\xff\xff",
            b"\x06\0",
            b"\x06\0\0\0a",
        ] {
            let mut message = Vec::new();
            let mut from = bytes;
            assert!(
                read_prefixed(&mut from, &mut message, 6).is_err(),
                "{bytes:?}"
            );
            assert!(message.len() <= 6);
        }
    }
}
