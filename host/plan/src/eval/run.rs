//! RUN: the command after shell and heredocs, its variables and mounts.

use kiln_dockerfile::Span;
use kiln_dockerfile::ast::{Command, Heredoc, Run, Word};
use kiln_dockerfile::words::Variables;

use super::{Evaluator, Outcome, State, config, history};
use crate::error::{PlanError, PlanErrorKind};
use crate::graph::{InlineFile, Network, RunStep, Security, StepKind};

/// Where a heredoc that is a program of its own is put.
const INLINE_DIR: &str = "/dev/pipes";

impl Evaluator<'_> {
    pub(super) fn run(
        &mut self,
        state: &State,
        run: &Run,
        span: Span,
    ) -> Result<Outcome, PlanError> {
        let mounts = self.mounts(state, run)?;
        let (argv, files) = command(state, run, span)?;
        let created_by = history::run(state, &argv);
        let argv_len: usize = argv.iter().map(String::len).sum();
        self.charge(argv_len + state.variables.bytes(), span)?;
        let undeclared = self
            .proxies
            .iter()
            .filter(|(name, _)| state.variables.get(name).is_none());
        let step = RunStep {
            argv,
            env: state.variables.to_list(),
            uncached_env: undeclared
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            user: state.config.user.clone(),
            workdir: state.workdir().to_owned(),
            mounts,
            network: network(run.network.as_ref()),
            security: security(run.security.as_ref()),
            files,
        };
        Ok(Outcome {
            kind: StepKind::Run(step),
            created_by,
        })
    }
}

/// The command and the files that it needs.
///
/// Written                 | Becomes
/// ------------------------|-------------------------------------------------------
/// `RUN ["a", "b"]`        | the words
/// `RUN text`              | shell, text
/// `RUN <<EOF`             | shell, the body
/// `RUN <<EOF` with `#!`   | the body as a file, and the shell runs it
/// `RUN cat <<EOF`         | shell, the line with all bodies: the shell reads them
fn command(
    state: &State,
    run: &Run,
    span: Span,
) -> Result<(Vec<String>, Vec<InlineFile>), PlanError> {
    let text = match &run.command {
        Command::Exec(_) if !run.heredocs.is_empty() => {
            return Err(PlanError::at(span, PlanErrorKind::HeredocInExec));
        }
        Command::Exec(words) => return Ok((config::texts(words), Vec::new())),
        Command::Shell(word) => &word.text,
    };
    let Some(heredoc) = run.sole_heredoc() else {
        return Ok((
            state.with_shell(with_bodies(text, &run.heredocs)),
            Vec::new(),
        ));
    };
    let body = heredoc.body();
    if !body.starts_with("#!") {
        return Ok((state.with_shell(body), Vec::new()));
    }
    let path = format!("{INLINE_DIR}/{}", heredoc.name.replace('/', "_"));
    let file = InlineFile {
        path: path.clone(),
        content: body.into_bytes(),
    };
    Ok((state.with_shell(path), vec![file]))
}

/// The line with its heredocs behind it, as they were written.
fn with_bodies(text: &str, heredocs: &[Heredoc]) -> String {
    heredocs.iter().fold(text.to_owned(), |text, heredoc| {
        format!("{text}\n{}{}", heredoc.content, heredoc.name)
    })
}

fn network(word: Option<&Word>) -> Network {
    match word.map(|word| word.text.as_str()) {
        Some("none") => Network::None,
        Some("host") => Network::Host,
        _ => Network::Default,
    }
}

fn security(word: Option<&Word>) -> Security {
    match word.map(|word| word.text.as_str()) {
        Some("insecure") => Security::Insecure,
        _ => Security::Sandbox,
    }
}
