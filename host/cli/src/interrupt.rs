//! Ctrl-C and its kin: the first asks the build to stop, the second says that it is stopping, the third ends the
//! process on the spot.

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use kiln_engine::Cancel;

use crate::failure::Exit;
use crate::terminal;

/// Hears SIGINT, SIGTERM and SIGHUP (on Windows Ctrl-C and Ctrl-Break) from now on. To be called once, by commands
/// that have something to clean up.
#[must_use]
pub fn listen() -> Cancel {
    let cancel = Cancel::default();
    let heard = AtomicU32::new(0);
    let told = cancel.clone();
    // Fails only when a handler exists already, which would do the same.
    let _ = ctrlc::set_handler(move || match heard.fetch_add(1, Ordering::SeqCst) {
        0 => told.cancel(),
        1 => {
            let _ = std::io::stderr().write_all(
                b"\nstopping; waiting for the VM to end (interrupt once more to leave at once)\n",
            );
        }
        _ => {
            terminal::restore();
            std::process::exit(i32::from(Exit::Interrupted.code()));
        }
    });
    cancel
}
