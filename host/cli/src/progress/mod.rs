//! Shows a build while it runs, made from the engine's events alone.
//!
//! Three displays: [`plain`] lines for logs, a [`live`] one for terminals, and none. Everything that comes from the
//! Dockerfile or from a RUN is escaped here.

mod live;
mod plain;
mod screen;

use std::time::{Duration, Instant};

use kiln_engine::{Event, Events, StepHead};
use kiln_oci::{ImageName, Platform};

use crate::escape;
use crate::terminal::Terminal;

/// `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// `tty` on a terminal, else `plain`
    Auto,
    /// Redraw in place
    Tty,
    /// One line after the other
    Plain,
    /// Errors only
    Quiet,
}

/// Tells the time since the build began.
pub type Clock = Box<dyn Fn() -> Duration + Send + Sync>;

/// A clock that starts now.
fn clock() -> Clock {
    let start = Instant::now();
    Box::new(move || start.elapsed())
}

/// The display of one build.
pub enum Display {
    /// Lines.
    Plain(plain::Plain<std::io::Stderr>),
    /// Redrawn in place.
    Live(live::Live),
    /// Nothing.
    Quiet,
}

impl Display {
    /// The display for `mode` on this terminal.
    #[must_use]
    pub fn new(mode: Mode, terminal: Terminal) -> Self {
        match mode {
            Mode::Quiet => Self::Quiet,
            Mode::Auto | Mode::Tty if terminal.movable => Self::Live(live::Live::new(terminal)),
            // `tty` where no cursor can be moved would fill a log with escape sequences.
            Mode::Auto | Mode::Tty | Mode::Plain => {
                Self::Plain(plain::Plain::new(std::io::stderr(), clock(), terminal))
            }
        }
    }

    /// Ends the display; what comes after may write to the terminal again.
    pub fn finish(&self) {
        if let Self::Live(live) = self {
            live.finish();
        }
    }
}

impl Events for Display {
    fn event(&self, event: Event<'_>) {
        match self {
            Self::Plain(plain) => plain.event(event),
            Self::Live(live) => live.event(event),
            Self::Quiet => {}
        }
    }
}

/// Longest instruction that is shown; a heredoc can be thousands of lines.
const MAX_TITLE: usize = 400;

/// `[build 2/4] RUN make` for each step.
fn titles(steps: &[StepHead]) -> Vec<String> {
    let alone = steps.iter().all(|step| step.stage == steps[0].stage);
    steps
        .iter()
        .enumerate()
        .map(|(index, step)| {
            let of_stage = |steps: &[StepHead]| {
                steps
                    .iter()
                    .filter(|other| other.stage == step.stage)
                    .count()
            };
            let (number, total) = (of_stage(&steps[..=index]), of_stage(steps));
            let number_of_stage = step.stage.strip_prefix("stage-").unwrap_or(&step.stage);
            let unnamed = number_of_stage.bytes().all(|byte| byte.is_ascii_digit());
            let stage = match (unnamed, alone) {
                (true, true) => String::new(),
                (true, false) => format!("stage-{number_of_stage} "),
                (false, _) => format!("{} ", escape::line(&step.stage)),
            };
            let text = escape::fit(&escape::line(&step.text), MAX_TITLE);
            format!("[{stage}{number}/{total}] {text}")
        })
        .collect()
}

/// A warning on one line.
fn warning(line: Option<usize>, message: &str) -> String {
    let message = escape::line(message);
    line.map_or_else(|| message.clone(), |line| format!("line {line}: {message}"))
}

/// That other processes are waited for.
fn waiting(holders: &str) -> String {
    format!("waiting for the store: {}", escape::line(holders))
}

/// Said when a VM is started whose processors are not those of this machine.
fn emulation(platform: &Platform) -> String {
    let platform = escape::line(&platform.to_string());
    format!("{platform} is emulated on this machine: its RUNs are slower")
}

/// The closing lines: the image, and its names in full.
fn built(image: &kiln_oci::Digest, names: &[String]) -> Vec<String> {
    let full = |name: &String| {
        ImageName::parse(name).map_or_else(
            |_| escape::line(name),
            |name| name.with_default_tag().to_string(),
        )
    };
    let names = names.iter().map(|name| format!("naming to {}", full(name)));
    std::iter::once(format!("writing image {image}"))
        .chain(names)
        .collect()
}

/// Collects the bytes of a RUN into lines. A line has an end even if the program never ends it.
#[derive(Debug, Default)]
struct LineBuffer {
    partial: Vec<u8>,
}

/// Longest line that is kept together: a program may write gigabytes without a line end.
const MAX_LINE: usize = 16 << 10;

impl LineBuffer {
    /// Takes more output and gives the lines that it completes.
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            for chunk in part.chunks(MAX_LINE) {
                self.partial.extend_from_slice(chunk);
                if self.partial.ends_with(b"\n") || self.partial.len() >= MAX_LINE {
                    lines.push(escape::output_line(&self.partial));
                    self.partial.clear();
                }
            }
        }
        lines
    }

    /// What was written after the last line end.
    fn take_rest(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.partial);
        (!rest.is_empty()).then(|| escape::output_line(&rest))
    }

    /// The line that is being written, without ending it.
    fn rest(&self) -> Option<String> {
        (!self.partial.is_empty()).then(|| escape::output_line(&self.partial))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(stage: &str, text: &str) -> StepHead {
        StepHead {
            stage: stage.to_owned(),
            text: text.to_owned(),
            line: 1,
        }
    }

    #[test]
    fn steps_are_counted_within_their_stage() {
        let steps = [
            head("build", "FROM a"),
            head("build", "RUN b"),
            head("1", "FROM c"),
        ];
        assert_eq!(
            titles(&steps),
            [
                "[build 1/2] FROM a",
                "[build 2/2] RUN b",
                "[stage-1 1/1] FROM c"
            ]
        );
        assert_eq!(titles(&[head("0", "FROM a\x1b")]), ["[1/1] FROM a\\u{1b}"]);
        assert_eq!(titles(&[head("stage-0", "FROM a")]), ["[1/1] FROM a"]);
        assert!(titles(&[]).is_empty());
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        let mut buffer = LineBuffer::default();
        assert_eq!(buffer.push(b"one\ntw"), ["one"]);
        assert_eq!(buffer.rest().as_deref(), Some("tw"));
        assert_eq!(buffer.push(b"o\n\nthree"), ["two", ""]);
        assert_eq!(buffer.take_rest().as_deref(), Some("three"));
        assert_eq!(buffer.take_rest(), None);
    }

    #[test]
    fn endless_lines_are_cut() {
        let mut buffer = LineBuffer::default();
        let lines = buffer.push(&vec![b'x'; 3 * MAX_LINE + 5]);
        assert_eq!(lines.len(), 3);
        assert_eq!(buffer.take_rest().as_deref(), Some("xxxxx"));
    }
}
