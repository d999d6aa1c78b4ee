//! Reading archives of either kind.

use std::fs::File;
use std::io::Read;

use crate::archive::error::ArchiveError;
use crate::archive::members::{Members, Range};
use crate::archive::{docker, layout};
use crate::compression::decompress;
use crate::config::ImageConfig;
use crate::layer_id::DiffId;
use crate::platform::Platform;

/// Images that one archive may list.
pub(crate) const MAX_IMAGES: usize = 10_000;

/// An open archive.
pub struct ArchiveReader {
    members: Members,
    images: Vec<ArchivedImage>,
}

/// An image in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedImage {
    /// The config, byte for byte.
    pub config: Vec<u8>,
    /// Layers, bottom first, as many as the config has diff ids.
    pub layers: Vec<ArchivedLayer>,
    /// Names as written in the archive; they may be malformed.
    pub names: Vec<String>,
}

/// A layer in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedLayer {
    /// What its uncompressed content must hash to.
    pub diff_id: DiffId,
    range: Range,
}

impl ArchiveReader {
    /// Opens a tar that is not compressed, or no longer. Of an image for several platforms the one that
    /// serves `wish` best is taken.
    pub fn open(file: File, wish: &Platform) -> Result<ArchiveReader, ArchiveError> {
        let members = Members::scan(file)?;
        let images = if members.contains(docker::MANIFEST) {
            docker::read(&members)?
        } else if members.contains(layout::INDEX) {
            layout::read(&members, wish)?
        } else {
            return Err(ArchiveError::NotAnImageArchive);
        };
        Ok(ArchiveReader { members, images })
    }

    /// The images.
    pub fn images(&self) -> &[ArchivedImage] {
        &self.images
    }

    /// A layer's decompressed tar. Neither its length nor its digest is checked here.
    pub fn open_layer(&self, layer: &ArchivedLayer) -> Result<Box<dyn Read + Send>, ArchiveError> {
        let (_, reader) = decompress(self.members.open(layer.range))?;
        Ok(reader)
    }
}

/// Puts an image together; config and layers must agree.
pub(crate) fn image(
    config: Vec<u8>,
    ranges: Vec<Range>,
    names: Vec<String>,
) -> Result<ArchivedImage, ArchiveError> {
    let diff_ids = ImageConfig::parse(&config)?.rootfs.diff_ids;
    if diff_ids.len() != ranges.len() {
        return Err(ArchiveError::LayerCount {
            layers: ranges.len(),
            diff_ids: diff_ids.len(),
        });
    }
    let layers = diff_ids
        .into_iter()
        .zip(ranges)
        .map(|(diff_id, range)| ArchivedLayer { diff_id, range });
    Ok(ArchivedImage {
        config,
        layers: layers.collect(),
        names,
    })
}
