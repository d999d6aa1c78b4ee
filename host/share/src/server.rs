//! Answers FUSE requests from the tree.

use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use crate::abi::{
    Body, Errno, Header, MAJOR, MAX_PAGES, MAX_READ, MINOR, OLDEST_MINOR, OUT_HEADER_LEN, Opcode,
    Put, init_flag,
};
use crate::error::ShareError;
use crate::tree::{MAX_NAME, Node, Tree};

/// How long, in seconds, the guest may believe what it was told: for its whole life, as neither a
/// name's meaning nor a file's content ever changes.
const VALID_SECONDS: u64 = 24 * 60 * 60;

const DIRECTORY_MODE: u32 = 0o040_555;
const FILE_MODE: u32 = 0o100_444;

/// Unit of `st_blocks`.
const SECTOR: u64 = 512;

/// Preferred size of reads, told to programs through `st_blksize`.
const BLOCK_SIZE: u32 = 4096;

/// Request numbers that an ACCESS may ask for: `W_OK`.
const ACCESS_WRITE: u32 = 2;

/// Serves the share to one guest. All methods may be called from any thread.
#[derive(Debug, Default)]
pub struct Server {
    tree: RwLock<Tree>,
}

impl Server {
    /// A share without files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the regular file at `path` as `layers/<name>`. It must not change from now on.
    pub fn add(&self, name: &str, path: &Path) -> Result<(), ShareError> {
        self.tree
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .add(name, path)
    }

    /// Takes `layers/<name>` out and closes its file; whether it was there. The name stays used up.
    pub fn remove(&self, name: &str) -> bool {
        self.tree
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name)
    }

    /// Answers one request. `reply` is replaced by the reply, at most `room` bytes long, or emptied
    /// when the protocol allows none.
    pub fn handle(&self, request: &[u8], room: usize, reply: &mut Vec<u8>) {
        reply.clear();
        let Some((header, body)) = Header::split(request) else {
            return;
        };
        let opcode = Opcode::from(header.opcode);
        if opcode == Opcode::Silent || room < OUT_HEADER_LEN {
            return;
        }
        reply.resize(OUT_HEADER_LEN, 0);
        let outcome = self.answer(opcode, header.nodeid, body, room, reply);
        let error = match outcome {
            Ok(()) if reply.len() <= room => 0,
            Ok(()) => -(Errno::Invalid as i32),
            Err(errno) => -(errno as i32),
        };
        if error != 0 {
            reply.truncate(OUT_HEADER_LEN);
        }
        let len = u32::try_from(reply.len()).expect("replies are bounded by MAX_READ");
        reply[..4].copy_from_slice(&len.to_le_bytes());
        reply[4..8].copy_from_slice(&error.to_le_bytes());
        reply[8..16].copy_from_slice(&header.unique.to_le_bytes());
    }

    fn answer(
        &self,
        opcode: Opcode,
        nodeid: u64,
        mut body: Body<'_>,
        room: usize,
        reply: &mut Vec<u8>,
    ) -> Result<(), Errno> {
        match opcode {
            Opcode::Init => init(body, reply),
            Opcode::Lookup => self.lookup(nodeid, body.name()?, reply),
            Opcode::Getattr => self.getattr(nodeid, reply),
            // Opening needs no state here: say so once, and the kernel asks no more.
            Opcode::Open => Err(Errno::NoSuchCall),
            Opcode::Read => self.read(nodeid, body, room, reply),
            Opcode::Opendir => self.opendir(nodeid, reply),
            Opcode::Readdir => self.readdir(nodeid, body, room, reply),
            Opcode::Statfs => {
                statfs(reply);
                Ok(())
            }
            Opcode::Access if body.u32()? & ACCESS_WRITE != 0 => Err(Errno::ReadOnly),
            Opcode::Access => self.node(nodeid).map(drop),
            Opcode::Write => Err(Errno::ReadOnly),
            Opcode::Nothing | Opcode::Silent => Ok(()),
            Opcode::Unknown => Err(Errno::NoSuchCall),
        }
    }

    fn tree(&self) -> RwLockReadGuard<'_, Tree> {
        self.tree.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn node(&self, nodeid: u64) -> Result<Node, Errno> {
        self.tree().node(nodeid).ok_or(Errno::Stale)
    }

    fn lookup(&self, parent: u64, name: &[u8], reply: &mut Vec<u8>) -> Result<(), Errno> {
        let tree = self.tree();
        match tree.node(parent) {
            None => return Err(Errno::Stale),
            Some(Node::File(_)) => return Err(Errno::NotDirectory),
            Some(Node::Directory) => {}
        }
        // An error, unlike an entry with nodeid 0, is not remembered: the file may come later.
        let nodeid = tree.lookup(parent, name).ok_or(Errno::NoEntry)?;
        let node = tree.node(nodeid).ok_or(Errno::NoEntry)?;
        let generation = 0;
        for value in [nodeid, generation, VALID_SECONDS, VALID_SECONDS] {
            reply.put_u64(value);
        }
        reply.put_u64(0); // nanoseconds of both times
        put_attributes(nodeid, &node, reply);
        Ok(())
    }

    fn getattr(&self, nodeid: u64, reply: &mut Vec<u8>) -> Result<(), Errno> {
        let node = self.node(nodeid)?;
        reply.put_u64(VALID_SECONDS);
        reply.put_u64(0); // nanoseconds, padding
        put_attributes(nodeid, &node, reply);
        Ok(())
    }

    fn read(
        &self,
        nodeid: u64,
        mut body: Body<'_>,
        room: usize,
        reply: &mut Vec<u8>,
    ) -> Result<(), Errno> {
        let _handle = body.u64()?;
        let offset = body.u64()?;
        let wanted = body.u32()?.min(MAX_READ) as usize;
        match self.node(nodeid)? {
            Node::Directory => Err(Errno::IsDirectory),
            Node::File(file) => {
                let len = wanted.min(room - OUT_HEADER_LEN);
                file.read_into(offset, len, reply).map_err(|_| Errno::Io)
            }
        }
    }

    fn opendir(&self, nodeid: u64, reply: &mut Vec<u8>) -> Result<(), Errno> {
        match self.node(nodeid)? {
            Node::File(_) => Err(Errno::NotDirectory),
            Node::Directory => {
                reply.put_u64(0); // handle: listings carry their own position
                reply.put_u64(0); // flags: not cached, as files come and go
                Ok(())
            }
        }
    }

    fn readdir(
        &self,
        nodeid: u64,
        mut body: Body<'_>,
        room: usize,
        reply: &mut Vec<u8>,
    ) -> Result<(), Errno> {
        let _handle = body.u64()?;
        let after = body.u64()?;
        let wanted = body.u32()?.min(MAX_READ) as usize;
        let limit = wanted.min(room - OUT_HEADER_LEN) + OUT_HEADER_LEN;
        let tree = self.tree();
        match tree.node(nodeid).ok_or(Errno::Stale)? {
            Node::File(_) => return Err(Errno::NotDirectory),
            Node::Directory => {}
        }
        for (offset, entry, name) in tree.list(nodeid, after) {
            const FIXED: usize = 24;
            let padded = (FIXED + name.len()).next_multiple_of(8);
            if reply.len() + padded > limit {
                break;
            }
            let end = reply.len() + padded;
            let mode = tree.node(entry).map_or(0, |node| mode_of(&node));
            reply.put_u64(entry);
            reply.put_u64(offset);
            reply.put_u32(name.len() as u32);
            reply.put_u32(mode >> 12);
            reply.extend_from_slice(name);
            reply.resize(end, 0);
        }
        Ok(())
    }
}

fn init(mut body: Body<'_>, reply: &mut Vec<u8>) -> Result<(), Errno> {
    let (major, minor) = (body.u32()?, body.u32()?);
    if major > MAJOR {
        // The kernel then comes again with our version.
        reply.put_u32(MAJOR);
        reply.put_u32(MINOR);
        reply.resize(OUT_HEADER_LEN + 64, 0);
        return Ok(());
    }
    if major < MAJOR || minor < OLDEST_MINOR {
        return Err(Errno::Protocol);
    }
    let max_readahead = body.u32()?;
    let offered = init_flag::ASYNC_READ
        | init_flag::NO_OPEN_SUPPORT
        | init_flag::PARALLEL_DIROPS
        | init_flag::MAX_PAGES;
    let flags = body.u32()? & offered;
    let (max_background, congestion) = (64, 48);
    let time_granularity = 1_000_000_000;
    for value in [MAJOR, MINOR, max_readahead, flags] {
        reply.put_u32(value);
    }
    reply.put_u16(max_background);
    reply.put_u16(congestion);
    reply.put_u32(BLOCK_SIZE); // max_write; nothing is ever written
    reply.put_u32(time_granularity);
    reply.put_u16(MAX_PAGES);
    reply.resize(OUT_HEADER_LEN + 64, 0);
    Ok(())
}

fn statfs(reply: &mut Vec<u8>) {
    for _ in ["blocks", "free", "available", "files", "free files"] {
        reply.put_u64(0);
    }
    for value in [BLOCK_SIZE, MAX_NAME as u32, BLOCK_SIZE, 0] {
        reply.put_u32(value);
    }
    reply.resize(OUT_HEADER_LEN + 80, 0);
}

fn mode_of(node: &Node) -> u32 {
    match node {
        Node::Directory => DIRECTORY_MODE,
        Node::File(_) => FILE_MODE,
    }
}

/// Writes a `fuse_attr`.
fn put_attributes(nodeid: u64, node: &Node, reply: &mut Vec<u8>) {
    let (size, mtime, links) = match node {
        Node::Directory => (0, 0, 2),
        Node::File(file) => (file.len, file.mtime, 1),
    };
    for value in [nodeid, size, size.div_ceil(SECTOR), mtime, mtime, mtime] {
        reply.put_u64(value);
    }
    let nanoseconds = [0, 0, 0];
    let [uid, gid, device, flags] = [0; 4];
    for value in nanoseconds {
        reply.put_u32(value);
    }
    for value in [mode_of(node), links, uid, gid, device, BLOCK_SIZE, flags] {
        reply.put_u32(value);
    }
}
