//! `COPY` and `ADD`.

use super::flags::{FlagKind, Flags};
use crate::ast::{Copy, CopySource, InstructionKind, Word};
use crate::error::{ParseError, ParseErrorKind};
use crate::heredoc;
use crate::syntax::{Arguments, Statement};

const COPY_FLAGS: &[(&str, FlagKind)] = &[
    ("from", FlagKind::One),
    ("chown", FlagKind::One),
    ("chmod", FlagKind::One),
    ("link", FlagKind::Bool),
    ("parents", FlagKind::Bool),
    ("exclude", FlagKind::Many),
];

const ADD_FLAGS: &[(&str, FlagKind)] = &[
    ("chown", FlagKind::One),
    ("chmod", FlagKind::One),
    ("link", FlagKind::Bool),
    ("exclude", FlagKind::Many),
    ("checksum", FlagKind::One),
    ("keep-git-dir", FlagKind::Bool),
    ("unpack", FlagKind::Bool),
];

pub(super) fn copy(statement: Statement) -> Result<InstructionKind, ParseError> {
    read(statement, false, COPY_FLAGS)
}

pub(super) fn add(statement: Statement) -> Result<InstructionKind, ParseError> {
    read(statement, true, ADD_FLAGS)
}

fn read(
    statement: Statement,
    add: bool,
    known: &[(&str, FlagKind)],
) -> Result<InstructionKind, ParseError> {
    let mut flags = Flags::read(&statement, known)?;
    let (sources, destination) = sources_and_destination(&statement)?;
    Ok(InstructionKind::Copy(Copy {
        add,
        sources,
        destination,
        from: flags.one("from"),
        chown: flags.one("chown"),
        chmod: flags.one("chmod"),
        link: flags.boolean("link").unwrap_or(false),
        parents: flags.boolean("parents").unwrap_or(false),
        exclude: flags.many("exclude"),
        checksum: flags.one("checksum"),
        keep_git_dir: flags.boolean("keep-git-dir"),
        unpack: flags.boolean("unpack"),
    }))
}

fn sources_and_destination(statement: &Statement) -> Result<(Vec<CopySource>, Word), ParseError> {
    let missing = || {
        let kind = ParseErrorKind::MissingDestination {
            instruction: super::name(statement),
        };
        ParseError::new(statement.span, kind)
    };
    let (words, json) = match &statement.arguments {
        Arguments::Words(words) => (words, false),
        Arguments::Json(words) => (words, true),
        _ => return Err(missing()),
    };
    let Some((destination, sources)) = words
        .split_last()
        .filter(|(_, sources)| !sources.is_empty())
    else {
        return Err(missing());
    };
    if !json && heredoc::mark(destination)?.is_some() {
        let kind = ParseErrorKind::HeredocDestination {
            instruction: super::name(statement),
        };
        return Err(ParseError::new(destination.span, kind));
    }
    let source = |word| source(word, statement, json);
    Ok((
        sources.iter().map(source).collect::<Result<_, _>>()?,
        destination.clone(),
    ))
}

fn source(word: &Word, statement: &Statement, json: bool) -> Result<CopySource, ParseError> {
    let mark = if json { None } else { heredoc::mark(word)? };
    let named = |name: &str| {
        statement
            .heredocs
            .iter()
            .rfind(|heredoc| heredoc.name == name)
    };
    let heredoc = mark.and_then(|mark| named(&mark.name).cloned());
    Ok(heredoc.map_or_else(|| CopySource::Path(word.clone()), CopySource::Heredoc))
}
