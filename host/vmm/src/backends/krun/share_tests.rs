//! The share through libkrun's own trait, as its device calls it.

use std::ffi::CString;
use std::fs::File;
use std::os::unix::fs::FileExt;

use super::*;

const ROOT: u64 = 1;
const EROFS: i32 = 30;
const ENOSYS: i32 = 38;

/// The guest's buffers of one reply: so much fits, and no more.
struct Buffers {
    bytes: Vec<u8>,
    room: usize,
    /// Most that one call fills, as a descriptor ends somewhere.
    step: usize,
}

impl ZeroCopyWriter for Buffers {
    fn write_from(&mut self, file: &File, count: usize, offset: u64) -> io::Result<usize> {
        let count = count.min(self.room - self.bytes.len()).min(self.step);
        if count == 0 {
            return Ok(0);
        }
        let start = self.bytes.len();
        self.bytes.resize(start + count, 0);
        let read = file.read_at(&mut self.bytes[start..], offset)?;
        self.bytes.truncate(start + read);
        match read {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

fn buffers(room: usize) -> Buffers {
    Buffers {
        bytes: Vec::new(),
        room,
        step: 1000,
    }
}

struct Guest {
    server: Arc<Server>,
    device: Box<dyn DynFileSystem>,
    dir: tempfile::TempDir,
}

impl Guest {
    fn with_files(files: &[(&str, &[u8])]) -> Self {
        let server = Arc::new(Server::new());
        let dir = tempfile::tempdir().unwrap();
        for (name, data) in files {
            let path = dir.path().join(name);
            std::fs::write(&path, data).unwrap();
            server.add(name, &path).unwrap();
        }
        Self {
            device: Box::new(Share(Arc::clone(&server))),
            server,
            dir,
        }
    }

    fn lookup(&self, parent: u64, name: &str) -> Result<Entry, i32> {
        let name = CString::new(name).unwrap();
        number(self.device.lookup(root(), parent, &name))
    }

    fn layers(&self) -> u64 {
        self.lookup(ROOT, "layers")
            .unwrap_or_else(|_| panic!())
            .inode
    }

    fn read(&self, inode: u64, size: u32, offset: u64, room: usize) -> Result<Vec<u8>, i32> {
        let mut into = buffers(room);
        let read = self
            .device
            .read(root(), inode, 0, &mut into, size, offset, None, 0);
        let read = number(read)?;
        assert_eq!(read, into.bytes.len());
        Ok(into.bytes)
    }

    /// Names in a directory from `offset` on, `limit` of them at most.
    fn list(&self, inode: u64, offset: u64, limit: usize) -> Result<Vec<(String, u64)>, i32> {
        let mut names = Vec::new();
        let listed = self
            .device
            .readdir_for_each(root(), inode, 0, 4096, offset, &mut |entry| {
                if names.len() == limit {
                    return Ok(0);
                }
                names.push((
                    String::from_utf8(entry.name.to_vec()).unwrap(),
                    entry.offset,
                ));
                Ok(entry.name.len())
            });
        number(listed).map(|()| names)
    }
}

fn root() -> Context {
    Context {
        uid: 0,
        gid: 0,
        pid: 1,
    }
}

fn number<T>(result: io::Result<T>) -> Result<T, i32> {
    result.map_err(|error| error.raw_os_error().unwrap())
}

#[test]
fn file_is_found_and_read_whatever_the_buffers() {
    let data: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    let guest = Guest::with_files(&[("a.tar", &data)]);
    guest.device.init(FsOptions::all()).unwrap();
    let file = guest
        .lookup(guest.layers(), "a.tar")
        .unwrap_or_else(|_| panic!());
    let (attributes, valid) = guest.device.getattr(root(), file.inode, None).unwrap();
    assert_eq!(attributes.st_size, 100_000);
    assert_eq!(format!("{:o}", attributes.st_mode), "100444");
    assert_eq!(attributes.st_blocks, 196);
    assert!(valid.as_secs() > 3600);
    assert_eq!(file.attr.st_ino, file.inode);

    let read = |size, offset, room| guest.read(file.inode, size, offset, room).unwrap();
    assert_eq!(read(u32::MAX, 0, 1 << 20), data);
    assert_eq!(read(4096, 99_000, 4096), data[99_000..]);
    assert_eq!(read(4096, 50, 10), data[50..60]);
    assert!(read(4096, 100_000, 4096).is_empty());
    assert!(read(4096, u64::MAX, 4096).is_empty());
}

#[test]
fn listing_goes_on_where_it_stopped() {
    let guest = Guest::with_files(&[("a", b""), ("b", b""), ("c", b"")]);
    let layers = guest.layers();
    assert_eq!(guest.list(ROOT, 0, 10).unwrap().len(), 1);
    let first = guest.list(layers, 0, 2).unwrap();
    assert_eq!(first.len(), 2);
    guest.server.remove("a");
    let rest = guest.list(layers, first[1].1, 10).unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].0, "c");
    let file = guest.lookup(layers, "b").unwrap_or_else(|_| panic!()).inode;
    assert_eq!(guest.list(file, 0, 10), Err(20));
    assert_eq!(
        number(guest.device.opendir(root(), file, 0)).err(),
        Some(20)
    );
}

#[test]
fn removed_and_unknown_nodes_are_stale_and_names_are_no_paths() {
    let guest = Guest::with_files(&[("a", b"1")]);
    let layers = guest.layers();
    let file = guest.lookup(layers, "a").unwrap_or_else(|_| panic!()).inode;
    assert!(guest.server.remove("a"));
    for inode in [0, file, file + 1, u64::MAX] {
        assert_eq!(guest.read(inode, 1, 0, 1), Err(116));
        assert_eq!(
            number(guest.device.getattr(root(), inode, None)).err(),
            Some(116)
        );
        assert_eq!(guest.list(inode, 0, 1), Err(116));
    }
    assert_eq!(guest.read(layers, 1, 0, 1), Err(21));
    for name in [
        "..",
        ".",
        "",
        "../a",
        "a/b",
        "/etc/passwd",
        &"x".repeat(5000),
    ] {
        assert_eq!(guest.lookup(ROOT, name).err(), Some(2), "{name}");
        assert_eq!(guest.lookup(layers, name).err(), Some(2), "{name}");
    }
}

#[test]
fn file_that_became_shorter_ends_early() {
    let guest = Guest::with_files(&[("a", &[1; 5000])]);
    let inode = guest
        .lookup(guest.layers(), "a")
        .unwrap_or_else(|_| panic!())
        .inode;
    let path = guest.dir.path().join("a");
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(10)
        .unwrap();
    assert_eq!(guest.read(inode, 5000, 0, 5000).unwrap(), [1; 10]);
}

#[test]
fn whatever_would_write_is_refused_and_opening_is_not_needed() {
    let guest = Guest::with_files(&[("a", b"1")]);
    let device = &*guest.device;
    let layers = guest.layers();
    let file = guest.lookup(layers, "a").unwrap_or_else(|_| panic!());
    let (inode, name) = (file.inode, c"n");
    let none = Extensions::default;
    struct Data;
    impl ZeroCopyReader for Data {
        fn read_to(&mut self, _: &File, _: usize, _: u64) -> io::Result<usize> {
            panic!("data to write was touched");
        }
    }
    let mut refused = vec![
        number(device.setattr(root(), inode, file.attr, None, SetattrValid::SIZE)).err(),
        number(device.symlink(root(), name, layers, name, none())).err(),
        number(device.mknod(root(), layers, name, 0, 0, 0, none())).err(),
        number(device.mkdir(root(), layers, name, 0, 0, none())).err(),
        number(device.unlink(root(), layers, c"a")).err(),
        number(device.rmdir(root(), ROOT, c"layers")).err(),
        number(device.rename(root(), layers, c"a", layers, name, 0)).err(),
        number(device.link(root(), inode, layers, name)).err(),
        number(device.create(root(), layers, name, 0, false, 0, 0, none())).err(),
        number(device.fallocate(root(), inode, 0, 0, 0, 1)).err(),
        number(device.setxattr(root(), inode, name, b"", 0)).err(),
        number(device.removexattr(root(), inode, name)).err(),
        number(device.copyfilerange(root(), inode, 0, 0, inode, 0, 0, 1, 0)).err(),
        number(device.access(root(), inode, 2)).err(),
    ];
    let written = device.write(root(), inode, 0, &mut Data, 1, 0, None, false, false, 0);
    refused.push(number(written).err());
    assert!(
        refused.iter().all(|errno| *errno == Some(EROFS)),
        "{refused:?}"
    );

    assert!(device.access(root(), inode, 4).is_ok());
    assert_eq!(
        number(device.open(root(), inode, false, 2)).err(),
        Some(ENOSYS)
    );
    assert_eq!(number(device.readlink(root(), inode)).err(), Some(ENOSYS));
    assert_eq!(
        number(device.getxattr(root(), inode, name, 0)).err(),
        Some(ENOSYS)
    );
    assert!(
        device
            .release(root(), inode, 0, 0, false, false, None)
            .is_ok()
    );
    assert_eq!(guest.read(inode, 9, 0, 9).unwrap(), b"1");
}
