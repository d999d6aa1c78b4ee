//! What kind of terminal there is, and the few escape sequences that Kiln sends to it.
//!
//! Invariant: a cursor hidden by [`hide_cursor`] is shown again by [`restore`] before the process ends, whether it
//! returns, panics or is interrupted; and a console is given its mode back by [`leave`], which is the last thing that the
//! program does.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::env::Environment;

/// Whether the cursor is hidden right now.
static CURSOR_HIDDEN: AtomicBool = AtomicBool::new(false);

/// Columns and rows when the terminal does not tell: the classic ones.
const DEFAULT_SIZE: (usize, usize) = (80, 24);

/// The standard streams as they were found at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// stdout is one.
    pub stdout: bool,
    /// stderr is one.
    pub stderr: bool,
    /// Colours may be written to stderr.
    pub color: bool,
    /// The cursor may be moved on stderr.
    pub movable: bool,
}

impl Terminal {
    /// No terminal at all.
    pub const PLAIN: Self = Self {
        stdout: false,
        stderr: false,
        color: false,
        movable: false,
    };

    /// Looks at the standard streams, and on Windows asks the console to understand escape sequences.
    #[must_use]
    pub fn set_up(environment: &Environment) -> Self {
        let stderr = std::io::stderr().is_terminal();
        let understands = !stderr || kiln_platform::console::understand_escapes();
        Self {
            stdout: std::io::stdout().is_terminal(),
            stderr,
            color: stderr && understands && !environment.no_color,
            movable: stderr && understands && !environment.dumb_terminal,
        }
    }

    /// Paints text, if colours are allowed.
    #[must_use]
    pub fn paint(&self, style: Style, text: &str) -> String {
        if self.color {
            format!("\x1b[{}m{text}\x1b[0m", style.code())
        } else {
            text.to_owned()
        }
    }
}

/// Colours by meaning. Nothing is said by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Failures.
    Error,
    /// Warnings.
    Warning,
    /// Hints and line numbers.
    Hint,
    /// Done.
    Success,
    /// Less important.
    Dim,
    /// More important.
    Bold,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Error => "1;31",
            Self::Warning => "1;33",
            Self::Hint => "36",
            Self::Success => "32",
            Self::Dim => "2",
            Self::Bold => "1",
        }
    }
}

/// Columns and rows of the terminal that stderr is.
#[must_use]
pub fn size() -> (usize, usize) {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    let (width, height) = size.map_or(DEFAULT_SIZE, |(width, height)| {
        (usize::from(width.0), usize::from(height.0))
    });
    // A terminal that says 0 does not know.
    (
        if width == 0 { DEFAULT_SIZE.0 } else { width },
        if height == 0 { DEFAULT_SIZE.1 } else { height },
    )
}

/// Hides the cursor until [`restore`].
pub fn hide_cursor() {
    if !CURSOR_HIDDEN.swap(true, Ordering::SeqCst) {
        let _ = std::io::stderr().write_all(b"\x1b[?25l");
    }
}

/// Shows the cursor again if it was hidden.
pub fn restore() {
    if CURSOR_HIDDEN.swap(false, Ordering::SeqCst) {
        let _ = std::io::stderr().write_all(b"\x1b[?25h");
    }
}

/// Leaves the terminal as it was found. Nothing with colours may be written afterwards.
pub fn leave() {
    restore();
    kiln_platform::console::restore();
}
