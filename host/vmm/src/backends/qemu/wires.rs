//! What connects the helper and QEMU: laid before QEMU starts, joined once it runs.

use std::io::Read;
use std::path::Path;
use std::thread::JoinHandle;

use kiln_platform::BoundChild;

use super::{bounded_log, host_failed};
use crate::error::ExitReason;

/// What QEMU and the guest's kernel must be told of the wires.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    /// Added to the machine's properties.
    pub(super) machine: &'static str,
    /// Arguments of QEMU.
    pub(super) arguments: Vec<String>,
    /// Words of the kernel's command line.
    pub(super) kernel: Vec<&'static str>,
}

/// The wires while QEMU is not there yet.
pub(super) trait Wires {
    /// What to start QEMU with.
    fn words(&self) -> Words;

    /// Waits for QEMU to take its ends as far as it must be waited for, and serves ours from threads. Returns the
    /// thread that keeps the console's log.
    fn join(self: Box<Self>, child: &BoundChild) -> Result<Option<JoinHandle<()>>, ExitReason>;
}

/// Keeps what comes out of `from` in a file of the current directory.
pub(super) fn keep(
    name: &str,
    from: impl Read + Send + 'static,
    file: &'static str,
) -> Result<JoinHandle<()>, ExitReason> {
    let copy = move || drop(bounded_log::copy(from, Path::new(file)));
    in_thread(name, copy)
}

/// Starts a thread of this name.
pub(super) fn in_thread(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, ExitReason> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| host_failed("start a thread", &error))
}

/// Words of a literal list, owned.
pub(super) fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
