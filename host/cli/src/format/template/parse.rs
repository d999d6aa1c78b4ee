//! Template text to nodes. A hand-written lexer of one action's text, and a recursive parser of bounded depth.

use super::Error;
use super::functions::Function;
use crate::format::Value;

/// Deepest nesting of blocks and parentheses. Nobody writes this many; recursion must end somewhere.
const MAX_DEPTH: usize = 64;

/// A piece of a template.
#[derive(Debug)]
pub enum Node {
    /// Text as it stands.
    Text(String),
    /// `{{pipeline}}`.
    Print(Pipeline),
    /// `{{$name := pipeline}}`.
    Assign(String, Pipeline),
    /// `{{if}}`.
    If(Pipeline, Vec<Node>, Vec<Node>),
    /// `{{with}}`.
    With(Pipeline, Vec<Node>, Vec<Node>),
    /// `{{range $key, $value := pipeline}}`.
    Range {
        variables: Vec<String>,
        over: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

/// Commands, each of which gets the result of the one before as its last argument.
pub type Pipeline = Vec<Vec<Operand>>;

/// A word of a command.
#[derive(Debug)]
pub enum Operand {
    /// `.A.B`, or `.` when empty.
    Field(Vec<String>),
    /// `$name.A`; the empty name is the data at the start.
    Variable(String, Vec<String>),
    /// Text, number, true, false or nil.
    Literal(Value),
    /// A function.
    Function(Function),
    /// `( pipeline ).A`.
    Group(Pipeline, Vec<String>),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
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

/// Reads a whole template.
pub fn parse(text: &str) -> Result<Vec<Node>, Error> {
    let pieces = pieces(text)?;
    let mut parser = Parser {
        pieces: pieces.into_iter(),
        depth: 0,
    };
    let (nodes, end) = parser.block()?;
    match end {
        None => Ok(nodes),
        Some(end) => Err(Error::Unbalanced {
            word: end.word.to_owned(),
        }),
    }
}

enum Piece {
    Text(String),
    Action { source: String, tokens: Vec<Token> },
}

/// Splits text from actions and applies `{{-` and `-}}`.
fn pieces(text: &str) -> Result<Vec<Piece>, Error> {
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

fn unexpected(found: &str, action: &str) -> Error {
    Error::Unexpected {
        found: found.to_owned(),
        action: action.to_owned(),
    }
}

/// What ended a block: `end`, or `else` with the rest of its action.
struct BlockEnd {
    word: &'static str,
    source: String,
    rest: Vec<Token>,
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    depth: usize,
}

impl Parser {
    fn block(&mut self) -> Result<(Vec<Node>, Option<BlockEnd>), Error> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (source, mut tokens) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action { source, tokens } => (source, tokens),
            };
            let keyword = match tokens.first() {
                Some(Token::Word(word)) => word.clone(),
                _ => String::new(),
            };
            match keyword.as_str() {
                "end" => {
                    return Ok((
                        nodes,
                        Some(BlockEnd {
                            word: "end",
                            source,
                            rest: tokens.split_off(1),
                        }),
                    ));
                }
                "else" => {
                    return Ok((
                        nodes,
                        Some(BlockEnd {
                            word: "else",
                            source,
                            rest: tokens.split_off(1),
                        }),
                    ));
                }
                "if" | "with" | "range" => {
                    nodes.push(self.opened(&keyword, &source, &tokens[1..])?)
                }
                _ => nodes.push(plain(&source, &tokens)?),
            }
        }
        Ok((nodes, None))
    }

    /// A block that was just opened by `keyword`, up to its end.
    fn opened(&mut self, keyword: &str, source: &str, tokens: &[Token]) -> Result<Node, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::TooDeep);
        }
        let (variables, tokens) = if keyword == "range" {
            variables(tokens)
        } else {
            (Vec::new(), tokens)
        };
        let subject = pipeline(source, tokens)?;
        let (body, end) = self.block()?;
        let lonely = || Error::Unbalanced {
            word: keyword.to_owned(),
        };
        let end = end.ok_or_else(lonely)?;
        let otherwise = match end.word {
            "end" => Vec::new(),
            _ => match end.rest.split_first() {
                Some((Token::Word(word), rest)) if word == "if" || word == "with" => {
                    vec![self.opened(word, &end.source, rest)?]
                }
                Some(_) => return Err(unexpected("else", &end.source)),
                None => {
                    let (otherwise, end) = self.block()?;
                    match end {
                        Some(end) if end.word == "end" => otherwise,
                        _ => return Err(lonely()),
                    }
                }
            },
        };
        self.depth -= 1;
        Ok(match keyword {
            "if" => Node::If(subject, body, otherwise),
            "with" => Node::With(subject, body, otherwise),
            _ => Node::Range {
                variables,
                over: subject,
                body,
                otherwise,
            },
        })
    }
}

/// `$a, $b := ` at the start of a range.
fn variables(tokens: &[Token]) -> (Vec<String>, &[Token]) {
    match tokens {
        [Token::Variable(one, _), Token::Define, rest @ ..] => (vec![one.clone()], rest),
        [
            Token::Variable(one, _),
            Token::Comma,
            Token::Variable(two, _),
            Token::Define,
            rest @ ..,
        ] => (vec![one.clone(), two.clone()], rest),
        _ => (Vec::new(), tokens),
    }
}

fn plain(source: &str, tokens: &[Token]) -> Result<Node, Error> {
    match tokens {
        [Token::Variable(name, _), Token::Define, rest @ ..] => {
            Ok(Node::Assign(name.clone(), pipeline(source, rest)?))
        }
        _ => Ok(Node::Print(pipeline(source, tokens)?)),
    }
}

fn pipeline(source: &str, tokens: &[Token]) -> Result<Pipeline, Error> {
    let mut tokens = tokens.iter();
    let (pipeline, closed) = commands(source, &mut tokens, 0)?;
    match closed {
        None => Ok(pipeline),
        Some(_) => Err(unexpected(")", source)),
    }
}

/// Commands up to the end or a closing parenthesis, whose path is returned.
fn commands<'t>(
    source: &str,
    tokens: &mut std::slice::Iter<'t, Token>,
    depth: usize,
) -> Result<(Pipeline, Option<&'t [String]>), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep);
    }
    let mut pipeline = vec![Vec::new()];
    let mut closed = None;
    for_tokens(source, tokens, depth, &mut pipeline, &mut closed)?;
    if pipeline.iter().any(Vec::is_empty) {
        return Err(unexpected("", source));
    }
    Ok((pipeline, closed))
}

fn for_tokens<'t>(
    source: &str,
    tokens: &mut std::slice::Iter<'t, Token>,
    depth: usize,
    pipeline: &mut Pipeline,
    closed: &mut Option<&'t [String]>,
) -> Result<(), Error> {
    while let Some(token) = tokens.next() {
        let operand = match token {
            Token::Path(path) => Operand::Field(path.clone()),
            Token::Variable(name, path) => Operand::Variable(name.clone(), path.clone()),
            Token::Text(text) => Operand::Literal(Value::from(text.as_str())),
            Token::Number(number) => Operand::Literal(Value::Number(*number)),
            Token::Word(word) => match word.as_str() {
                "true" => Operand::Literal(Value::Bool(true)),
                "false" => Operand::Literal(Value::Bool(false)),
                "nil" => Operand::Literal(Value::Absent("<nil>")),
                name => Operand::Function(Function::named(name)?),
            },
            Token::Open => {
                let (inner, path) = commands(source, tokens, depth + 1)?;
                let path = path.ok_or_else(|| unexpected("(", source))?;
                Operand::Group(inner, path.to_vec())
            }
            Token::Close(path) => {
                *closed = Some(path);
                return Ok(());
            }
            Token::Pipe => {
                pipeline.push(Vec::new());
                continue;
            }
            Token::Comma => return Err(unexpected(",", source)),
            Token::Define => return Err(unexpected(":=", source)),
        };
        pipeline
            .last_mut()
            .expect("starts with one command")
            .push(operand);
    }
    Ok(())
}
