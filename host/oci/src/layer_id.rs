//! Layer identities: the diff id of one layer and the chain id of a stack of them.
//!
//! Invariant: the two never mix, so a layer cannot be looked up by the id of a stack.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DigestError, Hasher};

/// Digest of a layer's uncompressed tar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(pub Digest);

/// Identity of a stack of layers, bottom first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainId(pub Digest);

impl ChainId {
    /// The chain id of `layers`, bottom first; none for an empty stack.
    pub fn of(layers: &[DiffId]) -> Option<ChainId> {
        layers
            .iter()
            .fold(None, |parent, layer| Some(ChainId::extend(parent, *layer)))
    }

    /// The chain id of `parent` with `layer` on top.
    pub fn extend(parent: Option<ChainId>, layer: DiffId) -> ChainId {
        let Some(parent) = parent else {
            return ChainId(layer.0);
        };
        let mut hasher = Hasher::new();
        hasher.update(parent.0.to_string().as_bytes());
        hasher.update(b" ");
        hasher.update(layer.0.to_string().as_bytes());
        ChainId(hasher.finish())
    }
}

macro_rules! digest_newtype {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<Self, DigestError> {
                text.parse().map($name)
            }
        }
    };
}

digest_newtype!(DiffId);
digest_newtype!(ChainId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_id_follows_the_specification() {
        let (a, b) = (DiffId(Digest::of(b"a")), DiffId(Digest::of(b"b")));
        assert_eq!(ChainId::of(&[]), None);
        assert_eq!(ChainId::of(&[a]), Some(ChainId(a.0)));
        let both = Digest::of(format!("{a} {b}").as_bytes());
        assert_eq!(ChainId::of(&[a, b]), Some(ChainId(both)));
        assert_ne!(ChainId::of(&[a, b]), ChainId::of(&[b, a]));
    }
}
