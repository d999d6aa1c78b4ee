//! Consoles that have to be asked before they understand escape sequences, and that keep what they were told after
//! the program has ended.
//!
//! Invariant: after [`restore`], every console is in the mode in which it was found.

/// Asks the consoles behind stdout and stderr to understand escape sequences. False if one of them is a console that
/// cannot; true where there is nothing to ask.
pub fn understand_escapes() -> bool {
    #[cfg(windows)]
    {
        modes::change()
    }
    #[cfg(not(windows))]
    {
        true
    }
}

/// Gives the consoles the modes back that they had. May be called often, from any thread.
pub fn restore() {
    #[cfg(windows)]
    modes::restore();
}

#[cfg(windows)]
mod modes {
    use std::io::IsTerminal;
    use std::os::windows::io::AsRawHandle;
    use std::sync::{Mutex, PoisonError};

    /// Consoles by number (0: stdout, 1: stderr) with the modes that they had.
    static CHANGED: Mutex<Vec<(bool, u32)>> = Mutex::new(Vec::new());

    fn handle(stderr: bool) -> *mut core::ffi::c_void {
        if stderr {
            std::io::stderr().as_raw_handle().cast()
        } else {
            std::io::stdout().as_raw_handle().cast()
        }
    }

    pub(super) fn change() -> bool {
        let mut changed = CHANGED.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = true;
        let terminals = [
            (false, std::io::stdout().is_terminal()),
            (true, std::io::stderr().is_terminal()),
        ];
        for (stderr, _) in terminals.into_iter().filter(|(_, terminal)| *terminal) {
            match crate::windows::understand_escapes(handle(stderr)) {
                Some(mode) => changed.push((stderr, mode)),
                None => all = false,
            }
        }
        all
    }

    pub(super) fn restore() {
        let mut changed = CHANGED.lock().unwrap_or_else(PoisonError::into_inner);
        // Backwards: both may be the same console, whose first mode is the one that it had.
        for (stderr, mode) in changed.drain(..).rev() {
            crate::windows::restore_mode(handle(stderr), mode);
        }
    }
}
