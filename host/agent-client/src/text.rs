//! Text from the guest, made fit to be shown.

use kiln_protocol::Failure;

/// Longest text taken from the guest: a path at its longest and some words.
const MAX_TEXT: usize = 4096 + 512;

/// Cuts `text` to its bound and replaces what a terminal would act on.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .take(MAX_TEXT)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// A failure whose message is fit to be shown.
pub(crate) fn clean_failure(failure: Failure) -> Failure {
    Failure {
        message: clean(&failure.message),
        ..failure
    }
}
