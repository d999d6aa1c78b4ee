//! The shallow tree: an instruction cut into keyword, flags and arguments, by the shape that its keyword takes.
//!
//! Knows which keyword takes which shape and nothing of what it means; [`crate::instruction`] does that. Quotes,
//! escapes and variables stay in the arguments.

use std::ops::Range;

use crate::ast::{Arg, Heredoc, KeyValue, Word};
use crate::error::{ParseError, ParseErrorKind};
use crate::json::{self, Json};
use crate::lines::Folded;
use crate::source::Span;

/// One instruction, cut but not yet understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// As written.
    pub keyword: Word,
    /// `--name=value`, quotes removed.
    pub flags: Vec<Flag>,
    /// What follows the flags.
    pub arguments: Arguments,
    /// Bodies announced on the line.
    pub heredocs: Vec<Heredoc>,
    /// The joined line.
    pub text: String,
    /// From the keyword to the end.
    pub span: Span,
}

/// A flag of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// `--name=value`, quotes removed.
    pub text: String,
    /// All of it.
    pub span: Span,
    /// The part after `=`, quotes included; empty at the end when there is none.
    pub value: Span,
}

/// The shapes of arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arguments {
    /// Nothing, or an unknown keyword's.
    None,
    /// All of it as one piece.
    Text(Word),
    /// Cut at white space.
    Words(Vec<Word>),
    /// The JSON form.
    Json(Vec<Word>),
    /// `ARG`.
    Declarations(Vec<Arg>),
    /// `ENV` and `LABEL`.
    Pairs(Vec<KeyValue>),
    /// `HEALTHCHECK`: a word and the command after it.
    Health(Word, Box<Arguments>),
    /// `ONBUILD`.
    Nested(Box<Statement>),
}

impl Statement {
    /// True when heredocs may follow: RUN, COPY and ADD, not in JSON form, also under ONBUILD.
    pub(crate) fn takes_heredocs(&self) -> bool {
        match &self.arguments {
            Arguments::Nested(inner) => inner.takes_heredocs(),
            Arguments::Json(_) => false,
            _ => matches!(
                self.keyword.text.to_ascii_lowercase().as_str(),
                "run" | "copy" | "add"
            ),
        }
    }
}

/// A part of a folded line.
#[derive(Clone)]
struct Piece<'a> {
    line: &'a Folded,
    range: Range<usize>,
}

impl<'a> Piece<'a> {
    fn text(&self) -> &'a str {
        &self.line.text[self.range.clone()]
    }

    fn sub(&self, range: Range<usize>) -> Self {
        Self {
            line: self.line,
            range: self.range.start + range.start..self.range.start + range.end,
        }
    }

    fn from(&self, start: usize) -> Self {
        self.sub(start..self.text().len())
    }

    fn trim(&self) -> Self {
        let text = self.text();
        let start = text.len() - text.trim_start().len();
        self.sub(start..start + text.trim().len())
    }

    fn span(&self) -> Span {
        self.line.span_of(self.range.clone())
    }

    fn word(&self) -> Word {
        Word {
            text: self.text().to_owned(),
            span: self.span(),
        }
    }

    /// Up to the first blank, and what follows the blanks.
    fn split_blank(&self) -> (Self, Option<Self>) {
        let text = self.text();
        match text.find(is_blank) {
            None => (self.clone(), None),
            Some(end) => {
                let rest = text[end..]
                    .find(|ch| !is_blank(ch))
                    .map_or(text.len(), |skip| end + skip);
                (self.sub(0..end), Some(self.from(rest)))
            }
        }
    }
}

/// White space between words of an instruction.
fn is_blank(ch: char) -> bool {
    matches!(ch, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// Cuts a folded line.
pub(crate) fn cut(line: &Folded, escape: char) -> Result<Statement, ParseError> {
    statement(
        Piece {
            line,
            range: 0..line.text.len(),
        },
        escape,
        false,
    )
}

fn statement(piece: Piece<'_>, escape: char, nested: bool) -> Result<Statement, ParseError> {
    let piece = piece.trim();
    let (keyword, rest) = piece.split_blank();
    let rest = rest.unwrap_or_else(|| piece.from(piece.text().len()));
    let (flags, rest) = flags(&rest);
    let rest = rest.trim();
    let name = keyword.text().to_ascii_lowercase();
    if nested && name == "onbuild" {
        return Err(ParseError::new(
            keyword.span(),
            ParseErrorKind::OnBuildChained,
        ));
    }
    Ok(Statement {
        arguments: arguments(&name, &rest, escape)?,
        keyword: keyword.word(),
        flags,
        heredocs: Vec::new(),
        text: piece.text().to_owned(),
        span: piece.span(),
    })
}

fn arguments(keyword: &str, rest: &Piece<'_>, escape: char) -> Result<Arguments, ParseError> {
    if rest.text().is_empty() {
        return Ok(Arguments::None);
    }
    Ok(match keyword {
        "add" | "copy" | "volume" => match json_form(rest)? {
            Some(words) => Arguments::Json(words),
            None => Arguments::Words(blank_separated(rest)),
        },
        "cmd" | "entrypoint" | "run" | "shell" => text_or_json(rest)?,
        "expose" | "from" => Arguments::Words(blank_separated(rest)),
        "arg" => Arguments::Declarations(declarations(rest, escape)),
        "env" | "label" => Arguments::Pairs(pairs(keyword, rest, escape)?),
        "maintainer" | "stopsignal" | "user" | "workdir" => Arguments::Text(rest.word()),
        "healthcheck" => health(rest)?,
        "onbuild" => Arguments::Nested(Box::new(statement(rest.clone(), escape, true)?)),
        _ => Arguments::None,
    })
}

fn json_form(piece: &Piece<'_>) -> Result<Option<Vec<Word>>, ParseError> {
    match json::string_array(piece.text()) {
        Json::Not => Ok(None),
        Json::NotStrings => Err(ParseError::new(
            piece.span(),
            ParseErrorKind::JsonNotStrings,
        )),
        Json::Strings(items) => {
            let word = |(text, range)| Word {
                text,
                span: piece.sub(range).span(),
            };
            Ok(Some(items.into_iter().map(word).collect()))
        }
    }
}

fn text_or_json(piece: &Piece<'_>) -> Result<Arguments, ParseError> {
    Ok(match json_form(piece)? {
        Some(words) => Arguments::Json(words),
        None if piece.text().is_empty() => Arguments::None,
        None => Arguments::Text(piece.word()),
    })
}

fn blank_separated(piece: &Piece<'_>) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = Some(piece.clone());
    while let Some(piece) = rest {
        let (word, next) = piece.split_blank();
        words.push(word.word());
        rest = next;
    }
    words
}

fn health(piece: &Piece<'_>) -> Result<Arguments, ParseError> {
    let text = piece.text();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let command = text_or_json(&piece.from(end).trim())?;
    Ok(Arguments::Health(
        piece.sub(0..end).word(),
        Box::new(command),
    ))
}

/// A word with its quotes and escapes, and its bytes in the piece that it was cut from.
struct Quoted {
    text: String,
    range: Range<usize>,
}

impl Quoted {
    fn word(&self, piece: &Piece<'_>) -> Word {
        Word {
            text: self.text.clone(),
            span: piece.sub(self.range.clone()).span(),
        }
    }

    /// The words before and after the first `=`.
    fn split(&self, piece: &Piece<'_>) -> Option<(Word, Word)> {
        let (name, value) = self.text.split_once('=')?;
        let equals = self.range.start + name.len();
        let word = |text: &str, range| Word {
            text: text.to_owned(),
            span: piece.sub(range).span(),
        };
        Some((
            word(name, self.range.start..equals),
            word(value, equals + 1..self.range.end),
        ))
    }
}

/// `name=value …`, or the old form `name value` when the first word has no `=`.
fn pairs(keyword: &str, piece: &Piece<'_>, escape: char) -> Result<Vec<KeyValue>, ParseError> {
    let words = quoted_words(piece, escape);
    if words.first().is_none_or(|word| !word.text.contains('=')) {
        let (key, Some(value)) = piece.split_blank() else {
            let kind = ParseErrorKind::KeyWithoutValue {
                instruction: keyword.to_ascii_uppercase(),
            };
            return Err(ParseError::new(piece.span(), kind));
        };
        return Ok(vec![KeyValue {
            key: key.word(),
            value: value.word(),
            legacy: true,
        }]);
    }
    let pair = |word: &Quoted| match word.split(piece) {
        Some((key, value)) => Ok(KeyValue {
            key,
            value,
            legacy: false,
        }),
        None => {
            let Word { text, span } = word.word(piece);
            Err(ParseError::new(
                span,
                ParseErrorKind::MissingEquals { word: text },
            ))
        }
    };
    words.iter().map(pair).collect()
}

/// `name[=default] …`
fn declarations(piece: &Piece<'_>, escape: char) -> Vec<Arg> {
    let declaration = |word: &Quoted| match word.split(piece) {
        Some((name, default)) => Arg {
            name,
            default: Some(default),
        },
        None => Arg {
            name: word.word(piece),
            default: None,
        },
    };
    quoted_words(piece, escape)
        .iter()
        .map(declaration)
        .collect()
}

/// Cuts at white space outside of quotes; quotes and escapes stay, but for an escape at the very end.
fn quoted_words(piece: &Piece<'_>, escape: char) -> Vec<Quoted> {
    let mut words = Vec::new();
    let mut current: Option<Quoted> = None;
    let mut quote = None;
    let mut chars = piece.text().char_indices();
    while let Some((at, ch)) = chars.next() {
        if quote.is_none() && ch.is_whitespace() {
            words.extend(current.take());
            continue;
        }
        let word = current.get_or_insert_with(|| Quoted {
            text: String::new(),
            range: at..at,
        });
        let mut push = |at: usize, ch: char| {
            word.text.push(ch);
            word.range.end = at + ch.len_utf8();
        };
        if ch == escape && quote != Some('\'') {
            if let Some((next, escaped)) = chars.next() {
                push(at, ch);
                push(next, escaped);
            }
            continue;
        }
        push(at, ch);
        match quote {
            None if ch == '\'' || ch == '"' => quote = Some(ch),
            Some(open) if ch == open => quote = None,
            _ => {}
        }
    }
    words.extend(current.take());
    words.retain(|word| !word.text.is_empty());
    words
}

/// Takes leading words that start with `--` off; a lone `--` ends them. Quotes and backslashes are resolved.
fn flags<'a>(piece: &Piece<'a>) -> (Vec<Flag>, Piece<'a>) {
    let mut flags = Vec::new();
    let mut rest = piece.trim();
    while rest.text().starts_with("--") {
        let (text, len) = flag(rest.text());
        let written = rest.sub(0..len);
        rest = rest.from(len).trim();
        if text == "--" {
            break;
        }
        let equals = written.text().find('=').map_or(len, |at| at + 1);
        flags.push(Flag {
            text,
            span: written.span(),
            value: written.from(equals).span(),
        });
    }
    (flags, rest)
}

/// The first word of `text` with quotes and backslashes resolved, and its length as written.
fn flag(text: &str) -> (String, usize) {
    let mut out = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, ch)) = chars.next() {
        match quote {
            None if ch.is_whitespace() => return (out, at),
            None if ch == '\'' || ch == '"' => quote = Some(ch),
            Some(open) if ch == open => quote = None,
            _ if ch == '\\' => out.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => out.push(ch),
        }
    }
    (out, text.len())
}
