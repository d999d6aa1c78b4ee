//! The picture of a running build, and the escape sequences that turn the last picture into the next.
//!
//! ```text
//!  => CACHED [build 1/4] FROM debian:12                     finished steps scroll away upwards,
//!  => [build 2/4] COPY . .                          0.1s    written once
//! ------------------------------------------------------
//! [+] Building 3.2s (2/4)                                   the live part, written again and again
//!  => [build 3/4] RUN make                          2.4s
//!     | cc -c a.c
//! ```
//!
//! Pure: text out, no terminal. Invariant: after a draw the cursor is at the start of the line below the picture, and
//! no line of the live part is wider than the terminal, so moving up by the number of its lines gets to its start.

use std::collections::VecDeque;
use std::time::Duration;

use kiln_engine::{Event, OutputStream, StepId};

use super::{LineBuffer, built, emulation, titles, waiting, warning};
use crate::escape;
use crate::format::duration;
use crate::terminal::{Style, Terminal};

/// Lines of a RUN's output that are shown while it runs.
const OUTPUT_LINES: usize = 6;

/// Columns and rows of the terminal.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// What is shown.
pub struct Screen {
    terminal: Terminal,
    titles: Vec<String>,
    done: usize,
    cached: usize,
    running: Option<Running>,
    /// Lines that the next draw writes above the live part.
    above: Vec<Line>,
    /// Lines of the live part on the terminal.
    drawn: usize,
    finished: bool,
}

struct Running {
    step: StepId,
    since: Duration,
    status: Option<String>,
    tail: VecDeque<String>,
    stdout: LineBuffer,
    stderr: LineBuffer,
}

/// A line: text at the left, something short at the right.
struct Line {
    left: String,
    right: String,
    style: Option<Style>,
    /// Longer than the terminal is wide if need be. Only for lines above the live part.
    whole: bool,
}

impl Line {
    fn new(left: impl Into<String>, right: impl Into<String>, style: Option<Style>) -> Self {
        Self {
            left: left.into(),
            right: right.into(),
            style,
            whole: false,
        }
    }

    fn whole(left: impl Into<String>, style: Option<Style>) -> Self {
        Self {
            whole: true,
            ..Self::new(left, "", style)
        }
    }

    fn render(&self, width: usize, terminal: &Terminal) -> String {
        let width = if self.whole { usize::MAX } else { width };
        let right = escape::width(&self.right);
        let room = width.saturating_sub(if right == 0 { 0 } else { right + 1 });
        let left = escape::fit(&self.left, room);
        let gap = if right == 0 {
            0
        } else {
            width.saturating_sub(escape::width(&left) + right)
        };
        let text = format!("{left}{}{}", " ".repeat(gap), self.right);
        self.style
            .map_or(text.clone(), |style| terminal.paint(style, &text))
    }
}

impl Screen {
    /// An empty picture.
    #[must_use]
    pub fn new(terminal: Terminal) -> Self {
        Self {
            terminal,
            titles: Vec::new(),
            done: 0,
            cached: 0,
            running: None,
            above: Vec::new(),
            drawn: 0,
            finished: false,
        }
    }

    /// Whether something on the picture changes by itself.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.is_some() && !self.finished
    }

    /// Takes one event that came at `now`.
    pub fn event(&mut self, event: Event<'_>, now: Duration) {
        match event {
            Event::Planned { steps } => self.titles = titles(steps),
            Event::Warning { line, message } => {
                let text = format!("warning: {}", warning(line, message));
                self.above.push(Line::whole(text, Some(Style::Warning)));
            }
            Event::Waiting { holders } => self.above.push(Line::whole(waiting(holders), None)),
            Event::Started { step } => self.start(step, now),
            Event::Cached { step } => {
                self.cached += 1;
                self.end(step, "CACHED ", String::new(), Some(Style::Success));
            }
            Event::Output {
                step,
                stream,
                bytes,
            } => {
                let running = self.running(step, now);
                let lines = match stream {
                    OutputStream::Stdout => running.stdout.push(bytes),
                    OutputStream::Stderr => running.stderr.push(bytes),
                };
                running.tail.extend(lines);
                running
                    .tail
                    .drain(..running.tail.len().saturating_sub(OUTPUT_LINES));
            }
            Event::Status { step, message } => {
                self.running(step, now).status = Some(escape::line(message))
            }
            Event::Finished { step, elapsed, .. } => {
                self.end(step, "", duration::of_step(elapsed), None)
            }
            Event::Failed { step, elapsed } => {
                self.end(
                    step,
                    "ERROR ",
                    duration::of_step(elapsed),
                    Some(Style::Error),
                );
            }
            Event::VmStarting { step, emulated } => {
                let line = emulated.map(|platform| Line::whole(emulation(platform), None));
                self.above.extend(line);
                self.running(step, now).status = Some("starting VM".to_owned());
            }
            Event::VmReady { .. } => {
                if let Some(running) = &mut self.running {
                    running.status = None;
                }
            }
            Event::Built { image, names } => {
                self.above.extend(
                    built(&image, names)
                        .into_iter()
                        .map(|text| Line::whole(format!(" => {text}"), None)),
                );
            }
        }
    }

    fn start(&mut self, step: StepId, now: Duration) {
        self.running = Some(Running {
            step,
            since: now,
            status: None,
            tail: VecDeque::new(),
            stdout: LineBuffer::default(),
            stderr: LineBuffer::default(),
        });
    }

    fn running(&mut self, step: StepId, now: Duration) -> &mut Running {
        if self
            .running
            .as_ref()
            .is_none_or(|running| running.step != step)
        {
            self.start(step, now);
        }
        self.running.as_mut().expect("was just started")
    }

    fn end(&mut self, step: StepId, word: &str, time: String, style: Option<Style>) {
        self.running = None;
        self.done += 1;
        let left = format!(" => {word}{}", self.title(step));
        self.above.push(Line::new(left, time, style));
    }

    fn title(&self, step: StepId) -> &str {
        self.titles.get(step).map_or("", String::as_str)
    }

    /// No more live part from the next draw on.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// What to write so that the terminal shows the picture of `now`.
    pub fn draw(&mut self, now: Duration, size: Size) -> String {
        // The last column stays free: some terminals wrap as soon as it is written.
        let width = size.width.saturating_sub(1).max(1);
        let mut out = String::new();
        if self.drawn > 0 {
            out += &format!("\x1b[{}A\r", self.drawn);
        }
        for line in self.above.drain(..) {
            out += &format!("{}\x1b[K\n", line.render(width, &self.terminal));
        }
        let live = if self.finished {
            Vec::new()
        } else {
            self.live(now, size.height)
        };
        for line in &live {
            out += &format!("{}\x1b[K\n", line.render(width, &self.terminal));
        }
        if self.drawn > 0 {
            out += "\x1b[J";
        }
        self.drawn = live.len();
        out
    }

    fn live(&self, now: Duration, height: usize) -> Vec<Line> {
        let head = format!(
            "[+] Building {} ({}/{})",
            duration::of_step(now),
            self.done,
            self.titles.len()
        );
        let mut lines = vec![Line::new(head, "", Some(Style::Bold))];
        if let Some(running) = &self.running {
            let time = duration::of_step(now.saturating_sub(running.since));
            let left = format!(" => {}", self.title(running.step));
            let status = running
                .status
                .as_deref()
                .map_or(String::new(), |status| format!("{status} "));
            lines.push(Line::new(left, format!("{status}{time}"), None));
            let rest = [running.stdout.rest(), running.stderr.rest()];
            let output: Vec<&String> = running.tail.iter().chain(rest.iter().flatten()).collect();
            let room = OUTPUT_LINES.min(height.saturating_sub(4));
            for text in &output[output.len().saturating_sub(room)..] {
                lines.push(Line::new(format!("    | {text}"), "", Some(Style::Dim)));
            }
        }
        lines
    }

    /// One line that sums up a build that went well.
    #[must_use]
    pub fn summary(&self, now: Duration) -> String {
        format!(
            "[+] Built in {} ({}/{} steps cached)",
            duration::of_step(now),
            self.cached,
            self.titles.len()
        )
    }
}

#[cfg(test)]
#[path = "screen_tests.rs"]
mod tests;
