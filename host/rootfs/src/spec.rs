//! What a COPY or ADD instruction asks for, and where its sources are.

use std::path::PathBuf;
use std::sync::Arc;

use kiln_oci::Digest;

use crate::chmod::Chmod;
use crate::source::SourceTree;

/// The flags and destination of a COPY or ADD.
#[derive(Debug, Clone, Default)]
pub struct CopySpec {
    /// Absolute path in the image; a slash at the end means a folder.
    pub dest: Vec<u8>,
    /// `--chown`, `user[:group]` by name or number.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<Chmod>,
    /// `--parents`.
    pub parents: bool,
    /// `--exclude`, in order.
    pub excludes: Vec<String>,
    /// `SOURCE_DATE_EPOCH`: the time of what the step makes itself, and the latest that anything has.
    pub epoch: Option<i64>,
}

/// One source of a COPY or ADD, in the order of the instruction.
#[derive(Debug, Clone)]
pub enum CopySource {
    /// A path or pattern in a tree of files.
    Path {
        /// Where it is looked for.
        tree: SourceTree,
        /// As in the instruction, variables expanded.
        path: Vec<u8>,
        /// ADD: an archive is unpacked.
        unpack: bool,
    },
    /// A here-document, or any other bytes at hand.
    Inline {
        /// The name that it gets in a folder.
        name: Vec<u8>,
        /// Its content.
        content: Arc<[u8]>,
    },
    /// A file that was downloaded.
    Download {
        /// The name that it gets in a folder.
        name: Vec<u8>,
        /// Where it lies meanwhile.
        file: Arc<PathBuf>,
        /// Its length.
        size: u64,
        /// Its digest.
        digest: Digest,
        /// What the server said of its age.
        mtime: Option<i64>,
        /// `--unpack`: an archive is unpacked.
        unpack: bool,
    },
}
