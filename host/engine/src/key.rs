//! Cache keys: decides whether a step's earlier result may be used again.
//!
//! Value                          | RUN | COPY, ADD | WORKDIR | why
//! -------------------------------|-----|-----------|---------|-------------------------------------------
//! parent chain id                |  ✓  |     ✓     |    ✓    | the same step on another root differs
//! argv, after SHELL and heredocs |  ✓  |           |         |
//! environment, ARGs in scope     |  ✓  |           |         | a RUN may read any of them
//! predefined proxy ARGs          |     |           |         | they say how to reach the network, not what to build
//! user, working folder           |  ✓  |           |         |
//! mounts, with their contents    |  ✓  |           |         | secrets by id only, never by value
//! security, network, extra hosts |  ✓  |           |         |
//! copy plan: names, contents,    |     |     ✓     |         | never the times of files
//! modes, owners                  |     |           |         |
//! path                           |     |           |    ✓    |
//! platform of the stage          |  ✓  |           |         | the same files may run on several, differently
//! `SOURCE_DATE_EPOCH`            |  ✓  |     ✓     |    ✓    | it changes the times in the layer
//! `--progress`, VM size          |     |           |         | must not change the result
//!
//! A key is the digest of its fields, each with its length before it, so that no two lists of fields have the
//! same bytes. [`FORMAT`] is the first field: raise it whenever a layer made from the same fields would differ.

use kiln_oci::{ChainId, Digest, Hasher};

/// Version of the keys and of the layers they stand for.
const FORMAT: &str = "kiln-step-1";

/// Collects the fields of one key.
pub struct KeyBuilder {
    hasher: Hasher,
}

impl KeyBuilder {
    /// Starts the key of a step of this kind upon this root.
    pub fn new(kind: &str, parent: Option<ChainId>) -> Self {
        let mut key = Self {
            hasher: Hasher::new(),
        };
        key.text(FORMAT);
        key.text(kind);
        match parent {
            Some(chain) => key.digest(&chain.0),
            None => key.text("scratch"),
        }
        key
    }

    /// Adds a field of bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.hasher.update(&(bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }

    /// Adds a field of text.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Adds a digest.
    pub fn digest(&mut self, digest: &Digest) {
        self.bytes(digest.as_bytes());
    }

    /// Adds a field that may be absent, told apart from an empty one.
    pub fn option(&mut self, text: Option<&str>) {
        match text {
            Some(text) => {
                self.bytes(b"some");
                self.text(text);
            }
            None => self.bytes(b"none"),
        }
    }

    /// Adds a list, its length first.
    pub fn list<'a>(&mut self, items: impl ExactSizeIterator<Item = &'a str>) {
        self.number(items.len() as i64);
        items.for_each(|item| self.text(item));
    }

    /// Adds a number.
    pub fn number(&mut self, number: i64) {
        self.bytes(&number.to_le_bytes());
    }

    /// The key.
    pub fn finish(self) -> Digest {
        self.hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_split_differently_give_different_keys() {
        let key = |fields: &[&str]| {
            let mut key = KeyBuilder::new("run", None);
            fields.iter().for_each(|field| key.text(field));
            key.finish()
        };
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["abc"]), key(&["abc", ""]));
        assert_eq!(key(&["abc"]), key(&["abc"]));
    }

    #[test]
    fn absent_field_differs_from_empty_one() {
        let key = |value: Option<&str>| {
            let mut key = KeyBuilder::new("run", None);
            key.option(value);
            key.finish()
        };
        assert_ne!(key(None), key(Some("")));
    }
}
