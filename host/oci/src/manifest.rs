//! Manifests and indexes: the documents that tie a config to its layers and images to platforms.
//!
//! Owns their JSON, of OCI and of Docker schema 2 alike. Nothing here reads a blob.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::Digest;
use crate::platform::Platform;

/// Media types of OCI and of Docker.
pub mod media_type {
    /// OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image config.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// OCI layer, not compressed.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// OCI layer, gzip.
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI layer, zstd.
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker manifest list.
    pub const DOCKER_MANIFEST_LIST: &str =
        "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker image config.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker layer, not compressed.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    /// Docker layer, gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

    /// Whether the type is an index or manifest list.
    pub fn is_index(media_type: &str) -> bool {
        matches!(media_type, OCI_INDEX | DOCKER_MANIFEST_LIST)
    }

    /// Whether the type is an image manifest.
    pub fn is_manifest(media_type: &str) -> bool {
        matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
    }
}

/// Points at a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Type of the blob.
    #[serde(default)]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// For manifests inside an index: what the image runs on.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "complete_platform"
    )]
    pub platform: Option<Platform>,
    /// Free annotations.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// A descriptor of `content`.
    pub fn of(media_type: &str, content: &[u8]) -> Descriptor {
        Descriptor::new(media_type, Digest::of(content), content.len() as u64)
    }

    /// A descriptor without platform or annotations.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type: media_type.to_owned(),
            digest,
            size,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// An image manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Own media type; OCI permits leaving it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The image config.
    pub config: Descriptor,
    /// Layers, bottom first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub layers: Vec<Descriptor>,
    /// Free annotations.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// An OCI manifest.
    pub fn oci(config: Descriptor, layers: Vec<Descriptor>) -> Manifest {
        Manifest {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.to_owned()),
            config,
            layers,
            annotations: BTreeMap::new(),
        }
    }

    /// The bytes that are stored, hashed and shipped.
    pub fn to_canonical_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest has only string keys")
    }
}

/// An image index or manifest list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    /// Always 2.
    pub schema_version: u32,
    /// Own media type; OCI permits leaving it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The images, or further indexes.
    #[serde(default, deserialize_with = "null_is_default")]
    pub manifests: Vec<Descriptor>,
    /// Free annotations.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl ImageIndex {
    /// An OCI index.
    pub fn oci(manifests: Vec<Descriptor>) -> ImageIndex {
        ImageIndex {
            schema_version: 2,
            media_type: Some(media_type::OCI_INDEX.to_owned()),
            manifests,
            annotations: BTreeMap::new(),
        }
    }

    /// The entry that serves `wish` best; an entry that names no platform serves as a last resort.
    pub fn select(&self, wish: &Platform) -> Option<&Descriptor> {
        let best = self.manifests.iter().filter_map(|entry| {
            let rank = match &entry.platform {
                Some(offered) => u16::from(wish.preference(offered)?),
                None => u16::MAX,
            };
            Some((rank, entry))
        });
        best.min_by_key(|(rank, _)| *rank).map(|(_, entry)| entry)
    }

    /// The bytes that are stored, hashed and shipped.
    pub fn to_canonical_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an index has only string keys")
    }
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Some tools write `"platform": {"architecture": "", "os": ""}`, which says nothing.
fn complete_platform<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Platform>, D::Error> {
    let platform = Option::<Platform>::deserialize(deserializer)?;
    Ok(platform.filter(|p| !p.os.is_empty() && !p.architecture.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(platform: Option<&str>) -> Descriptor {
        let content = platform.unwrap_or("none");
        let mut descriptor = Descriptor::of(media_type::OCI_MANIFEST, content.as_bytes());
        descriptor.platform = platform.map(|text| text.parse().unwrap());
        descriptor
    }

    #[test]
    fn index_selects_the_closest_platform() {
        let index = ImageIndex::oci(vec![
            entry(Some("linux/arm/v6")),
            entry(Some("linux/arm/v7")),
            entry(Some("unknown/unknown")),
            entry(Some("linux/amd64")),
        ]);
        let select = |wish: &str| index.select(&wish.parse().unwrap()).map(|d| d.digest);
        assert_eq!(select("linux/arm/v7"), Some(Digest::of(b"linux/arm/v7")));
        assert_eq!(select("linux/arm/v6"), Some(Digest::of(b"linux/arm/v6")));
        assert_eq!(select("linux/amd64"), Some(Digest::of(b"linux/amd64")));
        assert_eq!(select("linux/s390x"), None);
    }

    #[test]
    fn entry_without_platform_is_the_last_resort() {
        let index = ImageIndex::oci(vec![entry(None), entry(Some("linux/amd64"))]);
        assert_eq!(
            index
                .select(&"linux/amd64".parse().unwrap())
                .unwrap()
                .digest,
            Digest::of(b"linux/amd64")
        );
        assert_eq!(
            index
                .select(&"linux/arm64".parse().unwrap())
                .unwrap()
                .digest,
            Digest::of(b"none")
        );
    }
}
