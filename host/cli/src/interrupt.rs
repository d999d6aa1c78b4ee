//! Ctrl-C and its kin: the first asks the build to stop, the second says that it is stopping, the third ends the
//! process on the spot.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kiln_engine::Cancel;

use crate::failure::Exit;
use crate::terminal;

/// Signals that follow each other faster are one wish: shells and supervisors send it to the process and to its group.
const SAME_WISH: Duration = Duration::from_millis(200);

/// What was heard so far.
#[derive(Default)]
struct Heard {
    wishes: u32,
    last: Option<Instant>,
}

impl Heard {
    /// How often the user wished to stop, with the signal that came `now`; none if it is no new wish.
    fn wish(&mut self, now: Instant) -> Option<u32> {
        let same = self
            .last
            .is_some_and(|last| now.duration_since(last) < SAME_WISH);
        self.last = Some(now);
        if same {
            return None;
        }
        self.wishes += 1;
        Some(self.wishes)
    }
}

/// Hears SIGINT, SIGTERM and SIGHUP (on Windows Ctrl-C and Ctrl-Break) from now on. To be called once, by commands
/// that have something to clean up.
#[must_use]
pub fn listen() -> Cancel {
    let cancel = Cancel::default();
    let heard = Mutex::new(Heard::default());
    let told = cancel.clone();
    // Fails only when a handler exists already, which would do the same.
    let _ = ctrlc::set_handler(move || {
        let wish = heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .wish(Instant::now());
        match wish {
            None => {}
            Some(1) => told.cancel(),
            Some(2) => {
                let text = "\nstopping; waiting for the VM to end (interrupt once more to leave at once)\n";
                let _ = std::io::stderr().write_all(text.as_bytes());
            }
            Some(_) => {
                terminal::leave();
                std::process::exit(i32::from(Exit::Interrupted.code()));
            }
        }
    });
    cancel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_sent_twice_is_one_wish() {
        let start = Instant::now();
        let mut heard = Heard::default();
        let wishes = [0, 3, 1000, 1001, 2000]
            .map(|millis| heard.wish(start + Duration::from_millis(millis)));
        assert_eq!(wishes, [Some(1), None, Some(2), None, Some(3)]);
    }
}
