//! Remembers which image files were found whole, so that a start need not hash them again.
//!
//! A file counts as unchanged while its length and modification time stay what they were when it was
//! hashed. This guards against damage, not against someone who may write the image directory.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::image::{ImageError, VmImage};

/// Name of the memory inside the cache directory.
const MEMORY_FILE: &str = "vm-images-verified.json";

/// Images remembered at most; more are other versions long gone.
const MAX_REMEMBERED: usize = 16;

/// What identifies the state of an image: manifest and file times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    digests: Vec<String>,
    lengths: Vec<u64>,
    modified_ns: Vec<u128>,
}

/// Fails unless the image is whole, hashing only what was not hashed before.
pub(crate) fn check(image: &VmImage, cache_dir: Option<&Path>) -> Result<(), ImageError> {
    let Some(memory) = cache_dir.map(|dir| dir.join(MEMORY_FILE)) else {
        return image.verify();
    };
    let Some(identity) = identity(image) else {
        return image.verify();
    };
    let key = image.dir.to_string_lossy().into_owned();
    let mut remembered: BTreeMap<String, Identity> = std::fs::read(&memory)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    if remembered.get(&key) == Some(&identity) {
        return Ok(());
    }
    image.verify()?;
    if remembered.len() >= MAX_REMEMBERED {
        remembered.clear();
    }
    remembered.insert(key, identity);
    // Not being able to remember only costs time.
    let _ = replace_file(&memory, &remembered);
    Ok(())
}

fn identity(image: &VmImage) -> Option<Identity> {
    let files = image.files();
    let mut identity = Identity {
        digests: files.iter().map(|file| file.sha256.clone()).collect(),
        lengths: Vec::new(),
        modified_ns: Vec::new(),
    };
    for file in files {
        let metadata = image.dir.join(&file.file).metadata().ok()?;
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        identity.lengths.push(metadata.len());
        identity.modified_ns.push(modified.as_nanos());
    }
    Some(identity)
}

/// Replaces the JSON file `path` in one step, since other processes read it at any time.
pub(crate) fn replace_file(path: &Path, value: &impl Serialize) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let staged = path.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::write(&staged, serde_json::to_vec(value)?)?;
    std::fs::rename(&staged, path)
}
