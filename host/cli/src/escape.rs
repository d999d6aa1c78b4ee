//! Makes text of unknown origin harmless for a terminal: what a Dockerfile, an archive or a RUN says must not be
//! able to move the cursor, change the title, or reorder what the user reads.
//!
//! Invariant: what these functions return holds no control character but those their documentation names, and
//! no character that changes the direction of text.

use unicode_width::UnicodeWidthChar;

/// How many columns a tab stop is from the next.
pub const TAB_WIDTH: usize = 4;

/// Whether a terminal may take `c` for something other than a glyph.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
}

/// Text on one line: every control character is written as an escape, line ends included.
#[must_use]
pub fn line(text: &str) -> String {
    escape(text, |c| c == '\t')
}

/// Text on several lines: as [`line()`], with line feeds kept.
#[must_use]
pub fn lines(text: &str) -> String {
    escape(text, |c| c == '\t' || c == '\n')
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> String {
    if !text.chars().any(|c| is_unsafe(c) && !keep(c)) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if keep(c) || !is_unsafe(c) => out.push(c),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.extend(c.escape_default()),
        }
    }
    out
}

/// One line of a program's output: colours and other escape sequences are dropped, and of text that was
/// overwritten by carriage returns the last stays, as a terminal would show it.
#[must_use]
pub fn output_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\r', '\n']);
    let shown = text
        .rsplit('\r')
        .find(|part| !part.is_empty())
        .unwrap_or_default();
    line(&without_sequences(shown))
}

/// Drops well-formed CSI and OSC sequences; anything else that begins with ESC is left for [`line()`] to escape.
fn without_sequences(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        out.push_str(&rest[..at]);
        let sequence = &rest[at..];
        let length = sequence_length(sequence);
        if length == 0 {
            out.push('\x1b');
            rest = &sequence[1..];
        } else {
            rest = &sequence[length..];
        }
    }
    out.push_str(rest);
    out
}

/// Bytes of the escape sequence at the start of `text`, 0 if it is none that is known. All lengths end at ASCII.
fn sequence_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes.get(1) {
        Some(b'[') => {
            let body = bytes[2..]
                .iter()
                .take_while(|byte| (0x20..=0x3f).contains(*byte))
                .count();
            match bytes.get(2 + body) {
                Some(0x40..=0x7e) => 2 + body + 1,
                _ => 0,
            }
        }
        Some(b']') => match text.find('\x07') {
            Some(end) => end + 1,
            None => text[2..].find("\x1b\\").map_or(0, |end| 2 + end + 2),
        },
        Some(b'(' | b')') => match bytes.get(2) {
            Some(0x20..=0x7e) => 3,
            _ => 0,
        },
        Some(b'=' | b'>' | b'7' | b'8' | b'M' | b'c') => 2,
        _ => 0,
    }
}

/// Columns that `text` takes on a terminal, tabs counted to the next stop from column 0.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars()
        .fold(0, |column, c| column + char_width(c, column))
}

/// Columns that `c` takes when it starts in `column`.
#[must_use]
pub fn char_width(c: char, column: usize) -> usize {
    if c == '\t' {
        TAB_WIDTH - column % TAB_WIDTH
    } else {
        c.width().unwrap_or(0)
    }
}

/// Tabs to spaces, so that what stands above and below a line can be aligned with it.
#[must_use]
pub fn expand_tabs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        let width = char_width(c, column);
        if c == '\t' {
            out.extend(std::iter::repeat_n(' ', width));
        } else {
            out.push(c);
        }
        column += width;
    }
    out
}

/// As much of `text` as fits into `columns`, ended by `…` if something is missing. Tabs are expanded.
#[must_use]
pub fn fit(text: &str, columns: usize) -> String {
    let text = expand_tabs(text);
    if width(&text) <= columns {
        return text;
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let width = char_width(c, used);
        if used + width + 1 > columns {
            break;
        }
        used += width;
        out.push(c);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_visible() {
        assert_eq!(line("a\x1b[2Jb\nc\rd"), "a\\u{1b}[2Jb\\nc\\rd");
        assert_eq!(line("plain ünï\tcode"), "plain ünï\tcode");
        assert_eq!(lines("a\nb\x07"), "a\nb\\u{7}");
    }

    #[test]
    fn text_direction_cannot_be_changed() {
        assert_eq!(line("abc\u{202e}def"), "abc\\u{202e}def");
    }

    #[test]
    fn colours_are_dropped_from_output() {
        assert_eq!(output_line(b"\x1b[1;31merror\x1b[0m: no\r\n"), "error: no");
        assert_eq!(output_line(b"\x1b]0;title\x07text"), "text");
        assert_eq!(output_line(b"\x1b]0;never ended"), "\\u{1b}]0;never ended");
        assert_eq!(output_line(b"\x1b[\xc3\xa4"), "\\u{1b}[\u{e4}");
    }

    #[test]
    fn overwritten_progress_shows_its_last_state() {
        assert_eq!(output_line(b" 10%\r 50%\r100%\r\n"), "100%");
        assert_eq!(output_line(b"\r\r"), "");
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        assert_eq!(output_line(b"a\xffb"), "a\u{fffd}b");
    }

    #[test]
    fn fit_counts_columns_not_characters() {
        assert_eq!(fit("日本語", 6), "日本語");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("abc", 0), "");
        assert_eq!(width("a\tb"), 5);
        assert_eq!(expand_tabs("a\tb"), "a   b");
    }
}
