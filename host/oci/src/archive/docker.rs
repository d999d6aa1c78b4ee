//! `manifest.json` of a docker-archive.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::archive::error::ArchiveError;
use crate::archive::members::Members;
use crate::archive::reader::{ArchivedImage, MAX_IMAGES, image};
use crate::manifest::Descriptor;

pub(crate) const MANIFEST: &str = "manifest.json";

/// One image of `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Entry {
    /// Path of the config.
    pub config: String,
    /// Names; `null` for an image without.
    pub repo_tags: Option<Vec<String>>,
    /// Paths of the layers, bottom first.
    pub layers: Option<Vec<String>>,
    /// Layers as descriptors, by diff id; Docker writes and nobody needs them.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        skip_deserializing
    )]
    pub layer_sources: BTreeMap<String, Descriptor>,
}

pub(crate) fn read(members: &Members) -> Result<Vec<ArchivedImage>, ArchiveError> {
    let json = members.document(MANIFEST)?;
    let entries: Vec<Entry> =
        serde_json::from_slice(&json).map_err(|source| ArchiveError::Json {
            name: MANIFEST.to_owned(),
            source,
        })?;
    if entries.len() > MAX_IMAGES {
        return Err(ArchiveError::TooManyImages { limit: MAX_IMAGES });
    }
    entries
        .into_iter()
        .map(|entry| read_entry(members, entry))
        .collect()
}

fn read_entry(members: &Members, entry: Entry) -> Result<ArchivedImage, ArchiveError> {
    let config = members.document(&crate::archive::members::normalised("", &entry.config))?;
    let paths = entry.layers.unwrap_or_default();
    let normal = |path: &String| crate::archive::members::normalised("", path);
    let layers = paths
        .iter()
        .map(|path| members.range(&normal(path)))
        .collect::<Result<Vec<_>, _>>()?;
    image(config, layers, entry.repo_tags.unwrap_or_default())
}
