//! The way from a tar's entries to an index.

use std::fmt;
use std::io::{self, Write};

use kiln_layer::Entry;

use crate::error::BuildError;
use crate::layout::Layout;
use crate::tree::Tree;
use crate::write;

/// Reads the tar again at an offset, filling the buffer.
pub type ReadAt<'a> = dyn FnMut(u64, &mut [u8]) -> io::Result<()> + 'a;

/// Gathers a layer's entries while its tar streams by; [`IndexBuilder::finish`] writes the index.
pub struct IndexBuilder {
    tree: Tree,
}

impl IndexBuilder {
    /// An index of an empty layer.
    pub fn new() -> Self {
        Self { tree: Tree::new() }
    }

    /// Adds the next entry of the tar, markers of whiteouts included.
    ///
    /// `data_offset` and `sparse` are as a tar reader gives them: the offset of the data in the tar, and for sparse
    /// files the `(offset in the file, length)` of each run of data.
    pub fn add(
        &mut self,
        entry: &Entry,
        data_offset: u64,
        sparse: Option<&[(u64, u64)]>,
    ) -> Result<(), BuildError> {
        self.tree.add(entry, data_offset, sparse)
    }

    /// Writes the index for a tar of `tar_len` bytes.
    ///
    /// # Errors
    /// [`BuildError::Unaligned`] for tars with odd sparse files or without their last padding; these need
    /// [`Self::finish_with_data`].
    pub fn finish(self, tar_len: u64, out: &mut impl Write) -> Result<(), BuildError> {
        self.write(tar_len, None, out)
    }

    /// As [`Self::finish`], with a way to read the tar for the few data that the index must copy.
    pub fn finish_with_data(
        self,
        tar_len: u64,
        tar: &mut ReadAt<'_>,
        out: &mut impl Write,
    ) -> Result<(), BuildError> {
        self.write(tar_len, Some(tar), out)
    }

    fn write(
        self,
        tar_len: u64,
        tar: Option<&mut ReadAt<'_>>,
        out: &mut impl Write,
    ) -> Result<(), BuildError> {
        let layout = Layout::new(&self.tree, tar_len)?;
        let bytes = write::index_bytes(&self.tree, &layout, tar_len, tar)?;
        Ok(out.write_all(&bytes)?)
    }
}

impl Default for IndexBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for IndexBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexBuilder")
            .field("nodes", &self.tree.nodes.len())
            .finish_non_exhaustive()
    }
}
