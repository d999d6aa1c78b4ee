//! Bounds on what a tar may ask of its reader.

/// How much a tar may hold before it is refused. The stream's length is for the caller to bound.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries in the whole tar. The largest public images hold some 600,000 in a layer.
    pub entries: u64,
    /// Bytes in one pax header, or one long-name entry.
    pub pax_len: u64,
    /// Names and values of one entry's extended attributes; Linux allows 64 KiB for each value.
    pub xattr_len: u64,
    /// Segments of one sparse file.
    pub sparse_segments: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 4_000_000,
            pax_len: 1 << 20,
            xattr_len: 256 << 10,
            sparse_segments: 1 << 20,
        }
    }
}
