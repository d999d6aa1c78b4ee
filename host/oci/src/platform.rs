//! Platforms: what an image runs on. Owns the `os/architecture[/variant]` text form and its normalisation.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Operating system, architecture and variant, as Go names them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// CPU architecture, such as `amd64`.
    pub architecture: String,
    /// Operating system, such as `linux`.
    pub os: String,
    /// CPU variant, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Why a text is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// Not one to three parts of letters, digits, `_`, `.` and `-`.
    #[error("`{text}` is not a platform, expected os/architecture[/variant] such as linux/arm64")]
    Malformed {
        /// The text, shortened.
        text: String,
    },
}

impl Platform {
    /// Linux on the architecture this program was compiled for.
    pub fn linux_host() -> Platform {
        Platform::linux(std::env::consts::ARCH)
    }

    /// Linux on `architecture`, normalised.
    pub fn linux(architecture: &str) -> Platform {
        Platform {
            os: "linux".into(),
            architecture: architecture.into(),
            variant: None,
        }
        .normalised()
    }

    /// The same platform in Go's spelling, with default variants dropped.
    pub fn normalised(&self) -> Platform {
        let os = match self.os.to_ascii_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            other => other.to_owned(),
        };
        let variant = self
            .variant
            .as_deref()
            .filter(|v| !v.is_empty())
            .map(str::to_ascii_lowercase);
        let (architecture, variant) = match self.architecture.to_ascii_lowercase().as_str() {
            "x86_64" | "x86-64" | "amd64" => ("amd64".to_owned(), variant.filter(|v| v != "v1")),
            "aarch64" | "arm64" => (
                "arm64".to_owned(),
                variant.filter(|v| v != "8" && v != "v8"),
            ),
            "i386" | "i486" | "i586" | "i686" | "x86" | "386" => ("386".to_owned(), None),
            "armhf" => ("arm".to_owned(), Some("v7".to_owned())),
            "armel" => ("arm".to_owned(), Some("v6".to_owned())),
            "arm" => ("arm".to_owned(), Some(arm_variant(variant))),
            other => (other.to_owned(), variant),
        };
        Platform {
            os,
            architecture,
            variant,
        }
    }

    /// How well `offered` serves a wish for this platform; lower is better, none is not at all.
    /// An older ARM variant serves a newer wish, and a wish without variant is served by any.
    pub fn preference(&self, offered: &Platform) -> Option<u8> {
        let (wish, offer) = (self.normalised(), offered.normalised());
        if wish.os != offer.os || wish.architecture != offer.architecture {
            return None;
        }
        if wish.variant == offer.variant {
            return Some(0);
        }
        let number = |p: &Platform| {
            p.variant
                .as_deref()
                .and_then(|v| v.strip_prefix('v')?.parse::<u8>().ok())
        };
        match (number(&wish), number(&offer)) {
            (Some(wish), Some(offer)) if offer < wish => Some(wish - offer),
            (Some(_), None) | (None, _) => Some(u8::MAX),
            _ => None,
        }
    }
}

fn arm_variant(variant: Option<String>) -> String {
    match variant {
        None => "v7".to_owned(),
        Some(number) if number.len() == 1 => format!("v{number}"),
        Some(other) => other,
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match self.variant.as_deref() {
            Some(variant) if !variant.is_empty() => write!(f, "/{variant}"),
            _ => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// Parses `os/architecture[/variant]`; a lone architecture means Linux. The result is normalised.
    fn from_str(text: &str) -> Result<Platform, PlatformError> {
        let malformed = || PlatformError::Malformed {
            text: text.chars().take(64).collect(),
        };
        let parts: Vec<&str> = text.split('/').collect();
        let fits = |part: &&str| {
            (1..=64).contains(&part.len())
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        if !parts.iter().all(fits) {
            return Err(malformed());
        }
        let (os, architecture, variant) = match parts[..] {
            ["linux"] => return Ok(Platform::linux_host()),
            [architecture] => ("linux", architecture, None),
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant.to_owned())),
            _ => return Err(malformed()),
        };
        Ok(Platform {
            os: os.into(),
            architecture: architecture.into(),
            variant,
        }
        .normalised())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_parse_and_normalise() {
        for (text, shown) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AArch64/v8", "linux/arm64"),
            ("arm64", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("windows/amd64", "windows/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
        ] {
            assert_eq!(
                text.parse::<Platform>().unwrap().to_string(),
                shown,
                "{text}"
            );
        }
        for text in [
            "",
            "/",
            "linux/",
            "a/b/c/d",
            "linux/am d64",
            "linux/amd64/\u{e9}",
        ] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn older_variants_serve_and_newer_do_not() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        let wish = platform("linux/arm/v7");
        assert_eq!(wish.preference(&platform("linux/arm/v7")), Some(0));
        assert_eq!(wish.preference(&platform("linux/arm/v6")), Some(1));
        assert_eq!(
            platform("linux/arm/v6").preference(&platform("linux/arm/v7")),
            None
        );
        assert_eq!(wish.preference(&platform("linux/arm64")), None);
        assert_eq!(
            platform("linux/amd64").preference(&platform("linux/amd64")),
            Some(0)
        );
    }
}
