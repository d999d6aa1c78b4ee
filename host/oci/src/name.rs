//! Image names: `[registry/]repository[:tag][@digest]` by Docker's reference rules.
//!
//! Owns parsing, the docker.io/library defaults and the familiar spelling. Invariant: a parsed name is in
//! its one canonical form, so equal names compare equal.
//!
//! ```text
//! name       = [registry "/"] path           at most 255 bytes
//! registry   = host [":" port]               has "." or ":" or upper case, or is "localhost"
//! path       = component *("/" component)
//! component  = alnum *(separator alnum)      alnum = [a-z0-9]+  separator = "." | "_" | "__" | "-"+
//! tag        = [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{Digest, DigestError};

const DEFAULT_REGISTRY: &str = "docker.io";
const LEGACY_REGISTRY: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
const DEFAULT_TAG: &str = "latest";
/// Docker's bound on registry and path together.
const MAX_NAME_LEN: usize = 255;
const MAX_TAG_LEN: usize = 128;
/// Longest reference looked at: name, tag and digest with their separators.
const MAX_REFERENCE_LEN: usize = MAX_NAME_LEN + MAX_TAG_LEN + 160;

/// The name of an image, in canonical form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageName {
    /// Registry host with optional port; `docker.io` by default.
    pub registry: String,
    /// Path within the registry; official images have `library/` in front.
    pub repository: String,
    /// Tag, if given.
    pub tag: Option<String>,
    /// Digest, if given.
    pub digest: Option<Digest>,
}

/// Why a text is not an image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("image name is empty")]
    Empty,
    /// Longer than Docker allows.
    #[error("image name is {len} bytes long, too long")]
    TooLong {
        /// Length found.
        len: usize,
    },
    /// 64 hex digits, which would be mistaken for an image id.
    #[error("image name `{name}` would be mistaken for an image id")]
    LooksLikeId {
        /// The name.
        name: String,
    },
    /// The registry part is malformed.
    #[error("`{registry}` is not a registry host")]
    Registry {
        /// The part.
        registry: String,
    },
    /// The path has an upper-case letter.
    #[error("repository name `{repository}` must be lower case")]
    UpperCase {
        /// The path.
        repository: String,
    },
    /// The path is malformed.
    #[error("`{repository}` is not a repository name")]
    Repository {
        /// The path.
        repository: String,
    },
    /// The tag is malformed.
    #[error("`{tag}` is not a tag")]
    Tag {
        /// The tag.
        tag: String,
    },
    /// The digest is malformed.
    #[error("image name has a malformed digest")]
    Digest(#[source] DigestError),
}

impl ImageName {
    /// Parses a name as Docker does.
    pub fn parse(text: &str) -> Result<ImageName, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_REFERENCE_LEN {
            return Err(NameError::TooLong { len: text.len() });
        }
        if Digest::from_hex(text).is_ok() {
            return Err(NameError::LooksLikeId {
                name: text.to_owned(),
            });
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse().map_err(NameError::Digest)?)),
            None => (text, None),
        };
        let (registry, rest) = split_registry(rest);
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        check_registry(registry)?;
        check_path(path)?;
        if let Some(tag) = tag {
            check_tag(tag)?;
        }
        let repository = match registry {
            DEFAULT_REGISTRY if !path.contains('/') => format!("{OFFICIAL_PREFIX}{path}"),
            _ => path.to_owned(),
        };
        let len = registry.len() + 1 + repository.len();
        if len > MAX_NAME_LEN {
            return Err(NameError::TooLong { len });
        }
        Ok(ImageName {
            registry: registry.to_owned(),
            repository,
            tag: tag.map(str::to_owned),
            digest,
        })
    }

    /// The name with `latest` where it has neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> ImageName {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// The spelling users know: no `docker.io/`, no `library/`.
    pub fn familiar(&self) -> String {
        let mut text = self.familiar_repository();
        self.push_suffix(&mut text);
        text
    }

    /// Registry and repository as users know them, without tag and digest.
    pub fn familiar_repository(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return format!("{}/{}", self.registry, self.repository);
        }
        match self.repository.strip_prefix(OFFICIAL_PREFIX) {
            // What remains would read as a registry or a deeper path if it had a slash.
            Some(short) if !short.contains('/') => short.to_owned(),
            _ if split_registry(&self.repository).0 != DEFAULT_REGISTRY => {
                format!("{DEFAULT_REGISTRY}/{}", self.repository)
            }
            _ => self.repository.clone(),
        }
    }

    fn push_suffix(&self, text: &mut String) {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(&digest.to_string());
        }
    }
}

/// Splits off the registry by Docker's rule for telling `host/path` from `path/path`.
fn split_registry(text: &str) -> (&str, &str) {
    let Some((first, rest)) = text.split_once('/') else {
        return (DEFAULT_REGISTRY, text);
    };
    let is_host = first.contains(['.', ':'])
        || first == "localhost"
        || first.bytes().any(|byte| byte.is_ascii_uppercase());
    match first {
        LEGACY_REGISTRY => (DEFAULT_REGISTRY, rest),
        host if is_host => (host, rest),
        _ => (DEFAULT_REGISTRY, text),
    }
}

fn check_registry(registry: &str) -> Result<(), NameError> {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (registry, None),
    };
    let port_fits = port.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    let host_fits = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(ipv6) => !ipv6.is_empty() && ipv6.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'),
        None => host.split('.').all(is_host_label),
    };
    if port_fits && host_fits {
        Ok(())
    } else {
        Err(NameError::Registry {
            registry: registry.to_owned(),
        })
    }
}

fn is_host_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let ends_fit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    ends_fit(bytes.first())
        && ends_fit(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

fn check_path(path: &str) -> Result<(), NameError> {
    if path.split('/').all(is_path_component) {
        return Ok(());
    }
    let repository = path.to_owned();
    if path
        .split('/')
        .all(|part| is_path_component(&part.to_ascii_lowercase()))
    {
        return Err(NameError::UpperCase { repository });
    }
    Err(NameError::Repository { repository })
}

fn is_path_component(component: &str) -> bool {
    let is_alnum = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut rest = component.as_bytes();
    loop {
        let word = rest.iter().take_while(|byte| is_alnum(byte)).count();
        if word == 0 {
            return false;
        }
        rest = &rest[word..];
        let separator = match rest {
            [] => return true,
            [b'.', ..] => 1,
            [b'_', b'_', ..] => 2,
            [b'_', ..] => 1,
            [b'-', ..] => rest.iter().take_while(|byte| **byte == b'-').count(),
            _ => return false,
        };
        rest = &rest[separator..];
    }
}

fn check_tag(tag: &str) -> Result<(), NameError> {
    let bytes = tag.as_bytes();
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let fits = bytes.len() <= MAX_TAG_LEN
        && bytes.first().is_some_and(is_word)
        && bytes
            .iter()
            .all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'));
    if fits {
        Ok(())
    } else {
        Err(NameError::Tag {
            tag: tag.to_owned(),
        })
    }
}

impl fmt::Display for ImageName {
    /// The canonical spelling, with the registry.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{}/{}", self.registry, self.repository);
        self.push_suffix(&mut text);
        f.write_str(&text)
    }
}

impl fmt::Debug for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageName({self})")
    }
}

impl FromStr for ImageName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<ImageName, NameError> {
        ImageName::parse(text)
    }
}

impl Serialize for ImageName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ImageName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ImageName, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[path = "name_tests.rs"]
mod tests;
