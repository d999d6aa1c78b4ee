//! Attributes in the structure of the host's C library, which libkrun writes into its replies.
#![expect(
    unsafe_code,
    reason = "the structure has private padding, so it can only be zeroed"
)]

use kiln_share::{Attributes, BLOCK_SIZE};
use msb_krun::backends::fs::stat64;

/// The same attributes as a `stat64`. Numbers too large for a field of it cannot occur: files are this host's own.
#[expect(
    clippy::allow_attributes,
    reason = "which casts do something differs by platform"
)]
pub(super) fn of(attributes: &Attributes) -> stat64 {
    // SAFETY: the structure consists of integers, for which zero is a value.
    let mut stat: stat64 = unsafe { std::mem::zeroed() };
    stat.st_ino = attributes.nodeid;
    #[allow(clippy::unnecessary_cast)]
    {
        stat.st_mode = attributes.mode as _;
        stat.st_nlink = attributes.links as _;
        stat.st_size = attributes.size as _;
        stat.st_blocks = attributes.blocks() as _;
        stat.st_blksize = BLOCK_SIZE as _;
        stat.st_atime = attributes.mtime as _;
        stat.st_mtime = attributes.mtime as _;
        stat.st_ctime = attributes.mtime as _;
    }
    stat
}
