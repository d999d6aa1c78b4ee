//! Progress as lines that can be read in a log: each begins with the number of its step.
//!
//! ```text
//! #2 [build 2/4] RUN apt-get update
//! #2 0.412 <a line of output, after so many seconds>
//! #2 DONE 1.3s
//! ```

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kiln_engine::{Event, OutputStream, StepId};

use super::{Clock, LineBuffer, built, emulation, titles, waiting, warning};
use crate::escape;
use crate::format::duration;
use crate::terminal::{Style, Terminal};

/// The display.
pub struct Plain<W> {
    state: Mutex<State<W>>,
    clock: Clock,
    terminal: Terminal,
}

struct State<W> {
    out: W,
    titles: Vec<String>,
    /// Steps whose title was written.
    announced: Vec<bool>,
    started: Duration,
    vm_for: Option<StepId>,
    stdout: LineBuffer,
    stderr: LineBuffer,
}

impl<W: Write> Plain<W> {
    /// Writes to `out`.
    pub fn new(out: W, clock: Clock, terminal: Terminal) -> Self {
        let state = State {
            out,
            titles: Vec::new(),
            announced: Vec::new(),
            started: Duration::ZERO,
            vm_for: None,
            stdout: LineBuffer::default(),
            stderr: LineBuffer::default(),
        };
        Self {
            state: Mutex::new(state),
            clock,
            terminal,
        }
    }

    /// Takes one event.
    pub fn event(&self, event: Event<'_>) {
        let now = (self.clock)();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for line in state.lines(event, now, &self.terminal) {
            text.push_str(&line);
            text.push('\n');
        }
        if !text.is_empty() {
            // One write, so that lines of other programs do not come between.
            let _ = state.out.write_all(text.as_bytes());
        }
    }
}

impl<W> State<W> {
    fn lines(&mut self, event: Event<'_>, now: Duration, terminal: &Terminal) -> Vec<String> {
        match event {
            Event::Planned { steps } => {
                self.titles = titles(steps);
                self.announced = vec![false; steps.len()];
                Vec::new()
            }
            Event::Warning { line, message } => {
                vec![format!(
                    "{} {}",
                    terminal.paint(Style::Warning, "warning:"),
                    warning(line, message)
                )]
            }
            Event::Waiting { holders } => vec![waiting(holders)],
            Event::Started { step } => {
                self.started = now;
                self.announce(step)
            }
            Event::Cached { step } => self.with_title(step, "CACHED".to_owned()),
            Event::Output {
                step,
                stream,
                bytes,
            } => {
                let buffer = match stream {
                    OutputStream::Stdout => &mut self.stdout,
                    OutputStream::Stderr => &mut self.stderr,
                };
                let lines = buffer.push(bytes);
                let at = now.saturating_sub(self.started).as_secs_f64();
                let mut out = self.announce(step);
                out.extend(
                    lines
                        .into_iter()
                        .map(|line| format!("#{} {at:.3} {line}", step + 1)),
                );
                out
            }
            Event::Status { step, message } => self.with_title(step, escape::line(message)),
            Event::Finished { step, elapsed, .. } => {
                self.ended(step, now, format!("DONE {}", duration::of_step(elapsed)))
            }
            Event::Failed { step, elapsed } => {
                self.ended(step, now, format!("ERROR {}", duration::of_step(elapsed)))
            }
            Event::VmStarting { step, emulated } => {
                self.vm_for = Some(step);
                let mut lines = self.with_title(step, "starting VM".to_owned());
                lines.extend(emulated.map(emulation));
                lines
            }
            Event::VmReady { backend, elapsed } => {
                let text = format!(
                    "VM ready after {} ({})",
                    duration::of_step(elapsed),
                    escape::line(backend)
                );
                self.with_title(self.vm_for.unwrap_or_default(), text)
            }
            Event::Built { image, names } => built(&image, names),
        }
    }

    /// The step's title, if it was not written yet.
    fn announce(&mut self, step: StepId) -> Vec<String> {
        match (self.announced.get_mut(step), self.titles.get(step)) {
            (Some(announced), Some(title)) if !*announced => {
                *announced = true;
                vec![format!("#{} {title}", step + 1)]
            }
            _ => Vec::new(),
        }
    }

    fn with_title(&mut self, step: StepId, text: String) -> Vec<String> {
        let mut lines = self.announce(step);
        lines.push(format!("#{} {text}", step + 1));
        lines
    }

    fn ended(&mut self, step: StepId, now: Duration, text: String) -> Vec<String> {
        let at = now.saturating_sub(self.started).as_secs_f64();
        let rest = [self.stdout.take_rest(), self.stderr.take_rest()];
        let mut lines = self.announce(step);
        lines.extend(
            rest.into_iter()
                .flatten()
                .map(|line| format!("#{} {at:.3} {line}", step + 1)),
        );
        lines.extend(self.with_title(step, text));
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use kiln_engine::StepHead;
    use kiln_oci::{Digest, Platform};

    use super::*;

    fn head(stage: &str, text: &str) -> StepHead {
        StepHead {
            stage: stage.to_owned(),
            text: text.to_owned(),
            line: 1,
        }
    }

    #[test]
    fn a_build_reads_like_a_log() {
        let millis = Arc::new(AtomicU64::new(0));
        let ticks = Arc::clone(&millis);
        let clock: Clock =
            Box::new(move || Duration::from_millis(ticks.fetch_add(206, Ordering::SeqCst)));
        let plain = Plain::new(Vec::new(), clock, Terminal::PLAIN);
        let steps = [
            head("build", "FROM debian:12"),
            head("build", "RUN apt-get update"),
        ];
        let names = ["app".to_owned()];
        plain.event(Event::Warning {
            line: Some(3),
            message: "use \"FROM x AS y\"\n",
        });
        plain.event(Event::Planned { steps: &steps });
        plain.event(Event::Started { step: 0 });
        plain.event(Event::Cached { step: 0 });
        plain.event(Event::Started { step: 1 });
        plain.event(Event::VmStarting {
            step: 1,
            emulated: Some(&Platform::linux("arm64")),
        });
        plain.event(Event::VmReady {
            backend: "qemu",
            elapsed: Duration::from_millis(600),
        });
        plain.event(Event::Output {
            step: 1,
            stream: OutputStream::Stdout,
            bytes: b"Get:1 \x1b[1mhttp\x1b[0m\nhal",
        });
        plain.event(Event::Output {
            step: 1,
            stream: OutputStream::Stderr,
            bytes: b"err\n",
        });
        plain.event(Event::Finished {
            step: 1,
            elapsed: Duration::from_millis(1390),
            layer_size: None,
        });
        plain.event(Event::Built {
            image: Digest::of(b""),
            names: &names,
        });
        let out = plain.state.into_inner().expect("not poisoned").out;
        insta::assert_snapshot!(String::from_utf8(out).expect("UTF-8"), @r#"
        warning: line 3: use "FROM x AS y"\n
        #1 [build 1/2] FROM debian:12
        #1 CACHED
        #2 [build 2/2] RUN apt-get update
        #2 starting VM
        linux/arm64 is emulated on this machine: its RUNs are slower
        #2 VM ready after 0.6s (qemu)
        #2 0.618 Get:1 http
        #2 0.824 err
        #2 1.030 hal
        #2 DONE 1.3s
        writing image sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
        naming to docker.io/library/app:latest
        "#);
    }

    #[test]
    fn events_of_unknown_steps_do_no_harm() {
        let plain = Plain::new(Vec::new(), Box::new(|| Duration::ZERO), Terminal::PLAIN);
        plain.event(Event::Cached { step: 7 });
        plain.event(Event::VmReady {
            backend: "x",
            elapsed: Duration::ZERO,
        });
        let out = plain.state.into_inner().expect("not poisoned").out;
        assert_eq!(
            String::from_utf8(out).expect("UTF-8"),
            "#8 CACHED\n#1 VM ready after 0.0s (x)\n"
        );
    }
}
