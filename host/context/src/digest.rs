//! Contents of files: sha256 and the one extended attribute that a context keeps.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::metadata::{self, Identity, Time};

/// Read size: large enough to hide the system calls, small enough for the second-level cache.
const CHUNK: usize = 256 << 10;

/// sha256 of a file's bytes.
pub type FileDigest = [u8; 32];

/// What a file holds, beside what the walk saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// sha256 of the content.
    pub digest: FileDigest,
    /// Value of `security.capability`, where the file has one.
    pub capability: Option<Vec<u8>>,
}

/// A file as it was read.
pub(crate) struct Hashed {
    pub facts: FileFacts,
    /// When reading began; nothing younger may be remembered.
    pub started: Time,
    /// Whether it was the file that the walk saw, before and after.
    pub steady: bool,
}

/// Read as many bytes as the walk saw. A file that grows meanwhile, as logs do, counts up to there.
pub(crate) fn hash(root: &Path, relative: &[u8], expected: &Identity) -> io::Result<Hashed> {
    let started = Time::now();
    let mut file = metadata::open_file(root, relative)?;
    let before = is_still(&file, expected)?;
    let digest = digest(&mut file, expected.size)?;
    let capability = metadata::capability(&file)?;
    let steady = before && is_still(&file, expected)?;
    Ok(Hashed {
        facts: FileFacts { digest, capability },
        started,
        steady,
    })
}

fn digest(file: &mut File, size: u64) -> io::Result<FileDigest> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK.min(usize::try_from(size).unwrap_or(CHUNK))];
    let mut left = size;
    while left > 0 {
        let want = buffer.len().min(usize::try_from(left).unwrap_or(CHUNK));
        match file.read(&mut buffer[..want]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => {
                hasher.update(&buffer[..len]);
                left -= len as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hasher.finalize().into())
}

/// Whether an open file is the one that the walk saw, unchanged.
pub(crate) fn is_still(file: &File, expected: &Identity) -> io::Result<bool> {
    Ok(metadata::same_file(
        &metadata::facts_of_open(file)?.identity,
        expected,
    ))
}
