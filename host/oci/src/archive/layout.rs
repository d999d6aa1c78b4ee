//! An OCI layout: `index.json` down to configs and layers.

use crate::archive::error::ArchiveError;
use crate::archive::members::Members;
use crate::archive::reader::{ArchivedImage, MAX_IMAGES, image};
use crate::digest::Digest;
use crate::manifest::{Descriptor, ImageIndex, Manifest, media_type};
use crate::name::ImageName;
use crate::platform::Platform;

pub(crate) const INDEX: &str = "index.json";
pub(crate) const LAYOUT: &str = "oci-layout";
/// The name an entry of the index has in its own layout: often no more than a tag.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The full name, as containerd, BuildKit and Docker write it.
pub(crate) const IMAGE_NAME: &str = "io.containerd.image.name";
/// Indexes in indexes. Real ones have two levels.
const MAX_DEPTH: usize = 4;

pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Reads all images; of an image for several platforms the one that serves `wish` best.
pub(crate) fn read(members: &Members, wish: &Platform) -> Result<Vec<ArchivedImage>, ArchiveError> {
    let json = members.document(INDEX)?;
    let index: ImageIndex = parse(INDEX, &json)?;
    if index.manifests.len() > MAX_IMAGES {
        return Err(ArchiveError::TooManyImages { limit: MAX_IMAGES });
    }
    // Entries are images of their own, unless they are one image's platforms spelt out at the top.
    let one_image = index.manifests.len() > 1
        && index
            .manifests
            .iter()
            .all(|entry| full_name(entry).is_none() && entry.platform.is_some());
    if one_image {
        let chosen = index.select(wish).ok_or_else(|| ArchiveError::NoPlatform {
            wanted: wish.clone(),
        })?;
        return Ok(vec![read_manifest(members, chosen, Vec::new())?]);
    }
    let mut images: Vec<ArchivedImage> = Vec::new();
    for entry in &index.manifests {
        let names = full_name(entry).into_iter().collect();
        let manifest = resolve(members, entry, wish, 0)?;
        let found = read_manifest(members, &manifest, names)?;
        match images.iter_mut().find(|image| image.config == found.config) {
            // One image under several names.
            Some(known) => known.names.extend(found.names),
            None => images.push(found),
        }
    }
    Ok(images)
}

/// Follows indexes down to a manifest.
fn resolve(
    members: &Members,
    entry: &Descriptor,
    wish: &Platform,
    depth: usize,
) -> Result<Descriptor, ArchiveError> {
    if !media_type::is_index(&entry.media_type) {
        return Ok(entry.clone());
    }
    if depth == MAX_DEPTH {
        return Err(ArchiveError::TooDeep);
    }
    let index: ImageIndex = parse(&entry.digest.to_string(), &blob(members, entry)?)?;
    let chosen = index.select(wish).ok_or_else(|| ArchiveError::NoPlatform {
        wanted: wish.clone(),
    })?;
    resolve(members, chosen, wish, depth + 1)
}

fn read_manifest(
    members: &Members,
    entry: &Descriptor,
    names: Vec<String>,
) -> Result<ArchivedImage, ArchiveError> {
    let manifest: Manifest = parse(&entry.digest.to_string(), &blob(members, entry)?)?;
    let config = blob(members, &manifest.config)?;
    let ranges = manifest
        .layers
        .iter()
        .map(|layer| members.range(&blob_path(&layer.digest)));
    image(config, ranges.collect::<Result<_, _>>()?, names)
}

/// A document, checked against its digest.
fn blob(members: &Members, descriptor: &Descriptor) -> Result<Vec<u8>, ArchiveError> {
    let content = members.document(&blob_path(&descriptor.digest))?;
    let found = Digest::of(&content);
    if found != descriptor.digest {
        return Err(ArchiveError::Digest {
            expected: descriptor.digest,
            found,
        });
    }
    Ok(content)
}

/// An entry's name if it is a whole one: a lone tag does not say of what.
fn full_name(entry: &Descriptor) -> Option<String> {
    let annotations = &entry.annotations;
    let reference = annotations
        .get(REF_NAME)
        .filter(|name| name.contains([':', '/']));
    let name = annotations.get(IMAGE_NAME).or(reference)?;
    ImageName::parse(name).ok().map(|_| name.clone())
}

fn parse<T: serde::de::DeserializeOwned>(name: &str, json: &[u8]) -> Result<T, ArchiveError> {
    serde_json::from_slice(json).map_err(|source| ArchiveError::Json {
        name: name.to_owned(),
        source,
    })
}
