//! Makes the protocol's typed failures out of the kernel's errors.

use std::io;

use kiln_protocol::{Failure, Stage};
use rustix::io::Errno;

/// An error that may carry an errno.
pub(crate) trait Cause {
    /// The errno and what it means.
    fn tell(&self) -> (Option<i32>, String);
}

impl Cause for Errno {
    fn tell(&self) -> (Option<i32>, String) {
        let number = self.raw_os_error();
        (
            Some(number),
            in_words(&io::Error::from_raw_os_error(number)),
        )
    }
}

impl Cause for io::Error {
    fn tell(&self) -> (Option<i32>, String) {
        (self.raw_os_error(), in_words(self))
    }
}

/// The kernel's words for an error, without the number that std appends.
fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" (os error").unwrap_or(text.len());
    text[..end].to_ascii_lowercase()
}

/// Turns a kernel's refusal into a failure.
pub(crate) trait OrFail<T> {
    /// Says what was being done, to what.
    fn or_fail(self, stage: Stage, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Cause> OrFail<T> for Result<T, E> {
    fn or_fail(self, stage: Stage, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| {
            let (errno, words) = error.tell();
            Failure {
                stage,
                errno,
                message: format!("{}: {words}", what()),
            }
        })
    }
}

/// A failure that is not the kernel's.
pub(crate) fn failure(stage: Stage, message: impl Into<String>) -> Failure {
    Failure {
        stage,
        errno: None,
        message: message.into(),
    }
}
