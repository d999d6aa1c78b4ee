//! Evaluates a stage: instruction by instruction, with the variables, directories and shell in force at each.
//!
//! What a stage hands on to one that is built on it: the config, and the variables of ENV and ARG alike; after that the
//! config's ENV is set once more, so it wins over an ARG of the same name in the base stage. That is BuildKit's order.

mod chmod;
mod config;
mod copy;
mod history;
mod mounts;
mod ports;
mod run;
mod signal;
mod state;

use std::collections::BTreeMap;

use kiln_dockerfile::Span;
use kiln_dockerfile::ast::{Instruction, InstructionKind, Word};
use kiln_dockerfile::hint;
use kiln_dockerfile::lint::{Rule, Warning};
use kiln_dockerfile::words::{ExpandError, Expander};
use kiln_oci::ImageConfig;

use crate::error::{PlanError, PlanErrorKind};
use crate::graph::{Base, CopyFrom, PlanRequest, SourceText, Stage, Step, StepKind};
use crate::plan::MAX_TEXT;
use crate::stages::{Draft, DraftBase, Stages};
pub(crate) use state::{State, config_weight};

/// Most warnings of undefined variables; more help nobody.
const MAX_UNDEFINED: usize = 100;

/// Most names that a guess is taken from.
const MAX_COMPARED: usize = 1_000;

/// A finished stage and what it hands on.
pub(crate) struct Evaluated {
    pub stage: Stage,
    state: State,
}

/// Evaluates stages one after the other.
pub(crate) struct Evaluator<'a> {
    expander: Expander,
    request: &'a PlanRequest,
    stages: &'a Stages<'a>,
    /// From number in the Dockerfile to index in the graph.
    indexes: &'a BTreeMap<usize, usize>,
    proxies: Vec<(String, String)>,
    warnings: Vec<Warning>,
    /// Bytes that steps have taken so far, and the work on words.
    text: usize,
    /// Warnings of undefined variables so far.
    undefined: usize,
}

/// What an instruction becomes: nothing, or a step with its history.
struct Outcome {
    kind: StepKind,
    created_by: String,
}

impl Outcome {
    fn metadata(created_by: String) -> Option<Self> {
        Some(Self {
            kind: StepKind::Metadata,
            created_by,
        })
    }
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(
        escape: char,
        request: &'a PlanRequest,
        stages: &'a Stages<'a>,
        indexes: &'a BTreeMap<usize, usize>,
    ) -> Self {
        let proxies = crate::globals::proxies(request);
        Self {
            expander: Expander::new(escape),
            request,
            stages,
            indexes,
            proxies,
            warnings: Vec::new(),
            text: 0,
            undefined: 0,
        }
    }

    pub(crate) fn into_warnings(self) -> Vec<Warning> {
        self.warnings
    }

    /// Evaluates `draft`; `done` are the stages before it, `image` its base image.
    pub(crate) fn stage(
        &mut self,
        draft: &Draft<'_>,
        image: Option<&ImageConfig>,
        done: &[Evaluated],
    ) -> Result<Evaluated, PlanError> {
        let (base, mut state) = self.base(draft, image, done);
        self.charge(state.weight(), draft.instruction.span)?;
        let mut steps = Vec::new();
        for (instruction, on_build) in draft.instructions() {
            let Some(outcome) = self.instruction(&mut state, instruction)? else {
                continue;
            };
            let empty_layer = matches!(outcome.kind, StepKind::Metadata);
            let source = source_text(instruction, on_build);
            self.charge(
                outcome.created_by.len() + source.text.len(),
                instruction.span,
            )?;
            steps.push(Step {
                source,
                kind: outcome.kind,
                created_by: outcome.created_by,
                empty_layer,
            });
        }
        let stage = Stage {
            name: draft.name.clone(),
            ordinal: draft.ordinal,
            base,
            from: source_text(draft.instruction, false),
            steps,
            config: state.finished_config(),
            author: state.author.clone(),
            platform: state.platform.clone(),
        };
        Ok(Evaluated { stage, state })
    }

    fn base(
        &self,
        draft: &Draft<'_>,
        image: Option<&ImageConfig>,
        done: &[Evaluated],
    ) -> (Base, State) {
        let platform = draft
            .platform
            .clone()
            .unwrap_or_else(|| self.request.platform.clone());
        match (&draft.base, image) {
            (DraftBase::Image(name), Some(config)) => {
                let base = Base::Image {
                    name: name.clone(),
                    config: config.clone(),
                };
                (base, State::of_image(config, platform))
            }
            (DraftBase::Stage(ordinal), _) => {
                let index = self.index(*ordinal);
                let inherited = done[index].state.inherited();
                (Base::Stage(index), inherited)
            }
            (DraftBase::Context(name), _) => (
                Base::NamedContext(name.clone()),
                State::of_nothing(platform),
            ),
            (DraftBase::Scratch | DraftBase::Image(_), _) => {
                let platform = self.request.platform.clone();
                (Base::Scratch, State::of_nothing(platform))
            }
        }
    }

    /// Where a needed stage stands in the graph.
    fn index(&self, ordinal: usize) -> usize {
        *self
            .indexes
            .get(&ordinal)
            .expect("a stage that another one needs is in the graph")
    }

    fn instruction(
        &mut self,
        state: &mut State,
        instruction: &Instruction,
    ) -> Result<Option<Outcome>, PlanError> {
        use InstructionKind as Kind;
        match &instruction.kind {
            Kind::Run(run) => self.run(state, run, instruction.span).map(Some),
            Kind::Copy(copy) => self.copy(state, copy).map(Some),
            Kind::Env(pairs) => self.env(state, pairs),
            Kind::Label(pairs) => self.label(state, pairs),
            Kind::Arg(args) => self.arg(state, args),
            Kind::Workdir(path) => self.workdir(state, path),
            Kind::User(user) => self.user(state, user),
            Kind::Expose(ports) => self.expose(state, ports),
            Kind::Volume(paths) => self.volume(state, paths),
            Kind::StopSignal(signal) => self.stop_signal(state, signal),
            Kind::Cmd(command) => Ok(self.cmd(state, command, instruction.span)),
            Kind::Entrypoint(command) => Ok(self.entrypoint(state, command, instruction.span)),
            Kind::Healthcheck(check) => Ok(self.healthcheck(state, check, instruction.span)),
            Kind::Shell(words) => Ok(config::shell(state, words)),
            Kind::Maintainer(author) => Ok(config::maintainer(state, author)),
            Kind::OnBuild(on_build) => {
                state.config.on_build.push(on_build.expression.clone());
                Ok(None)
            }
            Kind::From(_) => Ok(None),
        }
    }

    /// Expands a word of an instruction, and warns of names that nothing sets.
    fn expand(&mut self, state: &State, word: &Word) -> Result<String, PlanError> {
        self.expand_text(state, &word.text, word.span)
    }

    fn expand_text(&mut self, state: &State, text: &str, span: Span) -> Result<String, PlanError> {
        let expanded = self.try_expand(self.expander, state, text, span);
        expanded.map_err(|source| {
            PlanError::at(
                span,
                PlanErrorKind::Expand {
                    word: text.to_owned(),
                    source,
                },
            )
        })
    }

    fn try_expand(
        &mut self,
        rules: Expander,
        state: &State,
        text: &str,
        span: Span,
    ) -> Result<String, ExpandError> {
        let expansion = rules.expand(text, &state.variables)?;
        self.text += expansion.text.len() + expansion.work;
        if self.text > MAX_TEXT {
            return Err(ExpandError::TooExpensive);
        }
        let undefined = expansion
            .unmatched
            .iter()
            .filter(|name| !state.is_declared(name));
        for name in undefined {
            self.warn_of_undefined(state, name, span);
        }
        Ok(expansion.text)
    }

    fn warn_of_undefined(&mut self, state: &State, name: &str, span: Span) {
        if self.undefined == MAX_UNDEFINED {
            return;
        }
        self.undefined += 1;
        let near = hint::closest(name, state.variables.names().take(MAX_COMPARED));
        let meant = near
            .map(|near| format!(" (did you mean ${near}?)"))
            .unwrap_or_default();
        let message = format!("usage of undefined variable `${name}`{meant}");
        self.warnings.push(Warning {
            rule: Rule::UndefinedVar,
            span,
            message,
        });
    }

    /// What a `--from` refers to, in terms of the graph.
    fn copy_from(&self, text: &str, span: Span) -> Result<CopyFrom, PlanError> {
        Ok(match self.stages.reference(text, span)? {
            DraftBase::Scratch => CopyFrom::Scratch,
            DraftBase::Stage(ordinal) => CopyFrom::Stage(self.index(ordinal)),
            DraftBase::Image(name) => CopyFrom::Image(name),
            DraftBase::Context(name) => CopyFrom::NamedContext(name),
        })
    }

    /// Counts what the plan holds.
    fn charge(&mut self, bytes: usize, span: Span) -> Result<(), PlanError> {
        self.text += bytes;
        if self.text > MAX_TEXT {
            return Err(PlanError::at(
                span,
                PlanErrorKind::TooLarge { limit: MAX_TEXT },
            ));
        }
        Ok(())
    }
}

fn source_text(instruction: &Instruction, on_build: bool) -> SourceText {
    let mut text = instruction.text.clone();
    if let InstructionKind::Run(run) = &instruction.kind
        && let Some(heredoc) = run.sole_heredoc()
    {
        let body = heredoc.content.trim();
        let first = body.lines().next().unwrap_or_default();
        let more = if body.lines().nth(1).is_some() {
            "..."
        } else {
            ""
        };
        text = format!("{text} ({first}{more})");
    }
    SourceText {
        span: instruction.span,
        text,
        on_build,
    }
}
