//! From tree and layout to bytes.
//!
//! Must not decide anything: what goes where is the layout's, what there is the tree's.

use std::io;

use crate::builder::ReadAt;
use crate::chunks::{self, Chunk, Plan};
use crate::error::BuildError;
use crate::format::{self, BLOCK, DIRENT_LEN, INODE_LEN, put_u16, put_u32, put_u64};
use crate::inode::FileType;
use crate::layout::{Body, Layout, Packing, Placed, WHITEOUT, listing};
use crate::node::{FileData, Node, NodeId, NodeKind};
use crate::tree::Tree;
use crate::xattr;

/// The whole index. `tar` is read only for data that are not aligned.
pub(crate) fn index_bytes(
    tree: &Tree,
    layout: &Layout,
    tar_len: u64,
    mut tar: Option<&mut ReadAt<'_>>,
) -> Result<Vec<u8>, BuildError> {
    let mut bytes = vec![0; layout.total_len];
    put_superblock(&mut bytes, layout, tar_len)?;
    for (place, inode) in layout.inodes.iter().enumerate() {
        let ino = place as u32 + 1;
        put_inode(&mut bytes, tree, layout, inode, ino);
        match &inode.body {
            Body::None => {}
            Body::Inline(len) => {
                let start = body_start(inode);
                put_content(&mut bytes[start..start + len], tree, layout, inode);
            }
            Body::Blocks { first, len } => {
                let start = *first as usize * BLOCK;
                put_content(&mut bytes[start..start + len], tree, layout, inode);
            }
            Body::Chunks { plan, first_copy } => {
                put_chunks(&mut bytes, inode, plan, *first_copy);
                if let NodeKind::File(file) = &tree.node(inode.node).kind {
                    copy_blocks(&mut bytes, file, plan, *first_copy, ino, &mut tar)?;
                }
            }
        }
    }
    Ok(bytes)
}

fn put_superblock(bytes: &mut [u8], layout: &Layout, tar_len: u64) -> Result<(), BuildError> {
    let tar_blocks = u32::try_from(tar_len.div_ceil(BLOCK as u64));
    let tar_blocks = tar_blocks.map_err(|_| BuildError::OutsideTar { ino: 0 })?;
    let own_blocks = (layout.total_len / BLOCK) as u32;
    let slot = &mut bytes[format::DEVICE_SLOT..][..format::DEVICE_SLOT_LEN];
    put_u32(slot, format::SLOT_BLOCKS, tar_blocks);
    // As if the tar followed the index, so that the two concatenated are one valid image.
    put_u32(slot, format::SLOT_MAPPED_BLOCK, own_blocks);
    let sb = &mut bytes[format::SUPERBLOCK..];
    put_u32(sb, format::SB_MAGIC, format::MAGIC);
    put_u32(sb, format::SB_COMPAT, format::COMPAT_MTIME);
    sb[format::SB_BLOCK_BITS] = format::BLOCK_BITS as u8;
    put_u16(
        sb,
        format::SB_ROOT_NID,
        (format::FIRST_INODE / format::SLOT) as u16,
    );
    put_u64(sb, format::SB_INODES, layout.inodes.len() as u64);
    put_u32(sb, format::SB_BLOCKS, own_blocks);
    put_u32(sb, format::SB_META_BLOCK, 0);
    put_u32(sb, format::SB_INCOMPAT, format::INCOMPAT);
    put_u16(sb, format::SB_EXTRA_DEVICES, 1);
    let slot_number = format::DEVICE_SLOT / format::DEVICE_SLOT_LEN;
    put_u16(sb, format::SB_SLOT_OFFSET, slot_number as u16);
    Ok(())
}

fn body_start(inode: &Placed) -> usize {
    inode.position + INODE_LEN + inode.xattrs.len()
}

fn put_inode(bytes: &mut [u8], tree: &Tree, layout: &Layout, placed: &Placed, ino: u32) {
    let core = &mut bytes[placed.position..body_start(placed)];
    core[INODE_LEN..].copy_from_slice(&placed.xattrs);
    let links = layout.links[layout.place_of(placed.node)];
    let (data_layout, union, size) = stored_body(&placed.body);
    put_u16(core, format::I_FORMAT, format::EXTENDED | data_layout << 1);
    xattr::put_count(core, &placed.xattrs);
    put_u32(core, format::I_INO, ino);
    put_u32(core, format::I_NLINK, links);
    if placed.node == WHITEOUT {
        put_u16(core, format::I_MODE, format::S_IFCHR);
        return;
    }
    let node = tree.node(placed.node);
    put_u16(core, format::I_MODE, type_bits(&node.kind) | node.mode);
    put_u32(core, format::I_UID, node.uid);
    put_u32(core, format::I_GID, node.gid);
    put_u64(core, format::I_MTIME, node.mtime.cast_unsigned());
    let (union, size) = match &node.kind {
        NodeKind::Device { number, .. } => (*number, 0),
        NodeKind::File(file) => (union, file.size),
        _ => (union, size),
    };
    put_u32(core, format::I_UNION, union);
    put_u64(core, format::I_SIZE, size);
}

/// Data layout, the inode's union, and the size where the body tells it.
fn stored_body(body: &Body) -> (u16, u32, u64) {
    match body {
        Body::None => (format::FLAT_PLAIN, 0, 0),
        Body::Inline(len) => (format::FLAT_INLINE, 0, *len as u64),
        Body::Blocks { first, len } => (format::FLAT_PLAIN, *first, *len as u64),
        Body::Chunks { plan, .. } => {
            let chunk_format = format::CHUNK_INDEXES | plan.bits;
            (format::CHUNK_BASED, u32::from(chunk_format), 0)
        }
    }
}

fn type_bits(kind: &NodeKind) -> u16 {
    match kind {
        NodeKind::Dir(_) => format::S_IFDIR,
        NodeKind::File(_) => format::S_IFREG,
        NodeKind::Symlink(_) => format::S_IFLNK,
        NodeKind::Device { format, .. } => *format,
        NodeKind::Fifo => format::S_IFIFO,
    }
}

fn put_content(target: &mut [u8], tree: &Tree, layout: &Layout, inode: &Placed) {
    let node = tree.node(inode.node);
    match &node.kind {
        NodeKind::Symlink(text) => target.copy_from_slice(text),
        NodeKind::Dir(_) => put_dir(target, tree, layout, node, inode),
        _ => {}
    }
}

fn put_dir(target: &mut [u8], tree: &Tree, layout: &Layout, node: &Node, inode: &Placed) {
    let names = listing(node, inode.node, inode.parent);
    let mut packing = Packing::default();
    let mut block_start = 0;
    let mut first = 0;
    for (number, (name, _)) in names.iter().enumerate() {
        if packing.add(name.len()) {
            put_dir_block(
                &mut target[block_start..],
                tree,
                layout,
                &names[first..number],
            );
            first = number;
            block_start += BLOCK;
        }
    }
    put_dir_block(&mut target[block_start..], tree, layout, &names[first..]);
}

/// Entries first, then their names.
fn put_dir_block(block: &mut [u8], tree: &Tree, layout: &Layout, names: &[(&[u8], NodeId)]) {
    let mut name_offset = names.len() * DIRENT_LEN;
    for (number, &(name, node)) in names.iter().enumerate() {
        let dirent = &mut block[number * DIRENT_LEN..][..DIRENT_LEN];
        put_u64(dirent, 0, layout.nid(node));
        put_u16(dirent, 8, name_offset as u16);
        dirent[10] = file_type(tree, node).to_disk();
        block[name_offset..name_offset + name.len()].copy_from_slice(name);
        name_offset += name.len();
    }
}

fn file_type(tree: &Tree, node: NodeId) -> FileType {
    if node == WHITEOUT {
        return FileType::CharDevice;
    }
    match &tree.node(node).kind {
        NodeKind::Dir(_) => FileType::Dir,
        NodeKind::File(_) => FileType::File,
        NodeKind::Symlink(_) => FileType::Symlink,
        NodeKind::Device {
            format: format::S_IFBLK,
            ..
        } => FileType::BlockDevice,
        NodeKind::Device { .. } => FileType::CharDevice,
        NodeKind::Fifo => FileType::Fifo,
    }
}

fn put_chunks(bytes: &mut [u8], inode: &Placed, plan: &Plan, first_copy: u32) {
    let start = body_start(inode).next_multiple_of(format::CHUNK_INDEX_LEN);
    let mut next_copy = first_copy;
    for (number, chunk) in plan.chunks.iter().enumerate() {
        let index =
            &mut bytes[start + number * format::CHUNK_INDEX_LEN..][..format::CHUNK_INDEX_LEN];
        let (device, block) = match chunk {
            Chunk::Hole => (0, format::NULL_BLOCK),
            Chunk::Tar(block) => (1, *block),
            Chunk::Copy => {
                next_copy += 1;
                (0, next_copy - 1)
            }
        };
        put_u16(index, 2, device);
        put_u32(index, 4, block);
    }
}

fn copy_blocks(
    bytes: &mut [u8],
    file: &FileData,
    plan: &Plan,
    first_copy: u32,
    ino: u32,
    tar: &mut Option<&mut ReadAt<'_>>,
) -> Result<(), BuildError> {
    if !plan.chunks.contains(&Chunk::Copy) {
        return Ok(());
    }
    let read = tar.as_mut().ok_or(BuildError::Unaligned { ino })?;
    let runs: Vec<_> = chunks::runs(file).collect();
    let copied = plan
        .chunks
        .iter()
        .enumerate()
        .filter(|(_, chunk)| **chunk == Chunk::Copy);
    for (copy, (number, _)) in copied.enumerate() {
        let block = &mut bytes[(first_copy as usize + copy) * BLOCK..][..BLOCK];
        for (from, len, tar_offset) in chunks::pieces(&runs, number as u64) {
            read(tar_offset, &mut block[from..from + len]).map_err(short_read)?;
        }
    }
    Ok(())
}

fn short_read(error: io::Error) -> BuildError {
    BuildError::Io(error)
}
