//! Template text to nodes. A recursive parser of bounded depth over the lexer's tokens.

use super::Error;
use super::functions::Function;
use super::lexer::{Piece, Token, pieces, unexpected};
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
