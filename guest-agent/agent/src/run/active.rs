//! What other threads may do to a run that is under way: signal it, and give it credit.

use std::os::fd::OwnedFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::process::{Signal, pidfd_send_signal};

#[derive(Default)]
enum Progress {
    /// Not started; the last signal that came is kept for the start.
    #[default]
    Preparing,
    /// A signal came before the start.
    Signalled(i32),
    Running(OwnedFd),
    Ended,
}

/// A run under way.
pub(crate) struct Active {
    progress: Mutex<Progress>,
    /// Output that the host still takes.
    pub credit: Credit,
}

impl Active {
    pub fn new(window: u32) -> Self {
        Self {
            progress: Mutex::default(),
            credit: Credit::new(window),
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process is there.
    pub fn started(&self, pidfd: &OwnedFd) {
        let Ok(pidfd) = pidfd.try_clone() else { return };
        let before = std::mem::replace(&mut *self.progress(), Progress::Running(pidfd));
        if let Progress::Signalled(signal) = before {
            self.signal(signal);
        }
    }

    /// The process was reaped.
    pub fn ended(&self) {
        *self.progress() = Progress::Ended;
    }

    /// Sends a signal to the run's first process, at its start if it is not there yet.
    pub fn signal(&self, number: i32) {
        let mut progress = self.progress();
        match &*progress {
            Progress::Running(pidfd) => {
                if let Some(signal) = Signal::from_named_raw(number) {
                    // The process may have ended meanwhile.
                    let _ = pidfd_send_signal(pidfd, signal);
                }
            }
            Progress::Preparing | Progress::Signalled(_) => *progress = Progress::Signalled(number),
            Progress::Ended => {}
        }
    }
}

/// Bytes that may be sent; waited for when there are none, so that a slow host stops a fast command.
pub(crate) struct Credit {
    bytes: Mutex<u64>,
    given: Condvar,
}

impl Credit {
    fn new(window: u32) -> Self {
        Self {
            bytes: Mutex::new(u64::from(window)),
            given: Condvar::new(),
        }
    }

    pub fn give(&self, bytes: u32) {
        let mut all = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *all = all.saturating_add(u64::from(bytes));
        self.given.notify_all();
    }

    /// Takes at most `wanted` bytes of credit, at least one; waits for it.
    pub fn take(&self, wanted: usize) -> usize {
        let mut all = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        while *all == 0 {
            all = self.given.wait(all).unwrap_or_else(PoisonError::into_inner);
        }
        let taken = (wanted as u64).min(*all);
        *all -= taken;
        usize::try_from(taken).unwrap_or(wanted)
    }
}
