//! The shallow tree: an instruction cut into keyword, flags and arguments, by the shape that its keyword takes.
//!
//! Knows which keyword takes which shape and nothing of what it means; [`crate::instruction`] does that. Quotes,
//! escapes and variables stay in the arguments.

use std::ops::Range;

use crate::ast::{Heredoc, KeyValue, Word};
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
    pub flags: Vec<Word>,
    /// What follows the flags.
    pub arguments: Arguments,
    /// Bodies announced on the line.
    pub heredocs: Vec<Heredoc>,
    /// The joined line.
    pub text: String,
    /// From the keyword to the end.
    pub span: Span,
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
        "arg" => Arguments::Words(quoted_words(rest, escape)),
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
    words.into_iter().map(pair).collect()
}

fn pair(word: Word) -> Result<KeyValue, ParseError> {
    let Some((key, value)) = word.text.split_once('=') else {
        return Err(ParseError::new(
            word.span,
            ParseErrorKind::MissingEquals { word: word.text },
        ));
    };
    let middle = (word.span.start + key.len() as u32).min(word.span.end);
    Ok(KeyValue {
        key: Word {
            text: key.to_owned(),
            span: Span::new(word.span.start, middle),
        },
        value: Word {
            text: value.to_owned(),
            span: Span::new((middle + 1).min(word.span.end), word.span.end),
        },
        legacy: false,
    })
}

/// Cuts at white space outside of quotes; quotes and escapes stay, but for an escape at the very end.
fn quoted_words(piece: &Piece<'_>, escape: char) -> Vec<Word> {
    let mut words = Vec::new();
    let mut current: Option<(usize, String)> = None;
    let mut quote = None;
    let mut finish = |current: &mut Option<(usize, String)>, end: usize| {
        if let Some((start, text)) = current.take().filter(|(_, text)| !text.is_empty()) {
            words.push(Word {
                text,
                span: piece.sub(start..end).span(),
            });
        }
    };
    let mut chars = piece.text().char_indices();
    while let Some((at, ch)) = chars.next() {
        if quote.is_none() && ch.is_whitespace() {
            finish(&mut current, at);
            continue;
        }
        let (_, text) = current.get_or_insert((at, String::new()));
        if ch == escape && quote != Some('\'') {
            if let Some((_, escaped)) = chars.next() {
                text.extend([ch, escaped]);
            }
            continue;
        }
        text.push(ch);
        match quote {
            None if ch == '\'' || ch == '"' => quote = Some(ch),
            Some(open) if ch == open => quote = None,
            _ => {}
        }
    }
    finish(&mut current, piece.text().len());
    words
}

/// Takes leading words that start with `--` off; a lone `--` ends them. Quotes and backslashes are resolved.
fn flags<'a>(piece: &Piece<'a>) -> (Vec<Word>, Piece<'a>) {
    let mut flags = Vec::new();
    let mut rest = piece.trim();
    while rest.text().starts_with("--") {
        let (text, len) = flag(rest.text());
        let span = rest.sub(0..len).span();
        rest = rest.from(len).trim();
        if text == "--" {
            break;
        }
        flags.push(Word { text, span });
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
