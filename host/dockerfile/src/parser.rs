//! The walk over a Dockerfile: directives, then one logical line and its heredoc bodies after the other.

use crate::ast::{Dockerfile, Instruction};
use crate::directives::DirectiveReader;
use crate::error::{ParseError, ParseErrorKind};
use crate::lines::{Lines, fold, is_comment};
use crate::lint::{self, Rule, Warning};
use crate::source::{Source, Span};
use crate::syntax::{self, Statement};
use crate::{heredoc, instruction};

/// Largest Dockerfile in bytes. Generated ones reach a few hundred kilobytes.
pub const MAX_SIZE: usize = 8 << 20;

/// Most instructions in one Dockerfile; an image cannot hold nearly as many layers.
pub const MAX_INSTRUCTIONS: usize = 20_000;

/// Most heredocs on one instruction.
const MAX_HEREDOCS: usize = 256;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Parses a Dockerfile.
///
/// # Errors
/// At the first mistake, with its span.
pub fn parse(source: &Source) -> Result<Dockerfile, ParseError> {
    let mut walk = Walk::start(source.text())?;
    let mut instructions = Vec::new();
    while let Some((statement, comments)) = walk.next()? {
        instructions.push(instruction::understand(statement, comments)?);
    }
    if instructions.is_empty() {
        return Err(ParseError::new(
            Span::default(),
            ParseErrorKind::NoInstructions,
        ));
    }
    if let Some(instruction) = instructions
        .iter()
        .find(|instruction| is_damaged(source, instruction))
    {
        return Err(ParseError::new(instruction.span, ParseErrorKind::NotUtf8));
    }
    let mut warnings = walk.warnings;
    warnings.extend(lint::check(&instructions));
    warnings.sort_by_key(|warning| warning.span);
    Ok(Dockerfile {
        source: source.clone(),
        directives: walk.directives.directives,
        instructions,
        warnings,
    })
}

/// Bytes that are no UTF-8 are harmless in a comment and nowhere else.
fn is_damaged(source: &Source, instruction: &Instruction) -> bool {
    source.was_lossy()
        && source
            .slice(instruction.span)
            .contains(char::REPLACEMENT_CHARACTER)
}

/// Parses the instruction that an image's ONBUILD holds. All spans are `place`, as the text is in no file.
///
/// # Errors
/// When it does not parse or is not exactly one instruction.
pub fn parse_trigger(text: &str, place: Span) -> Result<Instruction, ParseError> {
    let at_place = |error: ParseError| ParseError {
        span: place,
        ..error
    };
    let mut walk = Walk::start(text).map_err(at_place)?;
    walk.place = Some(place);
    let many = || ParseError::new(place, ParseErrorKind::NotOneInstruction);
    let (statement, comments) = walk.next().map_err(at_place)?.ok_or_else(many)?;
    if walk.next().map_err(at_place)?.is_some() {
        return Err(many());
    }
    instruction::understand(statement, comments)
}

/// Cuts a Dockerfile into statements, without asking what they mean.
///
/// # Errors
/// At the first line whose shape is wrong.
pub fn statements(source: &Source) -> Result<Vec<Statement>, ParseError> {
    let mut walk = Walk::start(source.text())?;
    let mut statements = Vec::new();
    while let Some((statement, _)) = walk.next()? {
        statements.push(statement);
    }
    if statements.is_empty() {
        return Err(ParseError::new(
            Span::default(),
            ParseErrorKind::NoInstructions,
        ));
    }
    Ok(statements)
}

struct Walk<'a> {
    lines: Lines<'a>,
    directives: DirectiveReader,
    comments: Vec<String>,
    warnings: Vec<Warning>,
    count: usize,
    place: Option<Span>,
}

impl<'a> Walk<'a> {
    fn start(text: &'a str) -> Result<Self, ParseError> {
        if text.len() > MAX_SIZE {
            return Err(ParseError::new(
                Span::default(),
                ParseErrorKind::TooLarge { limit: MAX_SIZE },
            ));
        }
        let start = if text.starts_with(BYTE_ORDER_MARK) {
            BYTE_ORDER_MARK.len_utf8()
        } else {
            0
        };
        Ok(Self {
            lines: Lines::new(text, start),
            directives: DirectiveReader::default(),
            comments: Vec::new(),
            warnings: Vec::new(),
            count: 0,
            place: None,
        })
    }

    /// The next statement and the comments directly above it.
    fn next(&mut self) -> Result<Option<(Statement, Vec<String>)>, ParseError> {
        while let Some(line) = self.lines.next() {
            self.directives.read(line)?;
            let content = line.content().trim_start();
            if is_comment(content) {
                self.comments.push(content[1..].trim().to_owned());
            } else if content.is_empty() {
                self.comments.clear();
            } else {
                return self.statement(line).map(Some);
            }
        }
        Ok(None)
    }

    fn statement(
        &mut self,
        first: crate::lines::Physical<'_>,
    ) -> Result<(Statement, Vec<String>), ParseError> {
        let escape = self.directives.directives.escape;
        let mut folded = fold(first, &mut self.lines, escape);
        folded.place = self.place;
        self.count += 1;
        if self.count > MAX_INSTRUCTIONS {
            let kind = ParseErrorKind::TooManyInstructions {
                limit: MAX_INSTRUCTIONS,
            };
            return Err(ParseError::new(folded.span, kind));
        }
        if let Some(span) = folded.empty_line {
            let message = "empty continuation line found in an instruction".to_owned();
            self.warnings.push(Warning {
                rule: Rule::NoEmptyContinuation,
                span,
                message,
            });
        }
        let mut statement = syntax::cut(&folded, escape)?;
        statement.span = folded.place.unwrap_or(folded.span);
        if statement.takes_heredocs() {
            self.heredocs(&folded, &mut statement)?;
        }
        Ok((statement, std::mem::take(&mut self.comments)))
    }

    fn heredocs(
        &mut self,
        folded: &crate::lines::Folded,
        statement: &mut Statement,
    ) -> Result<(), ParseError> {
        let mut heredocs = heredoc::announced(folded)?;
        if heredocs.len() > MAX_HEREDOCS {
            let kind = ParseErrorKind::TooManyHeredocs {
                limit: MAX_HEREDOCS,
            };
            return Err(ParseError::new(statement.span, kind));
        }
        if let Some(end) = heredoc::read_bodies(&mut heredocs, &mut self.lines)? {
            statement.span.end = statement.span.end.max(end);
        }
        for heredoc in heredocs
            .iter()
            .filter(|heredoc| heredoc.content.contains("\r\n"))
        {
            let message = format!(
                "the body of `{}` has CRLF line ends: a shell takes the CR for part of each line",
                heredoc.name
            );
            self.warnings.push(Warning {
                rule: Rule::HeredocCarriageReturn,
                span: heredoc.mark,
                message,
            });
        }
        if let Some(place) = self.place {
            statement.span = place;
            heredocs
                .iter_mut()
                .for_each(|heredoc| heredoc.body_span = place);
        }
        statement.heredocs = heredocs;
        Ok(())
    }
}
