//! Writing archives, to a pipe if need be: every length is known before its content.
//!
//! Both kinds are OCI layouts with `blobs/`, `index.json` and `oci-layout`; a docker-archive has uncompressed
//! layers and `manifest.json` and `repositories` besides, as `docker save` writes since Docker 25.
//! Invariant: the same images give the same bytes; times are zero, members are in one order, nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use crate::archive::docker::{self, Entry};
use crate::archive::error::ArchiveError;
use crate::archive::layout::{IMAGE_NAME, INDEX, LAYOUT, REF_NAME, blob_path};
use crate::archive::tar_headers::{header, padding};
use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::manifest::{Descriptor, ImageIndex, Manifest, media_type};
use crate::name::ImageName;

/// Large enough that the calls do not count.
const COPY_BUFFER_LEN: usize = 256 * 1024;

/// An image to write.
pub struct ImageToSave<'a> {
    /// Its config, byte for byte.
    pub config: Vec<u8>,
    /// Its names.
    pub names: Vec<ImageName>,
    /// Its layers, bottom first, as they are to be written.
    pub layers: Vec<LayerToSave<'a>>,
}

/// Gives a layer's content anew at each call.
pub type OpenLayer<'a> = Box<dyn Fn() -> io::Result<Box<dyn Read + 'a>> + 'a>;

/// A layer to write. A docker-archive wants the uncompressed tar, whose digest is the diff id.
pub struct LayerToSave<'a> {
    /// Type, digest and length of what `open` gives.
    pub descriptor: Descriptor,
    /// Opens the content.
    pub open: OpenLayer<'a>,
}

/// Writes what `docker save` writes: for `docker load`, and an OCI layout too.
pub fn write_docker_archive(
    out: impl Write,
    images: &[ImageToSave<'_>],
) -> Result<(), ArchiveError> {
    write(out, images, true)
}

/// Writes an OCI layout as a tar.
pub fn write_oci_archive(out: impl Write, images: &[ImageToSave<'_>]) -> Result<(), ArchiveError> {
    write(out, images, false)
}

fn write(
    out: impl Write,
    images: &[ImageToSave<'_>],
    for_docker: bool,
) -> Result<(), ArchiveError> {
    let mut archive = Archive {
        out,
        written: BTreeSet::new(),
    };
    archive.folder("blobs/")?;
    archive.folder("blobs/sha256/")?;
    let mut index = Vec::new();
    let mut entries = Vec::new();
    for image in images {
        let manifest = manifest_of(image)?;
        let json = manifest.to_canonical_json();
        for layer in &image.layers {
            archive.layer(layer)?;
        }
        archive.blob(&image.config)?;
        archive.blob(&json)?;
        index.extend(index_entries(image, &json)?);
        entries.push(docker_entry(image));
    }
    archive.file(INDEX, &ImageIndex::oci(index).to_canonical_json())?;
    if for_docker {
        archive.file(docker::MANIFEST, &to_json(&entries))?;
    }
    archive.file(LAYOUT, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    if for_docker {
        archive.file("repositories", &to_json(&repositories(images)))?;
    }
    archive.finish()
}

fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("documents have only string keys")
}

fn manifest_of(image: &ImageToSave<'_>) -> Result<Manifest, ArchiveError> {
    let config = Descriptor::of(media_type::OCI_CONFIG, &image.config);
    let layers: Vec<Descriptor> = image
        .layers
        .iter()
        .map(|layer| layer.descriptor.clone())
        .collect();
    let diff_ids = ImageConfig::parse(&image.config)?.rootfs.diff_ids.len();
    if diff_ids != layers.len() {
        return Err(ArchiveError::LayerCount {
            layers: layers.len(),
            diff_ids,
        });
    }
    Ok(Manifest::oci(config, layers))
}

/// One entry for each name, or one without.
fn index_entries(
    image: &ImageToSave<'_>,
    manifest: &[u8],
) -> Result<Vec<Descriptor>, ArchiveError> {
    let mut plain = Descriptor::of(media_type::OCI_MANIFEST, manifest);
    plain.platform = Some(ImageConfig::parse(&image.config)?.platform());
    if image.names.is_empty() {
        return Ok(vec![plain]);
    }
    let named = image.names.iter().map(|name| {
        let mut entry = plain.clone();
        entry
            .annotations
            .insert(IMAGE_NAME.to_owned(), name.to_string());
        if let Some(tag) = &name.tag {
            entry.annotations.insert(REF_NAME.to_owned(), tag.clone());
        }
        entry
    });
    Ok(named.collect())
}

fn docker_entry(image: &ImageToSave<'_>) -> Entry {
    let tags: Vec<String> = image
        .names
        .iter()
        .filter(|name| name.tag.is_some())
        .map(ImageName::familiar)
        .collect();
    let descriptors = image.layers.iter().map(|layer| &layer.descriptor);
    Entry {
        config: blob_path(&Digest::of(&image.config)),
        repo_tags: if tags.is_empty() { None } else { Some(tags) },
        layers: Some(
            descriptors
                .clone()
                .map(|layer| blob_path(&layer.digest))
                .collect(),
        ),
        layer_sources: descriptors
            .map(|layer| (layer.digest.to_string(), layer.clone()))
            .collect(),
    }
}

/// The oldest document: repository → tag → topmost layer.
fn repositories(images: &[ImageToSave<'_>]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for image in images {
        let Some(top) = image.layers.last() else {
            continue;
        };
        for name in &image.names {
            let Some(tag) = &name.tag else { continue };
            let tags = repositories.entry(name.familiar_repository()).or_default();
            tags.insert(tag.clone(), top.descriptor.digest.hex());
        }
    }
    repositories
}

struct Archive<W> {
    out: W,
    /// Blobs that images share are written once.
    written: BTreeSet<Digest>,
}

impl<W: Write> Archive<W> {
    fn folder(&mut self, name: &str) -> Result<(), ArchiveError> {
        Ok(self.out.write_all(&header(name, 0)?)?)
    }

    fn file(&mut self, name: &str, content: &[u8]) -> Result<(), ArchiveError> {
        self.out.write_all(&header(name, content.len() as u64)?)?;
        self.out.write_all(content)?;
        self.pad(content.len() as u64)
    }

    fn blob(&mut self, content: &[u8]) -> Result<(), ArchiveError> {
        let digest = Digest::of(content);
        if self.written.insert(digest) {
            self.file(&blob_path(&digest), content)?;
        }
        Ok(())
    }

    fn layer(&mut self, layer: &LayerToSave<'_>) -> Result<(), ArchiveError> {
        let Descriptor { digest, size, .. } = layer.descriptor;
        if !self.written.insert(digest) {
            return Ok(());
        }
        self.out.write_all(&header(&blob_path(&digest), size)?)?;
        let found = copy((layer.open)()?, &mut self.out, size)?;
        if found != size {
            return Err(ArchiveError::LayerLength {
                digest,
                expected: size,
                found,
            });
        }
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> Result<(), ArchiveError> {
        let zeros = [0u8; 512];
        Ok(self.out.write_all(&zeros[..padding(size) as usize])?)
    }

    fn finish(mut self) -> Result<(), ArchiveError> {
        self.out.write_all(&[0u8; 1024])?;
        Ok(self.out.flush()?)
    }
}

/// Copies up to `size` bytes; gives the number found, one more at most.
fn copy(mut from: impl Read, to: &mut impl Write, size: u64) -> io::Result<u64> {
    let mut buffer = vec![0; COPY_BUFFER_LEN];
    let mut found = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let wanted = (size - found).min(read as u64);
        to.write_all(&buffer[..wanted as usize])?;
        found += wanted;
        if read as u64 > wanted {
            return Ok(found + 1);
        }
        if read == 0 {
            return Ok(found);
        }
    }
}
