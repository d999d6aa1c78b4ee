//! The only place that writes to stdout and stderr. stdout is data, stderr is everything else.
//!
//! Data for a terminal is escaped; for a pipe or a file it is written as it is. A reader of stdout that goes away is
//! a quiet end, not an error.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::escape;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// Both streams.
#[derive(Debug, Clone, Copy)]
pub struct Console {
    /// What they are connected to.
    pub terminal: Terminal,
}

impl Console {
    /// Wraps the standard streams.
    #[must_use]
    pub fn new(terminal: Terminal) -> Self {
        Self { terminal }
    }

    /// Writes text to stdout, at once.
    pub fn data(&self, text: &str) -> Result<(), Failure> {
        let escaped = if self.terminal.stdout {
            escape::lines(text)
        } else {
            text.to_owned()
        };
        self.bytes(escaped.as_bytes())
    }

    /// Writes bytes to stdout as they are.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(bytes)
            .and_then(|()| stdout.flush())
            .map_err(stdout_failure)
    }

    /// Writes one line to stderr. The text must already be fit for a terminal. Nobody can be told if it fails.
    pub fn note(&self, text: &str) {
        let mut line = String::with_capacity(text.len() + 1);
        line.push_str(text);
        line.push('\n');
        let _ = io::stderr().write_all(line.as_bytes());
    }

    /// Asks a yes-or-no question on the terminal; `None` if there is nobody to answer.
    #[must_use]
    pub fn confirm(&self, question: &str) -> Option<bool> {
        if !io::stdin().is_terminal() || !self.terminal.stderr {
            return None;
        }
        let _ = io::stderr().write_all(format!("{question} [y/N] ").as_bytes());
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).ok()?;
        Some(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
    }
}

/// What a failed write to stdout means.
#[must_use]
pub fn stdout_failure(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Failure::quiet()
    } else {
        Failure::host("cannot write to standard output").because(&error)
    }
}
