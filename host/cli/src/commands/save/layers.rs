//! The layers of an image as an archive wants them: as they are, or compressed. A compressed layer is kept in the store, so
//! that it is made once.

use std::fs::File;
use std::io::{self, Read, Seek};

use kiln_oci::archive::LayerToSave;
use kiln_oci::{Compression, Descriptor, DiffId, Digest, ParallelGzip, media_type};
use kiln_store::Store;

use crate::failure::{Exit, Failure};

/// The store's name for layers that [`ParallelGzip`] made. Layers that came compressed by others may be used as well.
const GZIP: &str = "gzip";

/// The layers, bottom first.
pub fn of<'a>(
    store: &'a Store,
    layers: &[DiffId],
    compression: Compression,
) -> Result<Vec<LayerToSave<'a>>, Failure> {
    layers
        .iter()
        .map(|layer| match compression {
            Compression::None => plain(store, *layer),
            _ => gzipped(store, *layer),
        })
        .collect()
}

fn plain(store: &Store, layer: DiffId) -> Result<LayerToSave<'_>, Failure> {
    let record = store.layer(layer)?;
    Ok(LayerToSave {
        descriptor: Descriptor::new(media_type::OCI_LAYER, layer.0, record.tar_size),
        open: Box::new(move || {
            Ok(Box::new(
                store.open_layer_tar(layer).map_err(io::Error::other)?,
            ))
        }),
    })
}

fn gzipped(store: &Store, layer: DiffId) -> Result<LayerToSave<'_>, Failure> {
    let blob = match store.compressed(layer, GZIP)? {
        Some(blob) => blob,
        None => compress(store, layer)?,
    };
    let (_, size) = store.open_blob(&blob)?;
    Ok(LayerToSave {
        descriptor: Descriptor::new(media_type::OCI_LAYER_GZIP, blob, size),
        open: Box::new(move || {
            Ok(Box::new(
                store.open_blob(&blob).map_err(io::Error::other)?.0,
            ))
        }),
    })
}

/// Compresses a layer into the store.
fn compress(store: &Store, layer: DiffId) -> Result<Digest, Failure> {
    let failed = |error: &io::Error| {
        Failure::host(format!("cannot compress layer {}", layer.0)).because(error)
    };
    let mut tar: File = store.open_layer_tar(layer)?;
    let mut staged = store.tmp_file()?;
    let written = ParallelGzip::new(&staged.file).and_then(|mut gzip| {
        io::copy(&mut tar, &mut gzip)?;
        gzip.finish()?;
        Ok(())
    });
    written
        .and_then(|()| staged.file.rewind())
        .map_err(|error| failed(&error))?;
    let blob = store
        .put_blob(staged.file.by_ref(), None, u64::MAX)
        .map_err(|error| Failure::of(Exit::Host, &error))?;
    store.remember_compressed(layer, GZIP, &blob)?;
    Ok(blob)
}
