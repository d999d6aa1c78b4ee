//! Flags of an instruction, checked against the table of those that it takes.

use crate::ast::Word;
use crate::error::{ParseError, ParseErrorKind};
use crate::hint;
use crate::source::Span;
use crate::syntax::Statement;

/// What a flag holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlagKind {
    /// `--link`, `--link=true`
    Bool,
    /// `--from=x`, once
    One,
    /// `--mount=x`, any number of times
    Many,
}

/// The flags that were given, each known and well formed.
pub(super) struct Flags {
    given: Vec<(String, Word)>,
}

impl Flags {
    /// Reads the flags of `statement`, which takes those in `known`.
    pub(super) fn read(
        statement: &Statement,
        known: &[(&str, FlagKind)],
    ) -> Result<Self, ParseError> {
        let mut given: Vec<(String, Word)> = Vec::new();
        for word in &statement.flags {
            let written = word.text.strip_prefix("--").unwrap_or(&word.text);
            let (flag, value) = written
                .split_once('=')
                .map_or((written, None), |(flag, value)| (flag, Some(value)));
            let Some((_, kind)) = known.iter().find(|(name, _)| *name == flag) else {
                return Err(unknown(statement, flag, word.span, known));
            };
            if *kind != FlagKind::Many && given.iter().any(|(name, _)| name == flag) {
                let instruction = super::name(statement);
                let kind = ParseErrorKind::DuplicateFlag {
                    instruction,
                    flag: flag.to_owned(),
                };
                return Err(ParseError::new(word.span, kind));
            }
            let text = checked(*kind, flag, value, word.span)?;
            given.push((
                flag.to_owned(),
                Word {
                    text,
                    span: word.value,
                },
            ));
        }
        Ok(Self { given })
    }

    /// The value of a flag that is given at most once; an empty one counts as not given.
    pub(super) fn one(&mut self, flag: &str) -> Option<Word> {
        self.many(flag).pop().filter(|word| !word.text.is_empty())
    }

    /// All values of a flag.
    pub(super) fn many(&mut self, flag: &str) -> Vec<Word> {
        let (wanted, rest) = std::mem::take(&mut self.given)
            .into_iter()
            .partition(|(name, _)| name == flag);
        self.given = rest;
        let wanted: Vec<(String, Word)> = wanted;
        wanted.into_iter().map(|(_, word)| word).collect()
    }

    /// A yes/no flag, `None` when it is not given.
    pub(super) fn boolean(&mut self, flag: &str) -> Option<bool> {
        self.one(flag).map(|word| word.text == "true")
    }
}

/// The value in the form that is kept.
fn checked(
    kind: FlagKind,
    flag: &str,
    value: Option<&str>,
    span: Span,
) -> Result<String, ParseError> {
    let missing = || {
        ParseError::new(
            span,
            ParseErrorKind::MissingFlagValue {
                flag: flag.to_owned(),
            },
        )
    };
    if kind != FlagKind::Bool {
        return value.map(str::to_owned).ok_or_else(missing);
    }
    match value.map(str::to_lowercase).as_deref() {
        None | Some("true") => Ok("true".to_owned()),
        Some("false") => Ok("false".to_owned()),
        Some("") => Err(missing()),
        Some(_) => {
            let value = value.unwrap_or_default().to_owned();
            Err(ParseError::new(
                span,
                ParseErrorKind::InvalidFlagBool {
                    flag: flag.to_owned(),
                    value,
                },
            ))
        }
    }
}

fn unknown(
    statement: &Statement,
    flag: &str,
    span: Span,
    known: &[(&str, FlagKind)],
) -> ParseError {
    let hint = hint::closest(flag, known.iter().map(|(name, _)| *name));
    let kind = ParseErrorKind::UnknownFlag {
        instruction: super::name(statement),
        flag: flag.to_owned(),
    };
    ParseError::new(span, kind).with_hint(hint.map(|name| format!("did you mean --{name}?")))
}
