//! How a command fails: the one place where errors of all crates become a message, a hint and an exit code, and
//! the one that writes them down.
//!
//! ```text
//! error: MESSAGE
//!   cause: WHY                  (as often as there are causes)
//!   --> Dockerfile:12:6         (excerpt)
//! last output: / log: …        (a RUN that failed)
//! hint: WHAT TO DO
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};

use kiln_engine::{BuildError, Cause, FailureKind};
use kiln_vmm::VmError;
use kiln_vmm::probe::BackendStatus;

use crate::escape;
use crate::excerpt;
use crate::hints;
use crate::terminal::{Style, Terminal};

/// Lines of a failed RUN's output that are repeated below the error. The log has them all.
const TAIL_LINES: usize = 10;

/// Exit codes, with their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The reader of stdout is gone: nothing is wrong.
    Quiet,
    /// The build failed, the thing asked for does not exist: the user can mend it.
    Build,
    /// Flags or configuration.
    Usage,
    /// The machine cannot.
    Host,
    /// Kiln's own fault.
    Bug,
    /// The user stopped it.
    Interrupted,
    /// `kiln run`: the container's own code, or 125 to 127 as docker has them.
    Container(u8),
}

impl Exit {
    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Quiet => 0,
            Self::Build => 1,
            Self::Usage => 2,
            Self::Host => 3,
            Self::Bug => 70,
            Self::Interrupted => 130,
            Self::Container(code) => code,
        }
    }
}

/// A command that did not do what it was asked to.
#[derive(Debug)]
pub struct Failure {
    /// The exit code to be.
    pub exit: Exit,
    /// What is said about it, if anything; boxed to keep results small.
    report: Option<Box<Report>>,
}

#[derive(Debug, Default)]
struct Report {
    message: String,
    causes: Vec<String>,
    excerpt: Option<String>,
    tail: Vec<u8>,
    log: Option<PathBuf>,
    hint: Option<String>,
}

impl Report {
    /// What the cause of a failed build holds beside its message.
    fn add_evidence(&mut self, cause: Cause) {
        match cause {
            Cause::RunFailed { tail, log, .. } => {
                self.tail = tail;
                self.log = log;
            }
            Cause::Vm(VmError::Exited { console, .. } | VmError::Timeout { console, .. }) => {
                self.tail = console.0.into_bytes();
            }
            Cause::Vm(VmError::NoBackend { reports, .. }) => {
                let broken = reports.iter().filter_map(|report| match &report.status {
                    BackendStatus::Broken { reason, .. } => {
                        Some(format!("{}: {reason}", report.kind.name()))
                    }
                    BackendStatus::Works { .. } => None,
                });
                self.causes.extend(broken);
            }
            _ => {}
        }
    }
}

impl Failure {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        let report = Report {
            message: message.into(),
            ..Report::default()
        };
        Self {
            exit,
            report: Some(Box::new(report)),
        }
    }

    /// Ends the program with this code and without a word.
    #[must_use]
    pub fn silent(exit: Exit) -> Self {
        Self { exit, report: None }
    }

    /// The reader of stdout went away: there is nobody to tell, and nothing is wrong.
    #[must_use]
    pub fn quiet() -> Self {
        Self::silent(Exit::Quiet)
    }

    /// What was asked for cannot be had; the user can mend it.
    #[must_use]
    pub fn build(message: impl Into<String>) -> Self {
        Self::new(Exit::Build, message)
    }

    /// The command line is wrong.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The machine cannot.
    #[must_use]
    pub fn host(message: impl Into<String>) -> Self {
        Self::new(Exit::Host, message)
    }

    /// Any error, with its causes.
    #[must_use]
    pub fn of(exit: Exit, error: &(dyn Error + 'static)) -> Self {
        Self::new(exit, error.to_string()).with(|report| report.causes = causes(error))
    }

    /// A failed build; `dockerfile` is what the error's span refers to.
    #[must_use]
    pub fn of_build(error: BuildError, dockerfile: Option<(&str, &[u8])>) -> Self {
        let exit = match error.kind() {
            FailureKind::Build => Exit::Build,
            FailureKind::Usage => Exit::Usage,
            FailureKind::Host => Exit::Host,
            FailureKind::Interrupted => Exit::Interrupted,
        };
        Self::of(exit, &error).with(|report| {
            // Where a build was stopped is chance: no line is to blame.
            let span = error.span.filter(|_| exit != Exit::Interrupted);
            if let Cause::Project(project) = &error.cause {
                let name = project.path.to_string_lossy();
                let span = project.error.span.clone();
                report.excerpt = Some(excerpt::render(&name, &project.bytes, span));
            } else if let (Some(span), Some((name, bytes))) = (span, dockerfile) {
                report.excerpt = Some(excerpt::render(name, bytes, span));
            }
            report.hint = hints::of_build(&error.cause);
            report.add_evidence(error.cause);
        })
    }

    /// A `kiln.toml` that cannot be used.
    #[must_use]
    pub fn of_settings(path: &Path, bytes: &[u8], error: &kiln_config::ConfigError) -> Self {
        Self::new(Exit::Usage, "your settings cannot be used").with(|report| {
            report.causes.push(error.problem.to_string());
            report.causes.extend(causes(&error.problem));
            let name = path.to_string_lossy();
            report.excerpt = Some(excerpt::render(&name, bytes, error.span.clone()));
            report.hint = error.problem.hint();
        })
    }

    fn with(mut self, change: impl FnOnce(&mut Report)) -> Self {
        if let Some(report) = &mut self.report {
            change(report);
        }
        self
    }

    /// Adds an error as the cause.
    #[must_use]
    pub fn because(self, error: &(dyn Error + 'static)) -> Self {
        self.with(|report| {
            report.causes.push(error.to_string());
            report.causes.extend(causes(error));
        })
    }

    /// Adds what the user may do.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        self.with(|report| report.hint = Some(hint.into()))
    }

    /// Gives it another exit code.
    #[must_use]
    pub fn exiting(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The whole report, ready for stderr; empty if there is nothing to say.
    #[must_use]
    pub fn render(&self, terminal: &Terminal) -> String {
        let Some(report) = &self.report else {
            return String::new();
        };
        let mut out = format!(
            "{} {}\n",
            terminal.paint(Style::Error, "error:"),
            escape::lines(&report.message)
        );
        for cause in &report.causes {
            out += &format!("  cause: {}\n", escape::lines(cause));
        }
        if let Some(excerpt) = &report.excerpt {
            out += excerpt;
        }
        let tail = last_lines(&report.tail);
        if !tail.is_empty() {
            out += "last output:\n";
            for line in tail {
                out += &format!("  {line}\n");
            }
        }
        if let Some(log) = &report.log {
            out += &format!("log: {}\n", shown_path(log));
        }
        if let Some(hint) = &report.hint {
            out += &format!(
                "{} {}\n",
                terminal.paint(Style::Hint, "hint:"),
                escape::lines(hint)
            );
        }
        out
    }
}

impl Failure {
    /// The report for a place where there is one line for it.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        let told = self.render(&Terminal::PLAIN);
        let told = told.trim_end().trim_start_matches("error: ");
        told.replace('\n', "; ")
    }
}

impl From<kiln_store::Error> for Failure {
    fn from(error: kiln_store::Error) -> Self {
        use kiln_store::Error;
        let exit = match &error {
            Error::NoSuchImage { .. }
            | Error::AmbiguousId { .. }
            | Error::NamedSeveralTimes { .. }
            | Error::TagWithDigest { .. }
            | Error::Name(_)
            | Error::Config(_)
            | Error::DigestMismatch { .. } => Exit::Build,
            _ => Exit::Host,
        };
        let failure = Self::of(exit, &error);
        match hints::of_store(&error) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// The last lines of a program's output that hold something.
fn last_lines(output: &[u8]) -> Vec<String> {
    let mut lines: Vec<String> = output
        .rsplit(|byte| *byte == b'\n')
        .map(escape::output_line)
        .skip_while(String::is_empty)
        .take(TAIL_LINES)
        .collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.reverse();
    lines
}

/// The chain below `error`, without what a message above already says.
fn causes(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut said = error.to_string();
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(error) = next {
        let text = error.to_string();
        if !text.is_empty() && !said.contains(&text) {
            causes.push(text.clone());
            said = text;
        }
        next = error.source();
    }
    causes
}

/// A path for a message.
#[must_use]
pub fn shown_path(path: &Path) -> String {
    escape::line(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        #[source]
        source: Option<Box<Link>>,
    }

    fn link(text: &'static str, source: Option<Link>) -> Link {
        Link {
            text,
            source: source.map(Box::new),
        }
    }

    #[test]
    fn causes_are_not_repeated() {
        let error = link(
            "cannot open x",
            Some(link("cannot open x", Some(link("denied", None)))),
        );
        assert_eq!(causes(&error), ["denied"]);
        let report = Failure::of(Exit::Host, &error)
            .hint("try again")
            .render(&Terminal::PLAIN);
        assert_eq!(
            report,
            "error: cannot open x\n  cause: denied\nhint: try again\n"
        );
    }

    #[test]
    fn messages_cannot_control_the_terminal() {
        let report = Failure::build("bad \x1b[2J name").render(&Terminal::PLAIN);
        assert_eq!(report, "error: bad \\u{1b}[2J name\n");
    }

    #[test]
    fn the_end_of_the_output_is_kept() {
        let output: Vec<u8> = (0..30)
            .flat_map(|n| format!("line {n}\n").into_bytes())
            .chain(*b"\n\n")
            .collect();
        let lines = last_lines(&output);
        assert_eq!(lines.len(), TAIL_LINES);
        assert_eq!(lines.first().map(String::as_str), Some("line 20"));
        assert_eq!(lines.last().map(String::as_str), Some("line 29"));
        assert!(last_lines(b"\n\n").is_empty());
    }

    #[test]
    fn a_failed_run_tells_everything() {
        let error = BuildError {
            cause: Cause::RunFailed {
                command: "/bin/sh -c make".to_owned(),
                outcome: kiln_engine::RunFailure::Code(2),
                tail: b"cc: no such file\n".to_vec(),
                log: Some(PathBuf::from("/data/logs/1.log")),
            },
            span: Some(7..15),
        };
        let dockerfile: (&str, &[u8]) = ("Dockerfile", b"FROM a\nRUN make\n");
        let failure = Failure::of_build(error, Some(dockerfile)).hint("install cc");
        assert_eq!(failure.exit.code(), 1);
        insta::assert_snapshot!(failure.render(&Terminal::PLAIN), @r#"
        error: process "/bin/sh -c make" did not complete successfully: exit code: 2
         --> Dockerfile:2:1
          |
        2 | RUN make
          | ^^^^^^^^
          |
        last output:
          cc: no such file
        log: /data/logs/1.log
        hint: install cc
        "#);
    }
}
