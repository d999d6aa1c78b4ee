//! Where things are in a Dockerfile: byte spans, and their lines and columns for error excerpts.
//!
//! Spans always refer to the text as it was read, before continuation lines were joined.

/// A half-open range of bytes in the Dockerfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The range `start..end`.
    #[must_use]
    pub const fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// The smallest span that holds both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

/// A place in the text as people count: both from one, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// The text of one Dockerfile together with the starts of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
    line_starts: Vec<u32>,
    lossy: bool,
}

impl Source {
    /// Wraps `text`; `name` is what messages call it, usually the path as the user gave it.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0)
            .chain(ends.map(|(at, _)| at as u32 + 1))
            .collect();
        Self {
            name: name.into(),
            text,
            line_starts,
            lossy: false,
        }
    }

    /// Wraps bytes as they were read. Those that are no UTF-8 become U+FFFD; the parser accepts that in comments.
    #[must_use]
    pub fn from_bytes(name: impl Into<String>, bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let lossy = matches!(text, std::borrow::Cow::Owned(_));
        Self {
            lossy,
            ..Self::new(name, text)
        }
    }

    pub(crate) fn was_lossy(&self) -> bool {
        self.lossy
    }

    /// What messages call this file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text under `span`; empty when the span is not of this file.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.text
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    /// Line and column of the byte `offset`.
    #[must_use]
    pub fn position(&self, offset: u32) -> Position {
        let line = self
            .line_starts
            .partition_point(|start| *start <= offset)
            .max(1);
        let start = self.line_starts[line - 1] as usize;
        let before = self
            .text
            .as_bytes()
            .get(start..offset as usize)
            .unwrap_or_default();
        let column = String::from_utf8_lossy(before).chars().count() as u32 + 1;
        Position {
            line: line as u32,
            column,
        }
    }

    /// First and last line of `span`, from 1.
    #[must_use]
    pub fn lines(&self, span: Span) -> (u32, u32) {
        let last = span.end.saturating_sub(1).max(span.start);
        (self.position(span.start).line, self.position(last).line)
    }

    /// The text of line `number` (from 1) without its end.
    #[must_use]
    pub fn line(&self, number: u32) -> &str {
        let index = (number as usize).saturating_sub(1);
        let Some(&start) = self.line_starts.get(index) else {
            return "";
        };
        let end = self
            .line_starts
            .get(index + 1)
            .map_or(self.text.len(), |next| *next as usize);
        self.text
            .get(start as usize..end)
            .unwrap_or_default()
            .trim_end_matches(['\r', '\n'])
    }

    /// How many lines there are.
    #[must_use]
    pub fn line_count(&self) -> u32 {
        self.line_starts.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = Source::new("Dockerfile", "FROM a\nRUN é x\n");
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(14), Position { line: 2, column: 7 });
        assert_eq!(source.lines(Span::new(0, 8)), (1, 2));
        assert_eq!(source.line(2), "RUN é x");
        assert_eq!(source.line(9), "");
    }
}
