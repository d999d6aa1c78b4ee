//! The instructions that are a list of words and little more.

use super::flags::{FlagKind, Flags};
use crate::ast::{From, InstructionKind, KeyValue, Word};
use crate::error::{ParseError, ParseErrorKind};
use crate::syntax::{Arguments, Statement};

const FROM_FLAGS: &[(&str, FlagKind)] = &[("platform", FlagKind::One)];

pub(super) fn from(statement: Statement) -> Result<InstructionKind, ParseError> {
    let mut flags = Flags::read(&statement, FROM_FLAGS)?;
    let platform = flags.one("platform");
    let Arguments::Words(words) = statement.arguments else {
        return Err(ParseError::new(
            statement.span,
            ParseErrorKind::FromArguments,
        ));
    };
    let (image, as_word, name) = match <[Word; 3]>::try_from(words) {
        Ok([image, as_word, name]) if as_word.text.eq_ignore_ascii_case("as") => {
            (image, Some(as_word), Some(name))
        }
        Ok(_) => {
            return Err(ParseError::new(
                statement.span,
                ParseErrorKind::FromArguments,
            ));
        }
        Err(words) => match <[Word; 1]>::try_from(words) {
            Ok([image]) => (image, None, None),
            Err(_) => {
                return Err(ParseError::new(
                    statement.span,
                    ParseErrorKind::FromArguments,
                ));
            }
        },
    };
    if let Some(name) = name.as_ref().filter(|name| !is_stage_name(&name.text)) {
        let kind = ParseErrorKind::InvalidStageName {
            name: name.text.clone(),
        };
        return Err(ParseError::new(name.span, kind));
    }
    Ok(InstructionKind::From(From {
        platform,
        image,
        as_word,
        name,
    }))
}

fn is_stage_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && chars.all(|ch| ch.is_ascii_alphanumeric() || matches!(ch, '-' | '_' | '.'))
}

/// Exactly one argument, which may hold blanks.
pub(super) fn one(statement: Statement) -> Result<Word, ParseError> {
    let statement = super::without_flags(statement)?;
    match statement.arguments {
        Arguments::Text(word) => Ok(word),
        _ => {
            let kind = ParseErrorKind::ExactlyOneArgument {
                instruction: super::name(&statement),
            };
            Err(ParseError::new(statement.span, kind))
        }
    }
}

/// One or more words.
pub(super) fn words(statement: Statement) -> Result<Vec<Word>, ParseError> {
    let statement = super::without_flags(statement)?;
    match statement.arguments {
        Arguments::Words(words) | Arguments::Json(words) if !words.is_empty() => Ok(words),
        _ => Err(super::missing_arguments(&statement)),
    }
}

pub(super) fn volume(statement: Statement) -> Result<InstructionKind, ParseError> {
    let mut paths = words(statement)?;
    for path in &mut paths {
        path.text = path.text.trim().to_owned();
        if path.text.is_empty() {
            return Err(ParseError::new(path.span, ParseErrorKind::EmptyVolume));
        }
    }
    Ok(InstructionKind::Volume(paths))
}

pub(super) fn pairs(statement: Statement) -> Result<Vec<KeyValue>, ParseError> {
    let statement = super::without_flags(statement)?;
    let Arguments::Pairs(pairs) = statement.arguments else {
        return Err(super::missing_arguments(&statement));
    };
    if let Some(pair) = pairs.iter().find(|pair| pair.key.text.is_empty()) {
        let kind = ParseErrorKind::BlankName {
            instruction: statement.keyword.text.to_ascii_uppercase(),
        };
        return Err(ParseError::new(pair.key.span.to(pair.value.span), kind));
    }
    Ok(pairs)
}

pub(super) fn arg(statement: Statement) -> Result<InstructionKind, ParseError> {
    let statement = super::without_flags(statement)?;
    let Arguments::Declarations(args) = statement.arguments else {
        return Err(super::missing_arguments(&statement));
    };
    if let Some(arg) = args.iter().find(|arg| arg.name.text.is_empty()) {
        let span = arg
            .default
            .as_ref()
            .map_or(arg.name.span, |default| arg.name.span.to(default.span));
        let kind = ParseErrorKind::BlankName {
            instruction: "ARG".to_owned(),
        };
        return Err(ParseError::new(span, kind));
    }
    Ok(InstructionKind::Arg(args))
}

pub(super) fn shell(statement: Statement) -> Result<InstructionKind, ParseError> {
    let statement = super::without_flags(statement)?;
    match statement.arguments {
        Arguments::Json(words) if !words.is_empty() => Ok(InstructionKind::Shell(words)),
        Arguments::Text(word) => Err(ParseError::new(word.span, ParseErrorKind::ShellNotJson)),
        _ => Err(super::missing_arguments(&statement)),
    }
}
