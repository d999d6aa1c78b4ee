//! Statements to instructions: what each keyword takes, and what it means.

mod flags;
mod health;
mod simple;
mod sources;

use crate::ast::{Command, Instruction, InstructionKind, OnBuild, Run, Word};
use crate::error::{ParseError, ParseErrorKind};
use crate::hint;
use crate::mount::MountFlag;
use crate::syntax::{Arguments, Statement};
use flags::{FlagKind, Flags};

/// Every keyword, for hints.
const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

const RUN_FLAGS: &[(&str, FlagKind)] = &[
    ("mount", FlagKind::Many),
    ("network", FlagKind::One),
    ("security", FlagKind::One),
];

/// Gives `statement` its meaning.
pub(crate) fn understand(
    statement: Statement,
    comments: Vec<String>,
) -> Result<Instruction, ParseError> {
    let keyword = statement.keyword.clone();
    let (span, text) = (statement.span, statement.text.clone());
    let kind = match keyword.text.to_ascii_uppercase().as_str() {
        "FROM" => simple::from(statement)?,
        "RUN" => run(statement)?,
        "COPY" => sources::copy(statement)?,
        "ADD" => sources::add(statement)?,
        "CMD" => InstructionKind::Cmd(command(without_flags(statement)?)),
        "ENTRYPOINT" => InstructionKind::Entrypoint(command(without_flags(statement)?)),
        "ENV" => InstructionKind::Env(simple::pairs(statement)?),
        "LABEL" => InstructionKind::Label(simple::pairs(statement)?),
        "ARG" => simple::arg(statement)?,
        "EXPOSE" => InstructionKind::Expose(simple::words(statement)?),
        "VOLUME" => simple::volume(statement)?,
        "USER" => InstructionKind::User(simple::one(statement)?),
        "WORKDIR" => InstructionKind::Workdir(simple::one(statement)?),
        "STOPSIGNAL" => InstructionKind::StopSignal(simple::one(statement)?),
        "MAINTAINER" => InstructionKind::Maintainer(simple::one(statement)?),
        "HEALTHCHECK" => health::healthcheck(statement)?,
        "SHELL" => simple::shell(statement)?,
        "ONBUILD" => on_build(statement)?,
        _ => {
            let kind = ParseErrorKind::UnknownInstruction {
                keyword: keyword.text.clone(),
            };
            let hint = hint::did_you_mean(&keyword.text, KEYWORDS);
            return Err(ParseError::new(keyword.span, kind).with_hint(hint));
        }
    };
    Ok(Instruction {
        span,
        keyword,
        text,
        comments,
        kind,
    })
}

/// The keyword in upper case, for messages.
fn name(statement: &Statement) -> String {
    statement.keyword.text.to_ascii_uppercase()
}

fn missing_arguments(statement: &Statement) -> ParseError {
    let kind = ParseErrorKind::MissingArguments {
        instruction: name(statement),
    };
    ParseError::new(statement.span, kind)
}

/// Refuses all flags.
fn without_flags(statement: Statement) -> Result<Statement, ParseError> {
    Flags::read(&statement, &[])?;
    Ok(statement)
}

/// The arguments as a command; none at all are an empty text for the shell.
fn command(statement: Statement) -> Command {
    let span = statement.keyword.span;
    command_of(statement.arguments).unwrap_or(Command::Shell(Word {
        text: String::new(),
        span,
    }))
}

fn command_of(arguments: Arguments) -> Option<Command> {
    match arguments {
        Arguments::Json(words) => Some(Command::Exec(words)),
        Arguments::Text(word) => Some(Command::Shell(word)),
        _ => None,
    }
}

fn run(mut statement: Statement) -> Result<InstructionKind, ParseError> {
    let mut flags = Flags::read(&statement, RUN_FLAGS)?;
    let mut mounts = Vec::new();
    for word in flags.many("mount") {
        let span = word.span;
        let mount = MountFlag::parse(word)
            .map_err(|error| ParseError::new(span, ParseErrorKind::Mount(error)))?;
        mounts.push(mount);
    }
    let network = flags.one("network");
    if let Some(word) = network
        .as_ref()
        .filter(|word| !matches!(word.text.as_str(), "default" | "none" | "host"))
    {
        let kind = ParseErrorKind::InvalidNetwork {
            value: word.text.clone(),
        };
        return Err(ParseError::new(word.span, kind));
    }
    let security = flags.one("security");
    if let Some(word) = security
        .as_ref()
        .filter(|word| !matches!(word.text.as_str(), "sandbox" | "insecure"))
    {
        let kind = ParseErrorKind::InvalidSecurity {
            value: word.text.clone(),
        };
        return Err(ParseError::new(word.span, kind));
    }
    let heredocs = std::mem::take(&mut statement.heredocs);
    Ok(InstructionKind::Run(Run {
        command: command(statement),
        mounts,
        network,
        security,
        heredocs,
    }))
}

fn on_build(statement: Statement) -> Result<InstructionKind, ParseError> {
    let statement = without_flags(statement)?;
    let Arguments::Nested(mut inner) = statement.arguments else {
        return Err(missing_arguments(&statement));
    };
    if let trigger @ ("FROM" | "MAINTAINER") = name(&inner).as_str() {
        let kind = ParseErrorKind::OnBuildTrigger {
            instruction: trigger.to_owned(),
        };
        return Err(ParseError::new(inner.keyword.span, kind));
    }
    let written = &statement.text[statement.keyword.text.len()..];
    let mut expression = written.trim_start().to_owned();
    for heredoc in &statement.heredocs {
        expression = format!("{expression}\n{}{}", heredoc.content, heredoc.name);
    }
    inner.heredocs = statement.heredocs;
    inner.span.end = inner.span.end.max(statement.span.end);
    let instruction = Box::new(understand(*inner, Vec::new())?);
    Ok(InstructionKind::OnBuild(OnBuild {
        expression,
        instruction,
    }))
}
