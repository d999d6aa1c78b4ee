//! Template text to pieces, and an action's text to tokens.

use super::Error;

/// A token of an action.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    Path(Vec<String>),
    Variable(String, Vec<String>),
    Word(String),
    Text(String),
    Number(i64),
    Open,
    Close(Vec<String>),
    Pipe,
    Comma,
    Define,
}

/// A stretch of a template.
pub enum Piece {
    /// Text as it stands.
    Text(String),
    /// What stands between `{{` and `}}`.
    Action { source: String, tokens: Vec<Token> },
}

/// Splits text from actions and applies `{{-` and `-}}`.
pub fn pieces(text: &str) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim_next = false;
    while let Some(at) = rest.find("{{") {
        let (mut before, action) = (&rest[..at], &rest[at + 2..]);
        let (source, after) = split_action(action).ok_or_else(|| Error::Unclosed {
            text: rest[at..].chars().take(40).collect(),
        })?;
        if trim_next {
            before = before.trim_start();
        }
        let trimmed = source
            .strip_prefix("- ")
            .or_else(|| (source == "-").then_some(""));
        if trimmed.is_some() {
            before = before.trim_end();
        }
        let source = trimmed.unwrap_or(source);
        let end_trimmed = source.strip_suffix(" -");
        trim_next = end_trimmed.is_some();
        let source = end_trimmed.unwrap_or(source).trim();
        pieces.push(Piece::Text(before.to_owned()));
        if !(source.starts_with("/*") && source.ends_with("*/")) {
            pieces.push(Piece::Action {
                source: source.to_owned(),
                tokens: tokens(source)?,
            });
        }
        rest = after;
    }
    pieces.push(Piece::Text(
        if trim_next { rest.trim_start() } else { rest }.to_owned(),
    ));
    Ok(pieces)
}

/// The text up to `}}` outside quotes, and what follows.
fn split_action(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match quote {
            None if text[at..].starts_with("}}") => return Some((&text[..at], &text[at + 2..])),
            None if c == '"' || c == '`' => quote = Some(c),
            Some('"') if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            _ => {}
        }
    }
    None
}

fn tokens(source: &str) -> Result<Vec<Token>, Error> {
    let mut tokens = Vec::new();
    let mut rest = source.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => {
                let (path, length) = path(&rest[1..]);
                (Token::Close(path), 1 + length)
            }
            '|' => (Token::Pipe, 1),
            ',' => (Token::Comma, 1),
            ':' if rest.starts_with(":=") => (Token::Define, 2),
            '"' | '`' => quoted(rest).ok_or_else(|| unexpected(rest, source))?,
            '.' => {
                let (path, length) = path(rest);
                if path.is_empty() {
                    (Token::Path(path), 1)
                } else {
                    (Token::Path(path), length)
                }
            }
            '$' => {
                let name = word(&rest[1..]);
                let (path, length) = path(&rest[1 + name.len()..]);
                (
                    Token::Variable(name.to_owned(), path),
                    1 + name.len() + length,
                )
            }
            '-' | '0'..='9' => {
                let digits = rest[1..]
                    .find(|c: char| !c.is_ascii_digit())
                    .map_or(rest.len(), |end| end + 1);
                let number = rest[..digits]
                    .parse()
                    .map_err(|_| unexpected(&rest[..digits], source))?;
                (Token::Number(number), digits)
            }
            c if c.is_alphabetic() || c == '_' => {
                (Token::Word(word(rest).to_owned()), word(rest).len())
            }
            c => return Err(unexpected(&c.to_string(), source)),
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn word(text: &str) -> &str {
    &text[..text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len())]
}

/// `.A.B` at the start of `text`: the names, and the bytes they take.
fn path(text: &str) -> (Vec<String>, usize) {
    let mut names = Vec::new();
    let mut length = 0;
    while let Some(rest) = text[length..].strip_prefix('.') {
        let name = word(rest);
        if name.is_empty() {
            break;
        }
        names.push(name.to_owned());
        length += 1 + name.len();
    }
    (names, length)
}

fn quoted(text: &str) -> Option<(Token, usize)> {
    if let Some(raw) = text.strip_prefix('`') {
        let end = raw.find('`')?;
        return Some((Token::Text(raw[..end].to_owned()), end + 2));
    }
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((Token::Text(out), at + 1)),
            '\\' => out.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            }),
            c => out.push(c),
        }
    }
    None
}

/// A mistake in an action.
pub fn unexpected(found: &str, action: &str) -> Error {
    Error::Unexpected {
        found: found.to_owned(),
        action: action.to_owned(),
    }
}
