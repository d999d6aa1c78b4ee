//! `kiln images --filter`.

use kiln_oci::ImageName;

use super::Row;
use crate::failure::Failure;

/// One condition.
#[derive(Debug, PartialEq, Eq)]
pub enum Filter {
    /// The familiar name, with or without its tag, matches a pattern.
    Reference(String),
    /// The image has no name.
    Dangling(bool),
    /// The image has a label, with this value if one is given.
    Label(String, Option<String>),
}

impl Filter {
    /// Parses `NAME=VALUE`.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = || {
            Failure::usage(format!("--filter `{text}` is not understood"))
                .hint("there are reference=PATTERN, dangling=true|false and label=NAME[=VALUE]")
        };
        let (name, value) = text.split_once('=').ok_or_else(wrong)?;
        match (name, value) {
            ("reference", pattern) => Ok(Self::Reference(pattern.to_owned())),
            ("dangling", "true" | "1") => Ok(Self::Dangling(true)),
            ("dangling", "false" | "0") => Ok(Self::Dangling(false)),
            ("label", label) => {
                let (name, value) = label
                    .split_once('=')
                    .map_or((label, None), |(name, value)| (name, Some(value)));
                Ok(Self::Label(name.to_owned(), value.map(str::to_owned)))
            }
            _ => Err(wrong()),
        }
    }

    /// Whether the row satisfies it.
    pub fn accepts(&self, row: &Row<'_>) -> bool {
        match self {
            Self::Reference(pattern) => row.name.is_some_and(|name| name_matches(pattern, name)),
            Self::Dangling(dangling) => row.name.is_none() == *dangling,
            Self::Label(name, value) => match (row.image.config.config.labels.get(name), value) {
                (Some(found), Some(value)) => found == value,
                (found, None) => found.is_some(),
                (None, Some(_)) => false,
            },
        }
    }
}

/// Docker matches `busybox`, `busybox:uclibc` and `*/busybox` alike: with the tag or without.
fn name_matches(pattern: &str, name: &ImageName) -> bool {
    [name.familiar(), name.familiar_repository()]
        .iter()
        .any(|text| glob(pattern, text))
}

/// `*` is any text without a slash, `?` one character that is no slash. Linear in memory, at most quadratic in time.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut read) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at, read));
                at += 1;
                continue;
            }
            Some('?') if text[read] != '/' => {}
            Some(c) if *c == text[read] => {}
            _ => match retry {
                // The star takes one character more.
                Some((star, from)) if text[from] != '/' => {
                    retry = Some((star, from + 1));
                    (at, read) = (star + 1, from + 1);
                    continue;
                }
                _ => return false,
            },
        }
        at += 1;
        read += 1;
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_dockers() {
        assert_eq!(
            Filter::parse("dangling=true").ok(),
            Some(Filter::Dangling(true))
        );
        assert_eq!(
            Filter::parse("reference=a*").ok(),
            Some(Filter::Reference("a*".into()))
        );
        assert_eq!(
            Filter::parse("label=a=b=c").ok(),
            Some(Filter::Label("a".into(), Some("b=c".into())))
        );
        for text in ["dangling", "dangling=maybe", "before=x", ""] {
            assert!(Filter::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn references_match_with_and_without_their_tag() {
        let name = ImageName::parse("example.com/team/app:v1").expect("name");
        for (pattern, matches) in [
            ("example.com/team/app", true),
            ("example.com/team/app:v1", true),
            ("example.com/team/app:v2", false),
            ("*/*/app", true),
            ("*/app", false),
            ("*/*/*:v?", true),
            ("*", false),
            ("app", false),
        ] {
            assert_eq!(name_matches(pattern, &name), matches, "{pattern}");
        }
        assert!(glob("a*b*c", "aXbYbZc"));
        assert!(!glob(&"*a".repeat(50), &"b".repeat(1000)));
    }
}
