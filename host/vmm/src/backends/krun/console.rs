//! The guest's console: libkrun opens a path and writes there without bound, so the path is a pipe's.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::backends::bounded_log;

/// Byte that this side writes when the guest is gone: whatever was written before it is in the log when it comes out.
/// A guest that writes it, too, gains nothing but a log that may lack its last lines.
const END_MARK: u8 = 0;

/// How long the log may take to catch up.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// A console whose output is kept within bounds.
#[derive(Debug)]
pub(super) struct Console {
    pipe: PipeWriter,
    marks: Mutex<Receiver<()>>,
}

impl Console {
    /// Starts to keep what is written in the file `log`.
    pub(super) fn keep(log: &'static str) -> io::Result<Self> {
        let (reader, pipe) = io::pipe()?;
        let (sender, marks) = mpsc::channel();
        let marked = Marked {
            pipe: reader,
            seen: false,
            sender,
        };
        std::thread::Builder::new()
            .name("guest-console".to_owned())
            .spawn(move || drop(bounded_log::copy(marked, Path::new(log))))?;
        Ok(Self {
            pipe,
            marks: Mutex::new(marks),
        })
    }

    /// Where the console's output goes.
    pub(super) fn path(&self) -> PathBuf {
        format!("/dev/fd/{}", self.pipe.as_raw_fd()).into()
    }

    /// Waits until what was written so far is in the log.
    pub(super) fn drain(&self) {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that the guest wrote.
        while marks.try_recv().is_ok() {}
        if (&self.pipe).write_all(&[END_MARK]).is_ok() {
            let _ = marks.recv_timeout(DRAIN_TIMEOUT);
        }
    }
}

/// Tells of each piece with a mark when the next one is asked for: then the piece has been written.
struct Marked {
    pipe: PipeReader,
    seen: bool,
    sender: Sender<()>,
}

impl Read for Marked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.seen) {
            // Nobody waits when the VM is gone.
            let _ = self.sender.send(());
        }
        let read = self.pipe.read(buf)?;
        self.seen = buf[..read].contains(&END_MARK);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_to_the_path_is_in_the_log_after_draining() {
        // A name below the temporary directory: the log is named without a path elsewhere.
        let dir = tempfile::tempdir().unwrap();
        let log: &'static str = Box::leak(dir.path().join("log").to_str().unwrap().into());
        let console = Console::keep(log).unwrap();
        let mut guest = std::fs::File::create(console.path()).unwrap();
        for round in 0..20 {
            // Marks of the guest's own do no harm.
            writeln!(guest, "line {round}\0").unwrap();
            console.drain();
            let text = std::fs::read_to_string(log).unwrap();
            assert!(text.contains(&format!("line {round}\0\n")), "{text:?}");
        }
    }
}
