//! Answers FUSE requests: bytes in, bytes out.

use crate::abi::{
    Body, Header, MAJOR, MAX_PAGES, MAX_READ, MINOR, OLDEST_MINOR, OUT_HEADER_LEN, Opcode, Put,
    init_flag,
};
use crate::operations::{Attributes, BLOCK_SIZE, Errno, Server, VALID};
use crate::tree::MAX_NAME;

impl Server {
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
            Opcode::Lookup => {
                put_entry(&self.lookup(nodeid, body.name()?)?, reply);
                Ok(())
            }
            Opcode::Getattr => {
                reply.put_u64(VALID.as_secs());
                reply.put_u64(0); // nanoseconds, padding
                put_attributes(&self.attributes(nodeid)?, reply);
                Ok(())
            }
            // Opening needs no state here: say so once, and the kernel asks no more.
            Opcode::Open => Err(Errno::NoSuchCall),
            Opcode::Read => self.put_data(nodeid, body, room, reply),
            Opcode::Opendir => {
                self.directory(nodeid)?;
                reply.put_u64(0); // handle: listings carry their own position
                reply.put_u64(0); // flags: not cached, as files come and go
                Ok(())
            }
            Opcode::Readdir => self.put_listing(nodeid, body, room, reply),
            Opcode::Statfs => {
                statfs(reply);
                Ok(())
            }
            Opcode::Access => self.access(nodeid, body.u32()?),
            Opcode::Write => Err(Errno::ReadOnly),
            Opcode::Nothing | Opcode::Silent => Ok(()),
            Opcode::Unknown => Err(Errno::NoSuchCall),
        }
    }

    fn put_data(
        &self,
        nodeid: u64,
        mut body: Body<'_>,
        room: usize,
        reply: &mut Vec<u8>,
    ) -> Result<(), Errno> {
        let _handle = body.u64()?;
        let offset = body.u64()?;
        let wanted = body.u32()?.min(MAX_READ) as usize;
        let len = wanted.min(room - OUT_HEADER_LEN);
        let file = self.file(nodeid)?;
        file.read_into(offset, len, reply).map_err(|_| Errno::Io)
    }

    fn put_listing(
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
        self.list(nodeid, after, |entry| {
            const FIXED: usize = 24;
            let padded = (FIXED + entry.name.len()).next_multiple_of(8);
            if reply.len() + padded > limit {
                return false;
            }
            let end = reply.len() + padded;
            reply.put_u64(entry.nodeid);
            reply.put_u64(entry.offset);
            reply.put_u32(entry.name.len() as u32);
            reply.put_u32(entry.mode >> 12);
            reply.extend_from_slice(entry.name);
            reply.resize(end, 0);
            true
        })
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

/// Writes a `fuse_entry_out`.
fn put_entry(attributes: &Attributes, reply: &mut Vec<u8>) {
    let generation = 0;
    let valid = VALID.as_secs();
    for value in [attributes.nodeid, generation, valid, valid] {
        reply.put_u64(value);
    }
    reply.put_u64(0); // nanoseconds of both times
    put_attributes(attributes, reply);
}

/// Writes a `fuse_attr`.
fn put_attributes(attributes: &Attributes, reply: &mut Vec<u8>) {
    let Attributes {
        nodeid,
        mode,
        links,
        size,
        mtime,
    } = *attributes;
    for value in [nodeid, size, attributes.blocks(), mtime, mtime, mtime] {
        reply.put_u64(value);
    }
    let nanoseconds = [0, 0, 0];
    let [uid, gid, device, flags] = [0; 4];
    for value in nanoseconds {
        reply.put_u32(value);
    }
    for value in [mode, links, uid, gid, device, BLOCK_SIZE, flags] {
        reply.put_u32(value);
    }
}
