//! The lines of a Dockerfile that an error is about, with the place marked.
//!
//! ```text
//!   --> Dockerfile:12:6             --> Dockerfile:3:1
//!    |                               |
//! 12 | COPY dist/app /usr/bin/app   3 > RUN make \
//!    |      ^^^^^^^^                4 >     && make install
//!    |                               |
//! ```
//!
//! One line is underlined; several are marked at their start. Works on bytes, since a Dockerfile that is not UTF-8 must be
//! shown too. Control characters are escaped and tabs expanded before the marks are aligned.

use std::ops::Range;

use crate::escape;

/// Lines of a long span that are shown at its start, and at its end.
const FIRST_LINES: usize = 8;
const LAST_LINES: usize = 2;

/// Columns of one line that are shown; a longer one is cut around the mark.
const MAX_COLUMNS: usize = 160;

/// Renders the excerpt for `span` of `text`.
#[must_use]
pub fn render(name: &str, text: &[u8], span: Range<usize>) -> String {
    let start = span.start.min(text.len());
    let end = trimmed_end(text, start, span.end.min(text.len()));
    let first = line_of(text, start);
    let last = line_of(text, end.saturating_sub(1).max(start));
    let line_start = start_of_line(text, first);
    let column = characters(&text[line_start..start]) + 1;

    let gutter = (last + 1).to_string().len();
    let blank = " ".repeat(gutter);
    let mut out = format!(
        "{blank}--> {}:{}:{column}\n{blank} |\n",
        escape::line(name),
        first + 1
    );
    if first == last {
        let line = line_at(text, first);
        let (shown, mark) = marked(line, start - line_start, end.max(start) - line_start);
        out += &format!("{:>gutter$} | {shown}\n{blank} | {mark}\n", first + 1);
    } else {
        for number in first..=last {
            if number - first >= FIRST_LINES && last - number >= LAST_LINES {
                if number - first == FIRST_LINES {
                    out += &format!("{blank} > ...\n");
                }
                continue;
            }
            let line = escape::expand_tabs(&escape::line(&String::from_utf8_lossy(line_at(
                text, number,
            ))));
            out += &format!(
                "{:>gutter$} > {}\n",
                number + 1,
                escape::fit(&line, MAX_COLUMNS)
            );
        }
    }
    out + &format!("{blank} |\n")
}

/// The end of the span without line ends and spaces: they are not what is wrong.
fn trimmed_end(text: &[u8], start: usize, end: usize) -> usize {
    let span = text.get(start..end).unwrap_or_default();
    start + span.trim_ascii_end().len()
}

fn line_of(text: &[u8], at: usize) -> usize {
    text[..at].iter().filter(|byte| **byte == b'\n').count()
}

fn start_of_line(text: &[u8], number: usize) -> usize {
    match number {
        0 => 0,
        _ => {
            let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            ends.map(|(at, _)| at + 1)
                .nth(number - 1)
                .unwrap_or(text.len())
        }
    }
}

fn line_at(text: &[u8], number: usize) -> &[u8] {
    let rest = &text[start_of_line(text, number)..];
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn characters(bytes: &[u8]) -> usize {
    String::from_utf8_lossy(bytes).chars().count()
}

/// A line as it is shown, and the line of marks below it for the bytes `from..to`.
fn marked(line: &[u8], from: usize, to: usize) -> (String, String) {
    let (from, to) = (from.min(line.len()), to.min(line.len()));
    let shown = |bytes: &[u8]| escape::line(&String::from_utf8_lossy(bytes));
    let before = shown(&line[..from]);
    let marked = shown(&line[from..to]);
    let whole = format!("{before}{marked}{}", shown(&line[to..]));
    let indent = escape::width(&before);
    let length = escape::width(&format!("{before}{marked}"))
        .saturating_sub(indent)
        .max(1);
    let expanded = escape::expand_tabs(&whole);
    if escape::width(&expanded) <= MAX_COLUMNS {
        return (
            expanded,
            format!("{}{}", " ".repeat(indent), "^".repeat(length)),
        );
    }
    // Too long: leave out whole characters before the mark until it is in sight.
    let skip_to = indent.saturating_sub(MAX_COLUMNS / 2);
    let mut skipped = 0;
    let tail: String = expanded
        .chars()
        .skip_while(|c| {
            let skip = skipped < skip_to;
            skipped += if skip { escape::char_width(*c, 0) } else { 0 };
            skip
        })
        .collect();
    let lead = if skipped > 0 { "…" } else { "" };
    let indent = indent - skipped + escape::width(lead);
    let length = length.min(MAX_COLUMNS.saturating_sub(indent)).max(1);
    let shown = escape::fit(&format!("{lead}{tail}"), MAX_COLUMNS);
    (
        shown,
        format!("{}{}", " ".repeat(indent), "^".repeat(length)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Renders with the first occurrence of `needle` as the span.
    fn excerpt(text: &str, needle: &str) -> String {
        let start = text.find(needle).expect("needle is in the text");
        render("Dockerfile", text.as_bytes(), start..start + needle.len())
    }

    #[test]
    fn one_line_is_underlined() {
        let text = format!("{}COPY dist/app /usr/bin/app\nRUN x\n", "#\n".repeat(11));
        insta::assert_snapshot!(excerpt(&text, "dist/app"), @r"
          --> Dockerfile:12:6
           |
        12 | COPY dist/app /usr/bin/app
           |      ^^^^^^^^
           |
        ");
    }

    #[test]
    fn several_lines_are_marked_at_their_start() {
        insta::assert_snapshot!(excerpt("FROM a\nRUN x \\\n  && y\nCMD z\n", "RUN x \\\n  && y\n"), @r"
         --> Dockerfile:2:1
          |
        2 > RUN x \
        3 >   && y
          |
        ");
    }

    #[test]
    fn long_spans_leave_out_their_middle() {
        let text = (1..=30).map(|n| format!("line {n}\n")).collect::<String>();
        let shown = render("f", text.as_bytes(), 0..text.len());
        assert!(
            shown.contains(" 8 > line 8\n   > ...\n29 > line 29\n30 > line 30\n"),
            "{shown}"
        );
        assert!(!shown.contains("line 9\n"), "{shown}");
    }

    #[test]
    fn marks_stand_below_wide_characters_and_tabs() {
        let shown = excerpt("COPY\t日本 x\n", "x");
        assert_eq!(shown.lines().nth(2), Some("1 | COPY    日本 x"));
        assert_eq!(shown.lines().nth(3), Some("  |              ^"));
        assert_eq!(shown.lines().next(), Some(" --> Dockerfile:1:9"));
    }

    #[test]
    fn hostile_text_is_harmless() {
        let shown = excerpt("RUN \x1b[31mred\r\n", "red");
        assert_eq!(shown.lines().nth(2), Some("1 | RUN \\u{1b}[31mred"));
        assert_eq!(shown.lines().nth(3), Some("  |               ^^^"));
        let bytes = b"COPY \xff\xfe /\n";
        assert!(render("f", bytes, 5..7).contains("| COPY \u{fffd}\u{fffd} /\n  |      ^^\n"));
    }

    #[test]
    fn any_span_can_be_shown() {
        for (text, span) in [
            ("", 0..0),
            ("", 5..9),
            ("a", 1..1),
            ("a\n", 2..2),
            ("a\nb", 3..3),
            ("ab", std::ops::Range { start: 2, end: 1 }),
        ] {
            assert!(
                render("f", text.as_bytes(), span.clone()).contains("^"),
                "{text:?} {span:?}"
            );
        }
    }

    #[test]
    fn a_very_long_line_is_cut_around_the_mark() {
        let text = format!("RUN {} wrong {}", "a".repeat(1000), "b".repeat(1000));
        let shown = excerpt(&text, "wrong");
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[2].chars().count() < 170);
        let at = lines[3].find('^').expect("a mark");
        let marked: String = lines[2].chars().skip(at).take(5).collect();
        assert_eq!(marked, "wrong");
    }
}
