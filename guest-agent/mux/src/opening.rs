//! The first bytes on a port: the token of this boot, which proves that the guest and nobody else speaks.

use std::io::{self, Read};

/// Bytes of the token.
pub const TOKEN_LEN: usize = 32;

/// Reads the token and tells whether it is `expected`. How long that takes does not depend on what came.
///
/// # Errors
/// The port's own, an end before the token included.
pub fn expect_token(from: &mut impl Read, expected: &str) -> io::Result<bool> {
    let mut said = [0; TOKEN_LEN];
    from.read_exact(&mut said)?;
    let expected = expected.as_bytes();
    let differences = said
        .iter()
        .zip(expected)
        .fold(0, |differences, (a, b)| differences | (a ^ b));
    Ok(expected.len() == TOKEN_LEN && std::hint::black_box(differences) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = "0123456789abcdef0123456789abcdef";
        let said = |bytes: &[u8]| expect_token(&mut &*bytes, token);
        assert!(said(token.as_bytes()).unwrap());
        assert!(!said(b"0123456789abcdef0123456789abcdeF").unwrap());
        assert!(said(&token.as_bytes()[1..]).is_err());
        assert!(!expect_token(&mut [0; TOKEN_LEN].as_slice(), "").unwrap());
    }
}
