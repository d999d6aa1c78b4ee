//! The share as libkrun's virtio-fs device asks for it: its decoded requests become those of [`Server`].
//!
//! libkrun's own file system shows the guest a folder of the host and is never used. Whatever would write is
//! refused here; requests that are not implemented are unknown to the guest by the trait's defaults.

use std::ffi::CStr;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use kiln_share::{Attributes, Errno, MAX_READ, Server, VALID};
use msb_krun::backends::fs::{
    AddDirEntry, Context, DirEntry, DynFileSystem, Entry, Extensions, FsOptions, OpenOptions,
    SetattrValid, ZeroCopyReader, ZeroCopyWriter, stat64,
};

use super::stat;

/// The device's view of the share.
pub(super) struct Share(pub(super) Arc<Server>);

/// An error that the guest sees; libkrun hands the number on as it is, on every host.
fn refusal(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno as i32)
}

fn read_only<T>() -> io::Result<T> {
    Err(refusal(Errno::ReadOnly))
}

fn entry(attributes: &Attributes) -> Entry {
    Entry {
        inode: attributes.nodeid,
        generation: 0,
        attr: stat::of(attributes),
        attr_flags: 0,
        attr_timeout: VALID,
        entry_timeout: VALID,
    }
}

impl DynFileSystem for Share {
    fn init(&self, _capable: FsOptions) -> io::Result<FsOptions> {
        // What libkrun offers by itself is enough.
        Ok(FsOptions::empty())
    }

    fn lookup(&self, _: Context, parent: u64, name: &CStr) -> io::Result<Entry> {
        let found = self.0.lookup(parent, name.to_bytes());
        found.map(|found| entry(&found)).map_err(refusal)
    }

    fn getattr(
        &self,
        _: Context,
        inode: u64,
        _handle: Option<u64>,
    ) -> io::Result<(stat64, Duration)> {
        let attributes = self.0.attributes(inode).map_err(refusal)?;
        Ok((stat::of(&attributes), VALID))
    }

    fn open(
        &self,
        _: Context,
        _inode: u64,
        _kill_priv: bool,
        _flags: u32,
    ) -> io::Result<(Option<u64>, OpenOptions)> {
        // Opening needs no state here: say so once, and the kernel asks no more.
        Err(refusal(Errno::NoSuchCall))
    }

    fn read(
        &self,
        _: Context,
        inode: u64,
        _handle: u64,
        writer: &mut dyn ZeroCopyWriter,
        size: u32,
        offset: u64,
        _lock_owner: Option<u64>,
        _flags: u32,
    ) -> io::Result<usize> {
        let file = self.0.file(inode).map_err(refusal)?;
        let wanted = file.readable(offset, size.min(MAX_READ) as usize);
        let mut read = 0;
        while read < wanted {
            match writer.write_from(file.file(), wanted - read, offset + read as u64) {
                // The guest's buffers are full.
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The file became shorter.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(_) => return Err(refusal(Errno::Io)),
            }
        }
        Ok(read)
    }

    fn opendir(
        &self,
        _: Context,
        inode: u64,
        _flags: u32,
    ) -> io::Result<(Option<u64>, OpenOptions)> {
        self.0.directory(inode).map_err(refusal)?;
        // No handle, as listings carry their own position; not cached, as files come and go.
        Ok((None, OpenOptions::empty()))
    }

    fn readdir_for_each(
        &self,
        _: Context,
        inode: u64,
        _handle: u64,
        _size: u32,
        offset: u64,
        add: &mut AddDirEntry<'_>,
    ) -> io::Result<()> {
        let mut failed = None;
        let listed = self.0.list(inode, offset, |entry| {
            let added = add(DirEntry {
                ino: entry.nodeid,
                offset: entry.offset,
                type_: entry.mode >> 12,
                name: entry.name,
            });
            match added {
                Ok(len) => len > 0,
                Err(error) => {
                    failed = Some(error);
                    false
                }
            }
        });
        listed.map_err(refusal)?;
        failed.map_or(Ok(()), Err)
    }

    fn access(&self, _: Context, inode: u64, mask: u32) -> io::Result<()> {
        self.0.access(inode, mask).map_err(refusal)
    }

    fn release(
        &self,
        _: Context,
        _inode: u64,
        _flags: u32,
        _handle: u64,
        _flush: bool,
        _flock_release: bool,
        _lock_owner: Option<u64>,
    ) -> io::Result<()> {
        Ok(())
    }

    fn releasedir(&self, _: Context, _inode: u64, _flags: u32, _handle: u64) -> io::Result<()> {
        Ok(())
    }

    fn setattr(
        &self,
        _: Context,
        _inode: u64,
        _attr: stat64,
        _handle: Option<u64>,
        _valid: SetattrValid,
    ) -> io::Result<(stat64, Duration)> {
        read_only()
    }

    fn symlink(
        &self,
        _: Context,
        _linkname: &CStr,
        _parent: u64,
        _name: &CStr,
        _: Extensions,
    ) -> io::Result<Entry> {
        read_only()
    }

    fn mknod(
        &self,
        _: Context,
        _inode: u64,
        _name: &CStr,
        _mode: u32,
        _rdev: u32,
        _umask: u32,
        _: Extensions,
    ) -> io::Result<Entry> {
        read_only()
    }

    fn mkdir(
        &self,
        _: Context,
        _parent: u64,
        _name: &CStr,
        _mode: u32,
        _umask: u32,
        _: Extensions,
    ) -> io::Result<Entry> {
        read_only()
    }

    fn unlink(&self, _: Context, _parent: u64, _name: &CStr) -> io::Result<()> {
        read_only()
    }

    fn rmdir(&self, _: Context, _parent: u64, _name: &CStr) -> io::Result<()> {
        read_only()
    }

    fn rename(
        &self,
        _: Context,
        _olddir: u64,
        _oldname: &CStr,
        _newdir: u64,
        _newname: &CStr,
        _flags: u32,
    ) -> io::Result<()> {
        read_only()
    }

    fn link(&self, _: Context, _inode: u64, _newparent: u64, _: &CStr) -> io::Result<Entry> {
        read_only()
    }

    fn create(
        &self,
        _: Context,
        _parent: u64,
        _name: &CStr,
        _mode: u32,
        _kill_priv: bool,
        _flags: u32,
        _umask: u32,
        _: Extensions,
    ) -> io::Result<(Entry, Option<u64>, OpenOptions)> {
        read_only()
    }

    fn write(
        &self,
        _: Context,
        _inode: u64,
        _handle: u64,
        _reader: &mut dyn ZeroCopyReader,
        _size: u32,
        _offset: u64,
        _lock_owner: Option<u64>,
        _delayed_write: bool,
        _kill_priv: bool,
        _flags: u32,
    ) -> io::Result<usize> {
        read_only()
    }

    fn fallocate(
        &self,
        _: Context,
        _inode: u64,
        _handle: u64,
        _mode: u32,
        _offset: u64,
        _length: u64,
    ) -> io::Result<()> {
        read_only()
    }

    fn setxattr(
        &self,
        _: Context,
        _inode: u64,
        _name: &CStr,
        _value: &[u8],
        _flags: u32,
    ) -> io::Result<()> {
        read_only()
    }

    fn removexattr(&self, _: Context, _inode: u64, _name: &CStr) -> io::Result<()> {
        read_only()
    }

    fn copyfilerange(
        &self,
        _: Context,
        _inode_in: u64,
        _handle_in: u64,
        _offset_in: u64,
        _inode_out: u64,
        _handle_out: u64,
        _offset_out: u64,
        _len: u64,
        _flags: u64,
    ) -> io::Result<usize> {
        read_only()
    }
}

#[cfg(test)]
#[path = "share_tests.rs"]
mod tests;
