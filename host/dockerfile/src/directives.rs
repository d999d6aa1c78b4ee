//! Parser directives: `# name=value` lines before anything else.
//!
//! The first line that is no directive ends them, be it a comment, a blank line or an instruction.

use crate::ast::{Directives, Word};
use crate::error::{ParseError, ParseErrorKind};
use crate::lines::Physical;
use crate::source::Span;

/// Reads directives line by line until they end.
#[derive(Default)]
pub(crate) struct DirectiveReader {
    pub directives: Directives,
    done: bool,
    escape_seen: bool,
}

impl DirectiveReader {
    /// Looks at the next line; lines after the end of the directives are ignored.
    pub(crate) fn read(&mut self, line: Physical<'_>) -> Result<(), ParseError> {
        if self.done {
            return Ok(());
        }
        let Some((name, value)) = split(line) else {
            self.done = true;
            return Ok(());
        };
        match name.as_str() {
            "syntax" if self.directives.syntax.is_none() => self.directives.syntax = Some(value),
            "check" if self.directives.check.is_none() => self.directives.check = Some(value),
            "escape" if !self.escape_seen => self.set_escape(&value)?,
            "syntax" | "check" | "escape" => {
                return Err(ParseError::new(
                    line.span(),
                    ParseErrorKind::RepeatedDirective { name },
                ));
            }
            _ => self.done = true,
        }
        Ok(())
    }

    fn set_escape(&mut self, value: &Word) -> Result<(), ParseError> {
        self.escape_seen = true;
        self.directives.escape = match value.text.as_str() {
            "\\" => '\\',
            "`" => '`',
            _ => {
                let kind = ParseErrorKind::InvalidEscape {
                    value: value.text.clone(),
                };
                return Err(ParseError::new(value.span, kind));
            }
        };
        Ok(())
    }
}

/// Name in lower case and value of `# name = value`.
fn split(line: Physical<'_>) -> Option<(String, Word)> {
    let content = line.content();
    let body = content.trim_start().strip_prefix('#')?.trim_start();
    let (name, value) = body.split_once('=')?;
    let name = name.trim_end();
    let value = value.trim();
    let valid = name.starts_with(|ch: char| ch.is_ascii_alphabetic())
        && name.chars().all(|ch| ch.is_ascii_alphanumeric())
        && !value.is_empty();
    let end = line.start + content.trim_end().len();
    let span = Span::new((end - value.len()) as u32, end as u32);
    valid.then(|| {
        (
            name.to_ascii_lowercase(),
            Word {
                text: value.to_owned(),
                span,
            },
        )
    })
}
