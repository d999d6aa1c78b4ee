//! The index of a layer: EROFS metadata whose file data are extents of the layer's tar.
//!
//! ```text
//! layer.erofs                                   layer.tar (the image's one extra device)
//! ┌────────────────┬────────┬───────────────┐   ┌────────┬──────┬────────┬──────┬───┐
//! │ superblock,    │ inodes │ large         │   │ header │ data │ header │ data │ … │
//! │ device slot    │        │ directories   │   └────────┴──────┴────────┴──────┴───┘
//! └────────────────┴────────┴───────────────┘        chunk index: block = offset / 512 ▲
//! ```
//!
//! The guest mounts the pair as it is; the host reads the same index for its merged view. Owns that format and the
//! rules by which tar entries become a tree: whiteouts, opaque directories, implied parents, replaced entries.
//! Must not open files or know where layers live.
//! Invariants: the same entries give the same bytes; parsing any bytes neither panics nor loops.

#![forbid(unsafe_code)]

mod builder;
mod chunks;
mod content;
mod dir;
mod error;
mod extents;
mod format;
mod index;
mod inode;
mod layout;
mod links;
mod node;
mod tree;
mod write;
mod xattr;

pub use builder::{IndexBuilder, ReadAt};
pub use content::FileContent;
pub use dir::DirEntry;
pub use error::{BuildError, IndexError};
pub use index::{Index, Nid};
pub use inode::{Extent, FileType, Inode, Source};
