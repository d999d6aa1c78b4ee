//! The image config: the document whose digest is the image's id.
//!
//! Owns its JSON. Invariant: [`ImageConfig::to_canonical_json`] gives the same bytes for equal values on
//! every host; fields Kiln does not know are dropped when read.

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;
use crate::layer_id::{ChainId, DiffId};
use crate::platform::Platform;
use crate::runtime_config::ContainerConfig;

/// Longest config read from outside. Registries cap manifests and configs at 4 MiB too.
pub const MAX_CONFIG_LEN: usize = 4 << 20;

/// Most layers an image may have; overlay mounts and Docker stop far below.
const MAX_LAYERS: usize = 4096;

/// An image config.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// RFC 3339 time of creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// `MAINTAINER`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// CPU architecture as Go names it.
    #[serde(default)]
    pub architecture: String,
    /// CPU variant, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Operating system as Go names it.
    #[serde(default)]
    pub os: String,
    /// What containers start with.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: ContainerConfig,
    /// The layers.
    pub rootfs: RootFs,
    /// What made each layer, oldest first.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub history: Vec<History>,
}

/// The layers of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Diff ids, bottom first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub diff_ids: Vec<DiffId>,
}

impl Default for RootFs {
    fn default() -> RootFs {
        RootFs {
            kind: "layers".to_owned(),
            diff_ids: Vec::new(),
        }
    }
}

/// One line of `docker history`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// RFC 3339 time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Author at that point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether the instruction made no layer.
    #[serde(
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "null_is_default"
    )]
    pub empty_layer: bool,
}

/// Why bytes are not an image config.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// More than [`MAX_CONFIG_LEN`] bytes.
    #[error("image config is {len} bytes long, more than the {MAX_CONFIG_LEN} allowed")]
    TooLong {
        /// Length found.
        len: usize,
    },
    /// Not the JSON expected.
    #[error("image config is not valid")]
    Json(#[source] serde_json::Error),
    /// `rootfs.type` is not `layers`.
    #[error("image config has a root file system of type `{kind}`, expected `layers`")]
    RootFsType {
        /// Type found.
        kind: String,
    },
    /// More layers than any image can use.
    #[error("image config lists {count} layers, more than the {MAX_LAYERS} allowed")]
    TooManyLayers {
        /// Count found.
        count: usize,
    },
}

impl ImageConfig {
    /// Parses a config from outside, within bounds.
    pub fn parse(json: &[u8]) -> Result<ImageConfig, ConfigError> {
        if json.len() > MAX_CONFIG_LEN {
            return Err(ConfigError::TooLong { len: json.len() });
        }
        let config: ImageConfig = serde_json::from_slice(json).map_err(ConfigError::Json)?;
        if config.rootfs.kind != "layers" {
            return Err(ConfigError::RootFsType {
                kind: config.rootfs.kind.chars().take(64).collect(),
            });
        }
        let count = config.rootfs.diff_ids.len();
        if count > MAX_LAYERS {
            return Err(ConfigError::TooManyLayers { count });
        }
        Ok(config)
    }

    /// The bytes that are stored, hashed and shipped.
    pub fn to_canonical_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an image config has only string keys")
    }

    /// Digest of the canonical bytes: the image id.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_canonical_json())
    }

    /// Chain id of all layers; none for an image without layers.
    pub fn chain_id(&self) -> Option<ChainId> {
        ChainId::of(&self.rootfs.diff_ids)
    }

    /// The platform the image is for.
    pub fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
        }
    }

    /// The platform whose VM runs the image's programs, normalised. What the image does not say is taken to be as on
    /// this machine.
    pub fn runs_on(&self) -> Platform {
        let host = Platform::linux_host();
        let mut platform = self.platform();
        for (said, host) in [
            (&mut platform.os, host.os),
            (&mut platform.architecture, host.architecture),
        ] {
            if said.is_empty() {
                *said = host;
            }
        }
        platform.normalised()
    }
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> ImageConfig {
        let mut config = ImageConfig {
            created: Some("2024-05-01T00:00:00Z".into()),
            architecture: "amd64".into(),
            os: "linux".into(),
            ..ImageConfig::default()
        };
        config.config.labels = [("b", "2"), ("a", "1")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        config.rootfs.diff_ids.push(DiffId(Digest::of(b"layer")));
        config.history.push(History {
            created_by: Some("COPY . .".into()),
            ..History::default()
        });
        config.history.push(History {
            empty_layer: true,
            ..History::default()
        });
        config
    }

    #[test]
    fn canonical_json_is_stable_across_a_round_trip() {
        let config = sample();
        let bytes = config.to_canonical_json();
        let again = ImageConfig::parse(&bytes).unwrap();
        assert_eq!(again, config);
        assert_eq!(again.to_canonical_json(), bytes);
        // Pinned: a change here changes every image id that Kiln ever gave out.
        let layer = Digest::of(b"layer");
        let expected = [
            r#"{"created":"2024-05-01T00:00:00Z","architecture":"amd64","os":"linux","#,
            r#""config":{"Labels":{"a":"1","b":"2"}},"rootfs":{"type":"layers","diff_ids":[""#,
            &layer.to_string(),
            r#""]},"history":[{"created_by":"COPY . ."},{"empty_layer":true}]}"#,
        ];
        assert_eq!(String::from_utf8(bytes).unwrap(), expected.concat());
    }

    #[test]
    fn hostile_configs_are_refused_with_a_typed_error() {
        assert!(matches!(
            ImageConfig::parse(b"{}"),
            Err(ConfigError::Json(_))
        ));
        assert!(matches!(
            ImageConfig::parse(&vec![b' '; MAX_CONFIG_LEN + 1]),
            Err(ConfigError::TooLong { .. })
        ));
        let tree = br#"{"rootfs":{"type":"tree","diff_ids":[]}}"#;
        assert!(matches!(
            ImageConfig::parse(tree),
            Err(ConfigError::RootFsType { .. })
        ));
        let deep = "[".repeat(100_000);
        let json = format!(r#"{{"rootfs":{{"type":"layers"}},"x":{deep}"#);
        assert!(matches!(
            ImageConfig::parse(json.as_bytes()),
            Err(ConfigError::Json(_))
        ));
    }

    #[test]
    fn config_with_nulls_reads() {
        let json = br#"{"architecture":"amd64","os":"linux","config":null,"history":null,"rootfs":{"type":"layers","diff_ids":null}}"#;
        assert!(ImageConfig::parse(json).unwrap().rootfs.diff_ids.is_empty());
    }
}
