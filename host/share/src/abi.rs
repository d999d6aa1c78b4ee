//! The part of the FUSE kernel interface (7.31 and later, little endian) that the share speaks.
//!
//! ```text
//! request  len u32 | opcode u32 | unique u64 | nodeid u64 | uid u32 | gid u32 | pid u32 | ext u32 | body
//! reply    len u32 | error i32 | unique u64 | body
//! ```

use crate::operations::Errno;

/// Length of a request's header.
pub(crate) const IN_HEADER_LEN: usize = 40;

/// Length of a reply's header.
pub const OUT_HEADER_LEN: usize = 16;

/// Most bytes that one READ returns: 256 pages, the most that Linux asks for without a sysctl.
pub const MAX_READ: u32 = 1 << 20;

/// Pages of 4 KiB in [`MAX_READ`].
pub(crate) const MAX_PAGES: u16 = 256;

/// The protocol's major version; it has not changed since 2005.
pub(crate) const MAJOR: u32 = 7;

/// The minor version spoken here.
pub(crate) const MINOR: u32 = 38;

/// Oldest minor version served: the first of a kernel with virtio-fs (5.4).
pub(crate) const OLDEST_MINOR: u32 = 31;

/// Requests that the share knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Lookup,
    Getattr,
    Open,
    Read,
    Statfs,
    Init,
    Opendir,
    Readdir,
    Access,
    /// RELEASE, RELEASEDIR, DESTROY, SYNCFS: nothing to do, and said so.
    Nothing,
    /// FORGET, BATCH_FORGET, INTERRUPT, NOTIFY_REPLY: the protocol allows no reply.
    Silent,
    /// Whatever would change the tree.
    Write,
    /// Whatever the kernel does well without.
    Unknown,
}

impl From<u32> for Opcode {
    fn from(number: u32) -> Self {
        match number {
            1 => Self::Lookup,
            2 | 36 | 41 | 42 => Self::Silent,
            3 => Self::Getattr,
            // SETATTR SYMLINK MKNOD MKDIR UNLINK RMDIR RENAME LINK WRITE SETXATTR REMOVEXATTR CREATE
            // FALLOCATE RENAME2 COPY_FILE_RANGE TMPFILE
            4 | 6 | 8..=13 | 16 | 21 | 24 | 35 | 43 | 45 | 47 | 51 => Self::Write,
            14 => Self::Open,
            15 => Self::Read,
            17 => Self::Statfs,
            18 | 29 | 38 | 50 => Self::Nothing,
            26 => Self::Init,
            27 => Self::Opendir,
            28 => Self::Readdir,
            34 => Self::Access,
            _ => Self::Unknown,
        }
    }
}

/// Features offered in INIT when the kernel has them.
pub(crate) mod init_flag {
    /// Several reads of one file at a time.
    pub(crate) const ASYNC_READ: u32 = 1 << 0;
    /// An OPEN answered with `NoSuchCall` means that no OPEN is needed ever.
    pub(crate) const NO_OPEN_SUPPORT: u32 = 1 << 17;
    /// Look-ups and listings of one directory in parallel.
    pub(crate) const PARALLEL_DIROPS: u32 = 1 << 18;
    /// `max_pages` of the reply counts.
    pub(crate) const MAX_PAGES: u32 = 1 << 22;
}

/// Body of a request, read front to back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body<'a>(pub(crate) &'a [u8]);

impl<'a> Body<'a> {
    pub(crate) fn u32(&mut self) -> Result<u32, Errno> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Errno::Invalid)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*head))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Errno> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Errno::Invalid)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*head))
    }

    /// A name that ends in NUL.
    pub(crate) fn name(self) -> Result<&'a [u8], Errno> {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .ok_or(Errno::Invalid)?;
        Ok(&self.0[..end])
    }
}

/// Header of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) opcode: u32,
    pub(crate) unique: u64,
    pub(crate) nodeid: u64,
}

impl Header {
    /// Splits a request; `None` when not even the header is there, so that no reply can name it.
    pub(crate) fn split(request: &[u8]) -> Option<(Self, Body<'_>)> {
        let (head, body) = request.split_at_checked(IN_HEADER_LEN)?;
        let mut head = Body(head);
        let _len = head.u32().ok()?;
        let opcode = head.u32().ok()?;
        let unique = head.u64().ok()?;
        let nodeid = head.u64().ok()?;
        Some((
            Self {
                opcode,
                unique,
                nodeid,
            },
            Body(body),
        ))
    }
}

/// Appends numbers to a reply.
pub(crate) trait Put {
    fn put_u16(&mut self, value: u16);
    fn put_u32(&mut self, value: u32);
    fn put_u64(&mut self, value: u64);
}

impl Put for Vec<u8> {
    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_le_bytes());
    }
    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }
    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }
}
