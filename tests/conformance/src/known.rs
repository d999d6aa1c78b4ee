//! The list of cases that are known to fail, each with its reason: `known-failures.txt`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::Error;

/// Case and reason.
#[derive(Debug, Default)]
pub struct KnownFailures(BTreeMap<String, String>);

impl KnownFailures {
    /// Reads the kept list.
    pub fn kept() -> Result<Self, Error> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("known-failures.txt");
        let text = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        Self::parse(&text)
    }

    /// Parses lines of `case: reason`; `#` starts a comment.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut list = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once(':') {
                Some((name, reason)) if !reason.trim().is_empty() => {
                    list.insert(name.trim().to_owned(), reason.trim().to_owned());
                }
                _ => return Err(Error::NoReason { line: index + 1 }),
            }
        }
        Ok(Self(list))
    }

    /// Why a case is known to fail.
    pub fn reason(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Listed names that are no case.
    pub fn names_without_case(&self, cases: &[String]) -> Vec<String> {
        self.0
            .keys()
            .filter(|name| !cases.contains(name))
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_without_reason_is_refused() {
        let list = KnownFailures::parse("# why\n\na-case: the reason: in words\n").unwrap();
        assert_eq!(list.reason("a-case"), Some("the reason: in words"));
        assert_eq!(list.reason("other"), None);
        assert!(matches!(
            KnownFailures::parse("x\na-case:\n"),
            Err(Error::NoReason { line: 1 })
        ));
        assert_eq!(list.names_without_case(&["b".to_owned()]), ["a-case"]);
    }

    #[test]
    fn kept_list_parses() {
        KnownFailures::kept().unwrap();
    }
}
