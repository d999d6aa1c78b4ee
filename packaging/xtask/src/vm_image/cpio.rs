//! Writer of cpio archives in the `newc` form that the kernel unpacks as its initramfs.
//!
//! ```text
//! "070701" | 13 fields of 8 hexadecimal digits | name NUL | padding to 4 | data | padding to 4
//!            inode mode uid gid nlink mtime size devmajor devminor rdevmajor rdevminor namelen check
//! ```
//!
//! Deterministic: owner root, time 0, inodes counted from 1.

use std::io::{self, Write};

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// An archive being written.
pub struct CpioWriter<W> {
    out: W,
    inode: u32,
}

struct Header<'a> {
    name: &'a str,
    mode: u32,
    links: u32,
    device: (u32, u32),
    size: u32,
}

impl<W: Write> CpioWriter<W> {
    /// Starts an archive.
    pub fn new(out: W) -> Self {
        Self { out, inode: 0 }
    }

    /// Adds a folder.
    pub fn directory(&mut self, name: &str, mode: u32) -> io::Result<()> {
        self.header(&Header {
            name,
            mode: DIRECTORY | mode,
            links: 2,
            device: (0, 0),
            size: 0,
        })
    }

    /// Adds a character device.
    pub fn character_device(
        &mut self,
        name: &str,
        mode: u32,
        device: (u32, u32),
    ) -> io::Result<()> {
        self.header(&Header {
            name,
            mode: CHARACTER_DEVICE | mode,
            links: 1,
            device,
            size: 0,
        })
    }

    /// Adds a file.
    pub fn file(&mut self, name: &str, mode: u32, data: &[u8]) -> io::Result<()> {
        let size = u32::try_from(data.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.header(&Header {
            name,
            mode: REGULAR | mode,
            links: 1,
            device: (0, 0),
            size,
        })?;
        self.out.write_all(data)?;
        self.pad(data.len())
    }

    /// Ends the archive.
    pub fn finish(mut self) -> io::Result<W> {
        self.inode = u32::MAX;
        self.header(&Header {
            name: "TRAILER!!!",
            mode: 0,
            links: 1,
            device: (0, 0),
            size: 0,
        })?;
        Ok(self.out)
    }

    fn header(&mut self, header: &Header<'_>) -> io::Result<()> {
        self.inode = self.inode.wrapping_add(1);
        let name_len =
            u32::try_from(header.name.len() + 1).map_err(|_| io::ErrorKind::InvalidFilename)?;
        let (major, minor) = header.device;
        let fields = [
            self.inode,
            header.mode,
            0,
            0,
            header.links,
            0,
            header.size,
            0,
            0,
            major,
            minor,
            name_len,
            0,
        ];
        self.out.write_all(b"070701")?;
        for field in fields {
            write!(self.out, "{field:08x}")?;
        }
        self.out.write_all(header.name.as_bytes())?;
        self.out.write_all(b"\0")?;
        // The fixed part is 110 bytes long.
        self.pad(110 + header.name.len() + 1)
    }

    fn pad(&mut self, written: usize) -> io::Result<()> {
        let short = written.next_multiple_of(4) - written;
        self.out.write_all(&[0; 3][..short])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn archive() -> Vec<u8> {
        let mut cpio = CpioWriter::new(Vec::new());
        cpio.directory("dev", 0o755).unwrap();
        cpio.file("init", 0o755, b"hello").unwrap();
        cpio.finish().unwrap()
    }

    #[test]
    fn archive_is_the_same_each_time_and_aligned() {
        assert_eq!(archive(), archive());
        assert_eq!(archive().len() % 4, 0);
    }

    #[test]
    fn cpio_program_lists_the_archive() {
        let child = Command::new("cpio")
            .args(["-t", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            println!("skipped: `cpio` is not installed");
            return;
        };
        child.stdin.take().unwrap().write_all(&archive()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "dev\ninit\n");
    }
}
