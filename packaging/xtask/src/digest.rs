//! Digests of files and of lists of inputs, by which results are kept.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// A growing list of named inputs; its digest names the result that they lead to.
#[derive(Default)]
pub struct Inputs {
    hash: Sha256,
}

impl Inputs {
    /// Adds one input. Lengths are hashed too, so that neighbours cannot run into each other.
    pub fn add(&mut self, name: &str, bytes: &[u8]) {
        for part in [name.as_bytes(), bytes] {
            self.hash.update((part.len() as u64).to_le_bytes());
            self.hash.update(part);
        }
    }

    /// Adds a file's content.
    pub fn add_file(&mut self, name: &str, path: &Path) -> Result<(), Error> {
        self.add(
            name,
            &std::fs::read(path).map_err(Error::file("read", path))?,
        );
        Ok(())
    }

    /// The digest, shortened to what tells results of one project apart.
    pub fn key(self) -> String {
        let mut text = hex(&self.hash.finalize());
        text.truncate(16);
        text
    }
}

/// Hexadecimal SHA-256 of a file.
pub fn of_file(path: &Path) -> Result<String, Error> {
    let mut file = File::open(path).map_err(Error::file("open", path))?;
    let mut hash = Sha256::new();
    let mut buf = vec![0; 1 << 20];
    loop {
        match file.read(&mut buf).map_err(Error::file("read", path))? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&buf[..n]),
        }
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_tells_where_one_input_ends() {
        let key = |parts: &[(&str, &str)]| {
            let mut inputs = Inputs::default();
            for (name, text) in parts {
                inputs.add(name, text.as_bytes());
            }
            inputs.key()
        };
        assert_ne!(key(&[("a", "bc")]), key(&[("ab", "c")]));
        assert_eq!(key(&[("a", "bc")]), key(&[("a", "bc")]));
    }
}
