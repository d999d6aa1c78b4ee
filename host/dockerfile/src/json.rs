//! The JSON form of arguments: an array of strings, with the place of each.
//!
//! Text that is no JSON is not an error here: the instruction then takes it as plain words.

use std::ops::Range;

/// Deepest nesting that is looked through before the text counts as no JSON.
const MAX_DEPTH: usize = 64;

/// What a text turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Json {
    /// No JSON array.
    Not,
    /// An array with something else than strings.
    NotStrings,
    /// Strings, each with its byte range in the text, quotes included.
    Strings(Vec<Item>),
}

/// Reads `text` as a JSON array of strings.
pub(crate) fn string_array(text: &str) -> Json {
    let mut reader = Reader {
        bytes: text.as_bytes(),
        text,
        at: 0,
    };
    match reader.array() {
        Some(items) if reader.rest_is_blank() => {
            let strings: Option<Vec<_>> = items.into_iter().collect();
            strings.map_or(Json::NotStrings, Json::Strings)
        }
        _ => Json::Not,
    }
}

/// A string and its byte range.
type Item = (String, Range<usize>);

struct Reader<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn skip_blanks(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn rest_is_blank(&mut self) -> bool {
        self.skip_blanks();
        self.at == self.bytes.len()
    }

    /// The next byte that is not blank, not yet taken.
    fn peek(&mut self) -> Option<u8> {
        self.skip_blanks();
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    /// The outer array; items that are not strings are `None`.
    fn array(&mut self) -> Option<Vec<Option<Item>>> {
        let mut items = Vec::new();
        self.take(b'[')?;
        if self.take(b']').is_some() {
            return Some(items);
        }
        loop {
            if self.peek()? == b'"' {
                let start = self.at;
                let string = self.string()?;
                items.push(Some((string, start..self.at)));
            } else {
                self.value(0)?;
                items.push(None);
            }
            if self.take(b',').is_none() {
                self.take(b']')?;
                return Some(items);
            }
        }
    }

    /// Passes over any value.
    fn value(&mut self, depth: usize) -> Option<()> {
        if depth == MAX_DEPTH {
            return None;
        }
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'[' => self.sequence(b'[', b']', depth, false),
            b'{' => self.sequence(b'{', b'}', depth, true),
            _ => self.scalar(),
        }
    }

    fn sequence(&mut self, open: u8, close: u8, depth: usize, keys: bool) -> Option<()> {
        self.take(open)?;
        if self.take(close).is_some() {
            return Some(());
        }
        loop {
            if keys {
                (self.peek()? == b'"').then_some(())?;
                self.string()?;
                self.take(b':')?;
            }
            self.value(depth + 1)?;
            if self.take(b',').is_none() {
                return self.take(close);
            }
        }
    }

    fn scalar(&mut self) -> Option<()> {
        let rest = &self.text[self.at..];
        let len = rest
            .find([',', ']', '}', ' ', '\t', '\r', '\n'])
            .unwrap_or(rest.len());
        let word = &rest[..len];
        let valid = matches!(word, "true" | "false" | "null") || is_number(word);
        valid.then(|| self.at += len)
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut out = String::new();
        loop {
            let ch = self.text[self.at..].chars().next()?;
            self.at += ch.len_utf8();
            match ch {
                '"' => return Some(out),
                '\\' => out.push(self.escaped()?),
                ch if (ch as u32) < 0x20 => return None,
                ch => out.push(ch),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(match byte {
            b'"' | b'\\' | b'/' => byte as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return None,
        })
    }

    /// After `\u`: one UTF-16 unit or a pair; half of a pair becomes U+FFFD.
    fn unicode(&mut self) -> Option<char> {
        let first = self.hex4()?;
        if let Some(ch) = char::from_u32(first) {
            return Some(ch);
        }
        if first < 0xdc00 && self.bytes[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                return char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
            }
            self.at = back;
        }
        Some(char::REPLACEMENT_CHARACTER)
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        let all_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        all_hex
            .then(|| u32::from_str_radix(digits, 16).ok())
            .flatten()
    }
}

fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let integer = digits
        .find(|ch: char| !ch.is_ascii_digit())
        .unwrap_or(digits.len());
    let leading_zero = integer > 1 && digits.starts_with('0');
    let ends_in_digit = digits.ends_with(|ch: char| ch.is_ascii_digit());
    integer > 0 && !leading_zero && ends_in_digit && word.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_strings_are_told_from_other_text() {
        let strings = |text| match string_array(text) {
            Json::Strings(items) => items.into_iter().map(|(item, _)| item).collect::<Vec<_>>(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(
            strings(r#" ["a", "b\n\u00e9\ud83d\ude00\ud800"] "#),
            ["a", "b\né😀\u{fffd}"]
        );
        assert_eq!(strings("[]"), Vec::<String>::new());
        for text in [
            "[1]",
            "[null]",
            r#"["a", ["b"]]"#,
            r#"[{"a": [1, -2.5e3]}]"#,
        ] {
            assert_eq!(string_array(text), Json::NotStrings, "{text}");
        }
        for text in [
            "",
            "a",
            "['a']",
            r#"["a" "b"]"#,
            r#"["a",]"#,
            r#"["a"] x"#,
            r#"["a"#,
            "[01]",
            r#"["\q"]"#,
        ] {
            assert_eq!(string_array(text), Json::Not, "{text}");
        }
        assert_eq!(string_array(&"[".repeat(100_000)), Json::Not);
    }

    #[test]
    fn strings_know_their_place() {
        let text = r#"["a", "bc"]"#;
        let Json::Strings(items) = string_array(text) else {
            panic!()
        };
        assert_eq!(&text[items[1].1.clone()], "\"bc\"");
    }
}
