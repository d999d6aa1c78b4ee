//! EROFS on disk, as far as an index uses it: offsets, flags, and little-endian access.
//!
//! ```text
//! superblock at 1024 (128 bytes)          inode, extended (64 bytes)
//!   0 magic u32        4 checksum u32       0 format u16      2 xattr count u16   4 mode u16
//!   8 compatible u32  12 block bits u8      8 size u64       16 union u32        20 ino u32
//!  14 root nid u16    16 inodes u64        24 uid u32        28 gid u32          32 mtime i64
//!  36 blocks u32      40 meta block u32    40 mtime ns u32   44 nlink u32
//!  80 incompatible    86 extra devices u16  88 device slot offset / 128 u16
//! device slot at 1152 (128 bytes): 0 tag[64]   64 blocks u32   68 mapped block u32
//! dirent (12 bytes): 0 nid u64   8 name offset u16   10 type u8   11 -
//! chunk index (8 bytes): 0 -   2 device u16   4 block u32
//! ```

/// Blocks are as small as the tar's, so that any entry's data can be addressed.
pub(crate) const BLOCK_BITS: u32 = 9;
pub(crate) const BLOCK: usize = 1 << BLOCK_BITS;

pub(crate) const SUPERBLOCK: usize = 1024;
pub(crate) const MAGIC: u32 = 0xe0f5_e1e2;
pub(crate) const COMPAT_MTIME: u32 = 0x2;
pub(crate) const INCOMPAT: u32 = INCOMPAT_CHUNKED_FILE | INCOMPAT_DEVICE_TABLE;
const INCOMPAT_CHUNKED_FILE: u32 = 0x4;
const INCOMPAT_DEVICE_TABLE: u32 = 0x8;

pub(crate) const SB_MAGIC: usize = 0;
pub(crate) const SB_COMPAT: usize = 8;
pub(crate) const SB_BLOCK_BITS: usize = 12;
pub(crate) const SB_ROOT_NID: usize = 14;
pub(crate) const SB_INODES: usize = 16;
pub(crate) const SB_BLOCKS: usize = 36;
pub(crate) const SB_META_BLOCK: usize = 40;
pub(crate) const SB_INCOMPAT: usize = 80;
pub(crate) const SB_EXTRA_DEVICES: usize = 86;
pub(crate) const SB_SLOT_OFFSET: usize = 88;

/// The slot of the tar, in the rest of the superblock's block.
pub(crate) const DEVICE_SLOT: usize = 1152;
pub(crate) const DEVICE_SLOT_LEN: usize = 128;
pub(crate) const SLOT_BLOCKS: usize = 64;
pub(crate) const SLOT_MAPPED_BLOCK: usize = 68;

/// Inodes start in the block after the superblock's; the root is the first.
pub(crate) const FIRST_INODE: usize = 1536;

/// Inode numbers count these.
pub(crate) const SLOT: usize = 32;
pub(crate) const INODE_LEN: usize = 64;

pub(crate) const I_FORMAT: usize = 0;
pub(crate) const I_XATTR_COUNT: usize = 2;
pub(crate) const I_MODE: usize = 4;
pub(crate) const I_SIZE: usize = 8;
pub(crate) const I_UNION: usize = 16;
pub(crate) const I_INO: usize = 20;
pub(crate) const I_UID: usize = 24;
pub(crate) const I_GID: usize = 28;
pub(crate) const I_MTIME: usize = 32;
pub(crate) const I_NLINK: usize = 44;

/// Bit 0 of the format: the 64-byte inode. The data layout is in the bits above.
pub(crate) const EXTENDED: u16 = 1;
pub(crate) const FLAT_PLAIN: u16 = 0;
pub(crate) const FLAT_INLINE: u16 = 2;
pub(crate) const CHUNK_BASED: u16 = 4;

pub(crate) const CHUNK_BITS_MASK: u16 = 0x1f;
pub(crate) const CHUNK_INDEXES: u16 = 0x20;
pub(crate) const CHUNK_INDEX_LEN: usize = 8;
/// Block number of a hole.
pub(crate) const NULL_BLOCK: u32 = u32::MAX;

pub(crate) const DIRENT_LEN: usize = 12;

pub(crate) const S_IFMT: u16 = 0o170_000;
pub(crate) const S_IFIFO: u16 = 0o010_000;
pub(crate) const S_IFCHR: u16 = 0o020_000;
pub(crate) const S_IFDIR: u16 = 0o040_000;
pub(crate) const S_IFBLK: u16 = 0o060_000;
pub(crate) const S_IFREG: u16 = 0o100_000;
pub(crate) const S_IFLNK: u16 = 0o120_000;

pub(crate) fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

pub(crate) fn get_u16(bytes: &[u8], at: usize) -> Option<u16> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*field))
}

pub(crate) fn get_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*field))
}

pub(crate) fn get_u64(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*field))
}

/// Largest device numbers that the 32-bit encoding holds.
pub(crate) const MAX_MAJOR: u32 = 0xfff;
pub(crate) const MAX_MINOR: u32 = 0xf_ffff;

/// Linux's 32-bit device number: the minor's upper part sits above the major.
pub(crate) fn encode_device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

pub(crate) fn decode_device(device: u32) -> (u32, u32) {
    let minor = (device & 0xff) | ((device >> 12) & 0xf_ff00);
    ((device >> 8) & MAX_MAJOR, minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_survive_encoding() {
        for device in [(0, 0), (1, 3), (8, 255), (259, 256), (MAX_MAJOR, MAX_MINOR)] {
            assert_eq!(decode_device(encode_device(device.0, device.1)), device);
        }
    }
}
