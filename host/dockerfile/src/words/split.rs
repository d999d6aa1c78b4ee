//! Splits text at unquoted white space, keeping every character and where it stood.

use std::ops::Range;

/// Byte ranges of the words of `text`. Quotes and escapes group but stay; nothing is expanded. `None` when a quote
/// does not end.
pub(crate) fn split_raw(text: &str, escape: char) -> Option<Vec<Range<usize>>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut escaped = false;
    for (at, ch) in text.char_indices() {
        if start.is_none() && !ch.is_whitespace() {
            start = Some(at);
        }
        if escaped {
            escaped = false;
        } else if ch == escape && quote != Some('\'') {
            escaped = true;
        } else if quote == Some(ch) {
            quote = None;
        } else if quote.is_none() && (ch == '\'' || ch == '"') {
            quote = Some(ch);
        } else if quote.is_none() && ch.is_whitespace() {
            words.extend(start.take().map(|start| start..at));
        }
    }
    words.extend(start.map(|start| start..text.len()));
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::split_raw;

    #[test]
    fn quotes_and_escapes_keep_words_together() {
        let text = r#"cat <<"A B" a\ b 'c d'e"#;
        let words: Vec<_> = split_raw(text, '\\')
            .unwrap()
            .into_iter()
            .map(|range| &text[range])
            .collect();
        assert_eq!(words, ["cat", r#"<<"A B""#, r"a\ b", "'c d'e"]);
        assert_eq!(split_raw("a 'b", '\\'), None);
    }
}
