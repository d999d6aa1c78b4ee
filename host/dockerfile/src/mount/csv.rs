//! One record of comma-separated values, as Go's reader takes it.

/// The fields of the first line of `text`; `None` when it is empty or its quotes are wrong.
pub(super) fn fields(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim_start_matches(['\r', '\n']);
    if rest.is_empty() {
        return None;
    }
    let mut fields = Vec::new();
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => plain_field(rest)?,
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return (after.is_empty() || after.starts_with(['\r', '\n'])).then_some(fields),
        }
    }
}

fn plain_field(text: &str) -> Option<(String, &str)> {
    let end = text.find([',', '\r', '\n']).unwrap_or(text.len());
    let (field, rest) = text.split_at(end);
    (!field.contains('"')).then(|| (field.to_owned(), rest))
}

/// After the opening quote; `""` is one quote.
fn quoted_field(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => return Some((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fields;

    #[test]
    fn fields_are_split_and_unquoted() {
        let cases: [(&str, Option<&[&str]>); 8] = [
            ("a,b=c", Some(&["a", "b=c"])),
            ("a,,", Some(&["a", "", ""])),
            (r#"a,"b,""c""",d"#, Some(&["a", "b,\"c\"", "d"])),
            ("a\nb", Some(&["a"])),
            ("", None),
            (r#"a"b"#, None),
            (r#""a"b"#, None),
            (r#""a"#, None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|fields| {
                fields
                    .iter()
                    .map(|field| (*field).to_owned())
                    .collect::<Vec<_>>()
            });
            assert_eq!(fields(text), expected, "{text}");
        }
    }
}
