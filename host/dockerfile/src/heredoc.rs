//! Heredocs: finding `<<NAME` in an instruction and reading the bodies that follow it.

use crate::ast::{Heredoc, Word};
use crate::error::{ParseError, ParseErrorKind};
use crate::lines::{Folded, Lines};
use crate::source::Span;
use crate::words::{Expander, NoVariables, split_raw};

/// The escape character in heredoc words is always this one, whatever the directive says.
const ESCAPE: char = '\\';

/// The heredocs that `line` announces, in order, bodies still empty.
pub(crate) fn announced(line: &Folded) -> Result<Vec<Heredoc>, ParseError> {
    if !line.text.contains("<<") {
        return Ok(Vec::new());
    }
    let words = split_raw(&line.text, ESCAPE).unwrap_or_default();
    let words = words.into_iter().map(|range| Word {
        text: line.text[range.clone()].to_owned(),
        span: line.span_of(range),
    });
    words.filter_map(|word| mark(&word).transpose()).collect()
}

/// Reads `word` as `[fd]<<[-]NAME`.
pub(crate) fn mark(word: &Word) -> Result<Option<Heredoc>, ParseError> {
    let digits = word.text.find(|ch: char| !ch.is_ascii_digit()).unwrap_or(0);
    let (descriptor, rest) = word.text.split_at(digits);
    let Some(rest) = rest.strip_prefix("<<") else {
        return Ok(None);
    };
    let strip_tabs = rest.starts_with('-');
    let rest = rest.strip_prefix('-').unwrap_or(rest);
    if rest.is_empty() || rest.contains('<') {
        return Ok(None);
    }
    let unquote = Expander {
        keep_unset: true,
        ..Expander::new(ESCAPE)
    };
    let keep = Expander {
        keep_quotes: true,
        ..unquote
    };
    let expand = |rules: Expander| {
        let expanded = rules.expand(rest, &NoVariables);
        expanded.map_err(|_| ParseError::new(word.span, ParseErrorKind::HeredocName))
    };
    let [name] = expand(unquote)?.words.try_into().unwrap_or_default();
    if name.is_empty() {
        return Ok(None);
    }
    let quoted = expand(keep)?.text;
    Ok(Some(Heredoc {
        expand: quotes(&quoted) == quotes(&name),
        name,
        strip_tabs,
        descriptor: descriptor.parse().unwrap_or(0),
        content: String::new(),
        mark: word.span,
        body_span: Span::default(),
    }))
}

fn quotes(text: &str) -> usize {
    text.matches(['\'', '"']).count()
}

/// Reads the bodies of `heredocs` from the lines after the instruction; returns where the last terminator ends.
pub(crate) fn read_bodies(
    heredocs: &mut [Heredoc],
    lines: &mut Lines<'_>,
) -> Result<Option<u32>, ParseError> {
    let mut end = None;
    for heredoc in heredocs {
        let mut span: Option<Span> = None;
        loop {
            let Some(line) = lines.next() else {
                let kind = ParseErrorKind::UnterminatedHeredoc {
                    name: heredoc.name.clone(),
                };
                return Err(ParseError::new(heredoc.mark, kind));
            };
            let content = line.content();
            let candidate = if heredoc.strip_tabs {
                content.trim_start_matches('\t')
            } else {
                content
            };
            if candidate == heredoc.name {
                let start = line.start as u32;
                heredoc.body_span = span.unwrap_or(Span::new(start, start));
                end = Some(line.span().end);
                break;
            }
            heredoc.content.push_str(line.raw);
            let whole = Span::new(line.start as u32, (line.start + line.raw.len()) as u32);
            span = Some(span.map_or(whole, |span| span.to(whole)));
        }
    }
    Ok(end)
}
