//! Instructions that only change the image config, and the variables.

use kiln_dockerfile::Span;
use kiln_dockerfile::ast::{Arg, Command, Healthcheck, KeyValue, Word};
use kiln_dockerfile::lint::{Rule, Warning};
use kiln_dockerfile::words::Variables;

use super::{Evaluator, Outcome, State, history, ports, signal};
use crate::error::{PlanError, PlanErrorKind};
use crate::graph::{StepKind, WorkdirStep};
use crate::path;

/// About what one exposed port takes in memory.
const PORT_WEIGHT: usize = 32;

type Result<T> = std::result::Result<T, PlanError>;

impl Evaluator<'_> {
    pub(super) fn env(&mut self, state: &mut State, pairs: &[KeyValue]) -> Result<Option<Outcome>> {
        let pairs = self.pairs(state, pairs, "ENV")?;
        for (name, value) in &pairs {
            state.set_env(name, value);
        }
        Ok(Outcome::metadata(history::pairs("ENV", &pairs)))
    }

    pub(super) fn label(
        &mut self,
        state: &mut State,
        pairs: &[KeyValue],
    ) -> Result<Option<Outcome>> {
        let pairs = self.pairs(state, pairs, "LABEL")?;
        state.config.labels.extend(pairs.iter().cloned());
        Ok(Outcome::metadata(history::pairs("LABEL", &pairs)))
    }

    /// Expands all pairs with the values from before the instruction.
    fn pairs(
        &mut self,
        state: &State,
        pairs: &[KeyValue],
        instruction: &'static str,
    ) -> Result<Vec<(String, String)>> {
        let expanded = pairs.iter().map(|pair| {
            let name = self.expand(state, &pair.key)?;
            if name.is_empty() {
                return Err(PlanError::at(
                    pair.key.span,
                    PlanErrorKind::BlankName { instruction },
                ));
            }
            let value = self.expand(state, &pair.value)?;
            Ok((name, value))
        });
        expanded.collect()
    }

    /// A value comes from `--build-arg`, else the default, else the scope above FROM.
    pub(super) fn arg(&mut self, state: &mut State, args: &[Arg]) -> Result<Option<Outcome>> {
        let mut text = "ARG".to_owned();
        for arg in args {
            let name = arg.name.text.as_str();
            let value = match (self.request.build_args.get(name), &arg.default) {
                (Some(value), _) => Some(value.clone()),
                (None, Some(default)) => Some(self.expand(state, default)?),
                (None, None) => self.stages.globals.get(name).map(str::to_owned),
            };
            state.set_arg(name, value.as_deref());
            text.push(' ');
            text.push_str(name);
            if let Some(value) = value {
                self.charge(value.len(), arg.name.span)?;
                text.push('=');
                text.push_str(&value);
            }
        }
        Ok(Outcome::metadata(text))
    }

    pub(super) fn workdir(&mut self, state: &mut State, word: &Word) -> Result<Option<Outcome>> {
        let written = self.expand(state, word)?;
        if !state.workdir_set && !written.starts_with('/') {
            let message = format!(
                "relative workdir `{written}` can have unexpected results if the base image changes"
            );
            self.warn(Rule::WorkdirRelativePath, word.span, message);
        }
        state.workdir_set = true;
        state.config.working_dir = path::join_workdir(state.workdir(), &written);
        let created_by = format!("WORKDIR {}", state.config.working_dir);
        let path = state.workdir().to_owned();
        let kind = match path == "/" {
            true => StepKind::Metadata,
            false => StepKind::Workdir(WorkdirStep {
                path,
                user: state.config.user.clone(),
            }),
        };
        Ok(Some(Outcome { kind, created_by }))
    }

    pub(super) fn user(&mut self, state: &mut State, word: &Word) -> Result<Option<Outcome>> {
        state.config.user = self.expand(state, word)?;
        Ok(Outcome::metadata(format!("USER {}", state.config.user)))
    }

    pub(super) fn expose(&mut self, state: &mut State, words: &[Word]) -> Result<Option<Outcome>> {
        let mut words: Vec<&Word> = words.iter().collect();
        words.sort_by(|a, b| a.text.cmp(&b.text));
        let mut exposed = Vec::new();
        for word in words {
            let failed = |source| PlanErrorKind::Expand {
                word: word.text.clone(),
                source,
            };
            let expansion = self.expander.expand(&word.text, &state.variables);
            for port in expansion
                .map_err(|error| PlanError::at(word.span, failed(error)))?
                .words
            {
                let invalid = || {
                    PlanError::at(
                        word.span,
                        PlanErrorKind::InvalidPort {
                            value: port.clone(),
                        },
                    )
                };
                let ports = ports::parse(&port).ok_or_else(invalid)?;
                self.charge(ports.len() * PORT_WEIGHT, word.span)?;
                exposed.extend(ports);
            }
        }
        let created_by = format!("EXPOSE [{}]", exposed.join(" "));
        state.config.exposed_ports.extend(exposed);
        Ok(Outcome::metadata(created_by))
    }

    pub(super) fn volume(&mut self, state: &mut State, words: &[Word]) -> Result<Option<Outcome>> {
        let mut paths = Vec::new();
        for word in words {
            let path = self.expand(state, word)?;
            if path.is_empty() {
                return Err(PlanError::at(word.span, PlanErrorKind::EmptyVolume));
            }
            paths.push(path);
        }
        let created_by = format!("VOLUME [{}]", paths.join(" "));
        state.config.volumes.extend(paths);
        Ok(Outcome::metadata(created_by))
    }

    pub(super) fn stop_signal(
        &mut self,
        state: &mut State,
        word: &Word,
    ) -> Result<Option<Outcome>> {
        let value = self.expand(state, word)?;
        if !signal::is_valid(&value) {
            return Err(PlanError::at(
                word.span,
                PlanErrorKind::InvalidSignal { value },
            ));
        }
        let created_by = format!("STOPSIGNAL {value}");
        state.config.stop_signal = Some(value);
        Ok(Outcome::metadata(created_by))
    }

    pub(super) fn cmd(
        &mut self,
        state: &mut State,
        command: &Command,
        span: Span,
    ) -> Option<Outcome> {
        self.warn_of_second(state.cmd_set, "CMD", span);
        state.cmd_set = true;
        let words = self.command(state, command, "CMD", span);
        let created_by = format!("CMD {}", history::quoted(&words));
        state.config.cmd = Some(words);
        Outcome::metadata(created_by)
    }

    /// A new ENTRYPOINT takes away a CMD that was meant for the base's.
    pub(super) fn entrypoint(
        &mut self,
        state: &mut State,
        command: &Command,
        span: Span,
    ) -> Option<Outcome> {
        self.warn_of_second(state.entrypoint_set, "ENTRYPOINT", span);
        state.entrypoint_set = true;
        let words = self.command(state, command, "ENTRYPOINT", span);
        let created_by = format!("ENTRYPOINT {}", history::quoted(&words));
        state.config.entrypoint = Some(words).filter(|words| !words.is_empty());
        if !state.cmd_set {
            state.config.cmd = None;
        }
        Outcome::metadata(created_by)
    }

    fn command(
        &mut self,
        state: &State,
        command: &Command,
        keyword: &str,
        span: Span,
    ) -> Vec<String> {
        match command {
            Command::Exec(words) => texts(words),
            Command::Shell(word) => {
                if state.config.shell.is_none() {
                    let message = format!(
                        "JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals"
                    );
                    self.warn(Rule::JsonArgsRecommended, span, message);
                }
                state.with_shell(word.text.clone())
            }
        }
    }

    pub(super) fn healthcheck(
        &mut self,
        state: &mut State,
        check: &Healthcheck,
        span: Span,
    ) -> Option<Outcome> {
        self.warn_of_second(state.healthcheck_set, "HEALTHCHECK", span);
        state.healthcheck_set = true;
        let healthcheck = match check {
            Healthcheck::None => kiln_oci::Healthcheck {
                test: vec!["NONE".to_owned()],
                ..Default::default()
            },
            Healthcheck::Command {
                command,
                interval,
                timeout,
                start_period,
                start_interval,
                retries,
            } => {
                let (kind, words) = match command {
                    Command::Exec(words) => ("CMD", texts(words)),
                    Command::Shell(word) => ("CMD-SHELL", vec![word.text.clone()]),
                };
                kiln_oci::Healthcheck {
                    test: std::iter::once(kind.to_owned()).chain(words).collect(),
                    interval: *interval,
                    timeout: *timeout,
                    start_period: *start_period,
                    start_interval: *start_interval,
                    retries: i64::from(*retries),
                }
            }
        };
        let created_by = history::healthcheck(&healthcheck);
        state.config.healthcheck = Some(healthcheck);
        Outcome::metadata(created_by)
    }

    fn warn_of_second(&mut self, already: bool, keyword: &str, span: Span) {
        if already {
            let message = format!(
                "multiple {keyword} instructions should not be used in the same stage: the last one counts"
            );
            self.warn(Rule::MultipleInstructionsDisallowed, span, message);
        }
    }

    fn warn(&mut self, rule: Rule, span: Span, message: String) {
        self.warnings.push(Warning {
            rule,
            span,
            message,
        });
    }
}

pub(super) fn shell(state: &mut State, words: &[Word]) -> Option<Outcome> {
    let words = texts(words);
    let created_by = format!("SHELL [{}]", words.join(" "));
    state.config.shell = Some(words);
    Outcome::metadata(created_by)
}

pub(super) fn maintainer(state: &mut State, author: &Word) -> Option<Outcome> {
    state.author = Some(author.text.clone());
    Outcome::metadata(format!("MAINTAINER {}", author.text))
}

pub(super) fn texts(words: &[Word]) -> Vec<String> {
    words.iter().map(|word| word.text.clone()).collect()
}
