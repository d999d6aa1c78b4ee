//! Content digests. Owns the text form `sha256:<64 hex>` and streaming SHA-256.
//!
//! Invariant: a [`Digest`] is always 32 bytes of SHA-256 and prints in lower case, so equal content has
//! one spelling. Other algorithms are refused when parsed.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

const ALGORITHM: &str = "sha256";
const HEX_LEN: usize = 64;

/// A SHA-256 digest of some content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `content`.
    pub fn of(content: &[u8]) -> Digest {
        Digest(Sha256::digest(content).into())
    }

    /// Wraps raw digest bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Digest {
        Digest(bytes)
    }

    /// The raw digest bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses the 64 hex digits without the algorithm in front.
    pub fn from_hex(hex: &str) -> Result<Digest, DigestError> {
        let digits = hex.as_bytes();
        if digits.len() != HEX_LEN {
            return Err(DigestError::Length {
                found: digits.len(),
            });
        }
        let mut bytes = [0u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Digest(bytes))
    }

    /// All 64 hex digits.
    pub fn hex(&self) -> String {
        hex_of(&self.0)
    }

    /// The first 12 hex digits, as `docker images` shows them.
    pub fn short(&self) -> String {
        hex_of(&self.0[..6])
    }
}

fn hex_of(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Only lower case is accepted, as the OCI specification demands: one content, one spelling.
fn nibble(digit: u8) -> Result<u8, DigestError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(DigestError::NotHex),
    }
}

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// There is no `algorithm:` in front.
    #[error("digest has no algorithm, expected sha256:<64 hex digits>")]
    NoAlgorithm,
    /// The algorithm is not sha256.
    #[error("digest algorithm `{found}` is not supported, only sha256 is")]
    Algorithm {
        /// The algorithm named, shortened.
        found: String,
    },
    /// The hex part is not 64 digits long.
    #[error("digest has {found} hex digits, expected 64")]
    Length {
        /// Digits found.
        found: usize,
    },
    /// The hex part holds something else than `0-9a-f`.
    #[error("digest holds a character that is not a lower-case hex digit")]
    NotHex,
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Digest, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or(DigestError::NoAlgorithm)?;
        if algorithm != ALGORITHM {
            let found = algorithm.chars().take(32).collect();
            return Err(DigestError::Algorithm { found });
        }
        Digest::from_hex(hex)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Streaming SHA-256; also an [`io::Write`] that never fails.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// A hasher that has seen nothing yet.
    pub fn new() -> Hasher {
        Hasher::default()
    }

    /// Hashes more content.
    pub fn update(&mut self, content: &[u8]) {
        self.0.update(content);
    }

    /// Hashes `count` zero bytes, as a hole in a file stands for.
    pub fn update_zeros(&mut self, mut count: u64) {
        const ZEROS: [u8; 1 << 14] = [0; 1 << 14];
        while count > 0 {
            let step = count.min(ZEROS.len() as u64) as usize;
            self.0.update(&ZEROS[..step]);
            count -= step as u64;
        }
    }

    /// The digest of everything seen.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher(sha256)")
    }
}

impl io::Write for Hasher {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        self.update(content);
        Ok(content.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_round_trips_through_text_and_json() {
        let digest = Digest::of(b"abc");
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse::<Digest>().unwrap(), digest);
        assert_eq!(digest.short(), "ba7816bf8f01");
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
    }

    #[test]
    fn malformed_digests_are_refused() {
        let upper = format!("sha256:{}", "A".repeat(64));
        let sha512 = format!("sha512:{}", "a".repeat(128));
        for (text, error) in [
            ("", DigestError::NoAlgorithm),
            ("abc", DigestError::NoAlgorithm),
            ("sha256:", DigestError::Length { found: 0 }),
            ("sha256:abc", DigestError::Length { found: 3 }),
            (upper.as_str(), DigestError::NotHex),
            (
                sha512.as_str(),
                DigestError::Algorithm {
                    found: "sha512".into(),
                },
            ),
        ] {
            assert_eq!(text.parse::<Digest>(), Err(error), "{text}");
        }
    }

    #[test]
    fn zeros_hash_like_bytes_of_zero() {
        let mut zeros = Hasher::new();
        zeros.update(b"x");
        zeros.update_zeros(40_000);
        let mut plain = vec![0u8; 40_001];
        plain[0] = b'x';
        assert_eq!(zeros.finish(), Digest::of(&plain));
    }
}
