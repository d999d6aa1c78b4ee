//! Physical lines to logical lines: comments dropped, continuations joined, every byte still traceable.
//!
//! ```text
//! RUN a \        folded: "RUN a   b"
//! # comment      pieces: (0 → offset of "RUN a "), (6 → offset of "  b")
//!   b
//! ```
//!
//! White space before a continued line is kept, as BuildKit keeps it; the first line loses its own.

use crate::source::Span;

/// Walks over the physical lines of a text.
pub(crate) struct Lines<'a> {
    text: &'a str,
    at: usize,
}

/// A physical line: its text with the line end, and where it starts.
#[derive(Clone, Copy)]
pub(crate) struct Physical<'a> {
    pub start: usize,
    pub raw: &'a str,
}

impl<'a> Physical<'a> {
    /// The text without `\r` and `\n` at the end.
    pub(crate) fn content(&self) -> &'a str {
        self.raw.trim_end_matches(['\r', '\n'])
    }

    pub(crate) fn span(&self) -> Span {
        Span::new(
            self.start as u32,
            (self.start + self.content().len()) as u32,
        )
    }
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    pub(crate) fn next(&mut self) -> Option<Physical<'a>> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let len = rest.find('\n').map_or(rest.len(), |newline| newline + 1);
        let line = Physical {
            start: self.at,
            raw: &rest[..len],
        };
        self.at += len;
        Some(line)
    }
}

/// Instruction text on one line, which remembers where each part of it came from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folded {
    /// The joined text.
    pub text: String,
    /// `(offset in text, offset in the source)`, ascending.
    pieces: Vec<(usize, usize)>,
    /// From the first to the last physical line.
    pub span: Span,
    /// Empty lines in between, which BuildKit warns about.
    pub empty_line: Option<Span>,
    /// Stands for every span when the text is in no file.
    pub place: Option<Span>,
}

impl Folded {
    fn push(&mut self, text: &str, source: usize) {
        self.pieces.push((self.text.len(), source));
        self.text.push_str(text);
    }

    fn source_offset(&self, offset: usize) -> usize {
        let index = self.pieces.partition_point(|(start, _)| *start <= offset);
        let (start, source) = index
            .checked_sub(1)
            .map_or((0, 0), |index| self.pieces[index]);
        source + (offset - start)
    }

    /// The span in the source of the bytes `range` of [`Folded::text`].
    pub(crate) fn span_of(&self, range: std::ops::Range<usize>) -> Span {
        if let Some(place) = self.place {
            return place;
        }
        let start = self.source_offset(range.start);
        let end = if range.is_empty() {
            start
        } else {
            self.source_offset(range.end - 1) + 1
        };
        Span::new(start as u32, end as u32)
    }
}

/// True for a line that holds only a comment.
pub(crate) fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// Joins `first` with the lines that it continues on.
pub(crate) fn fold(first: Physical<'_>, lines: &mut Lines<'_>, escape: char) -> Folded {
    let content = first.content();
    let text = content.trim_start();
    let start = first.start + (content.len() - text.len());
    let mut folded = Folded {
        span: Span::new(start as u32, first.span().end),
        ..Folded::default()
    };
    let (text, mut more) = continued(text, escape);
    folded.push(text, start);
    while more {
        let Some(line) = lines.next() else { break };
        let content = line.content();
        if is_comment(content) {
            continue;
        }
        if content.trim_start().is_empty() {
            folded.empty_line.get_or_insert(line.span());
            continue;
        }
        let (text, again) = continued(content, escape);
        folded.push(text, line.start);
        folded.span.end = line.span().end;
        more = again;
    }
    folded
}

/// Takes a continuation character off the end: the escape character as the last one that is not a blank, unless
/// another one stands before it.
fn continued(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(rest) if !rest.ends_with(escape) => (rest, true),
        _ => (line, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_text_maps_back_to_the_source() {
        let source = "  RUN a \\\n# no\n\n  b \\  \n\tc\nEND";
        let mut lines = Lines::new(source, 0);
        let first = lines.next().unwrap();
        let folded = fold(first, &mut lines, '\\');
        assert_eq!(folded.text, "RUN a   b \tc");
        assert!(folded.empty_line.is_some());
        let at = folded.text.find('b').unwrap();
        let span = folded.span_of(at..folded.text.len());
        assert_eq!(
            &source[span.start as usize..span.end as usize],
            "b \\  \n\tc"
        );
        assert_eq!(lines.next().unwrap().raw, "END");
    }

    #[test]
    fn doubled_escape_does_not_continue() {
        assert_eq!(continued(r"a \\", '\\'), (r"a \\", false));
        assert_eq!(continued("a ` ", '`'), ("a ", true));
        assert_eq!(continued("\\", '\\'), ("", true));
    }
}
