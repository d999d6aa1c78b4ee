//! The initramfs: the agent as `/init`, and what the kernel needs before the agent has mounted anything.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::error::Error;
use crate::vm_image::cpio::CpioWriter;

/// Mount points of the agent.
const FOLDERS: &[&str] = &["dev", "proc", "sys", "tmp", "run", "mnt"];

/// Writes the initramfs.
pub fn write(agent: &Path, to: &Path) -> Result<(), Error> {
    let agent = std::fs::read(agent).map_err(Error::file("read", agent))?;
    let out = File::create(to).map_err(Error::file("create", to))?;
    write_archive(&agent, BufWriter::new(out)).map_err(Error::file("write", to))
}

fn write_archive(agent: &[u8], out: impl Write) -> std::io::Result<()> {
    let mut cpio = CpioWriter::new(out);
    for folder in FOLDERS {
        cpio.directory(folder, 0o755)?;
    }
    // The kernel opens the console for /init before devtmpfs is mounted.
    cpio.character_device("dev/console", 0o600, (5, 1))?;
    cpio.file("init", 0o755, agent)?;
    cpio.finish()?.flush()
}
