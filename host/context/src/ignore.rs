//! `.dockerignore`: which paths of a context a build does not see, and which line says so.
//!
//! Lines are read as Docker reads them: comments start in the first column, blanks around a pattern go, a pattern is
//! cleaned as a path, a leading '/' means nothing, `!` brings back what earlier lines took. The last line that matches
//! a path or one of its folders decides.

use crate::glob::{Glob, GlobError};
use crate::path::clean;

/// Most bytes of a file that are read. Real ones have a few hundred.
const MAX_BYTES: usize = 1 << 20;
/// Most rules. Each one is tried on each path.
const MAX_RULES: usize = 10_000;

/// A `.dockerignore`, or the patterns of a `--exclude`, cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    /// The file is larger than any real one.
    #[error("more than {MAX_BYTES} bytes")]
    TooLarge,
    /// There are more rules than any real file has.
    #[error("more than {MAX_RULES} rules")]
    TooManyRules,
    /// A pattern is malformed.
    #[error("line {line}: `{text}`")]
    Pattern {
        /// Line, from 1.
        line: u32,
        /// The line as written.
        text: String,
        /// What is wrong with it.
        #[source]
        source: GlobError,
    },
    /// A `!` with nothing behind it.
    #[error("line {line}: `!` needs a pattern")]
    LoneExclamation {
        /// Line, from 1.
        line: u32,
    },
}

/// A rule, to be shown to the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRef {
    /// Line in the file, from 1.
    pub line: u32,
    /// The line as written, without blanks around it.
    pub text: String,
}

#[derive(Debug, Clone)]
struct Rule {
    line: u32,
    text: Vec<u8>,
    brings_back: bool,
    glob: Glob,
}

/// Which rules matched a folder: what its entries start from.
#[derive(Debug, Clone, Default)]
pub struct MatchState(Option<Vec<bool>>);

/// The rules of one `.dockerignore`.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
    any_brings_back: bool,
}

impl Ignore {
    /// Rules that exclude nothing.
    pub fn none() -> Ignore {
        Ignore::default()
    }

    /// Read the bytes of a `.dockerignore`.
    pub fn parse(bytes: &[u8]) -> Result<Ignore, IgnoreError> {
        if bytes.len() > MAX_BYTES {
            return Err(IgnoreError::TooLarge);
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut ignore = Ignore::default();
        for (index, line) in bytes.split(|&b| b == b'\n').enumerate() {
            if !line.starts_with(b"#") {
                ignore.add(index as u32 + 1, trim(line), true)?;
            }
        }
        Ok(ignore)
    }

    /// Take patterns from a command line, in order; `line` of a rule is its place in the list, from 1.
    pub fn from_patterns<'a>(
        patterns: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Ignore, IgnoreError> {
        let mut ignore = Ignore::default();
        for (index, pattern) in patterns.into_iter().enumerate() {
            ignore.add(index as u32 + 1, trim(pattern), false)?;
        }
        Ok(ignore)
    }

    fn add(&mut self, line: u32, text: &[u8], strip_root: bool) -> Result<(), IgnoreError> {
        if text.is_empty() {
            return Ok(());
        }
        if self.rules.len() == MAX_RULES {
            return Err(IgnoreError::TooManyRules);
        }
        let (brings_back, pattern) = match text.strip_prefix(b"!") {
            Some(rest) => (true, trim(rest)),
            None => (false, text),
        };
        if pattern.is_empty() {
            return Err(IgnoreError::LoneExclamation { line });
        }
        let mut pattern = clean(pattern);
        if strip_root && pattern.len() > 1 && pattern[0] == b'/' {
            pattern.remove(0);
        }
        let glob = Glob::docker(&pattern).map_err(|source| IgnoreError::Pattern {
            line,
            text: String::from_utf8_lossy(text).into_owned(),
            source,
        })?;
        self.any_brings_back |= brings_back;
        self.rules.push(Rule {
            line,
            text: text.to_vec(),
            brings_back,
            glob,
        });
        Ok(())
    }

    /// Whether there is no rule at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether `path` is excluded, given what its folder matched; the second value is for its own entries.
    pub fn check(&self, path: &[u8], parent: &MatchState) -> (bool, MatchState) {
        let mut state = vec![false; self.rules.len()];
        let excluded = self
            .decide(path, parent, |index| state[index] = true)
            .is_some();
        (excluded, MatchState(Some(state)))
    }

    /// As [`Ignore::check`] for what is no folder.
    pub fn excludes_file(&self, path: &[u8], parent: &MatchState) -> bool {
        self.decide(path, parent, |_| {}).is_some()
    }

    /// The rule that excludes a path, unless a later one brings it back.
    fn decide(
        &self,
        path: &[u8],
        parent: &MatchState,
        mut matched: impl FnMut(usize),
    ) -> Option<usize> {
        let mut excluded_by = None;
        for (index, rule) in self.rules.iter().enumerate() {
            let inherited = parent.0.as_ref().is_some_and(|state| state[index]);
            let relevant = rule.brings_back == excluded_by.is_some();
            if inherited || (relevant && rule.glob.matches(path)) {
                matched(index);
                excluded_by = (!rule.brings_back).then_some(index);
            }
        }
        excluded_by
    }

    /// Whether a rule might bring back something below the excluded folder `dir`.
    pub fn may_bring_back_below(&self, dir: &[u8]) -> bool {
        self.any_brings_back
            && self
                .rules
                .iter()
                .any(|rule| rule.brings_back && rule.glob.may_match_below(dir))
    }

    /// Whether a rule might match something below the folder `dir`, which itself is not matched.
    pub fn may_exclude_below(&self, dir: &[u8]) -> bool {
        self.rules
            .iter()
            .any(|rule| !rule.brings_back && rule.glob.may_match_below(dir))
    }

    /// The rule that hides `path` (relative to the context, no matter how it is written), for hints.
    pub fn excluded(&self, path: &[u8]) -> Option<RuleRef> {
        let rooted = clean(&[b"/", path].concat());
        let path = &rooted[1..];
        let mut state = MatchState::default();
        for end in (0..path.len()).filter(|&at| path[at] == b'/') {
            state = self.check(&path[..end], &state).1;
        }
        let rule = &self.rules[self.decide(path, &state, |_| {})?];
        Some(RuleRef {
            line: rule.line,
            text: String::from_utf8_lossy(&rule.text).into_owned(),
        })
    }
}

fn trim(line: &[u8]) -> &[u8] {
    let blank = |b: &u8| b.is_ascii_whitespace() || *b == 0x0b;
    let start = line.iter().position(|b| !blank(b)).unwrap_or(line.len());
    let end = line
        .iter()
        .rposition(|b| !blank(b))
        .map_or(start, |last| last + 1);
    &line[start..end]
}

#[cfg(test)]
mod tests {
    use super::{Ignore, IgnoreError, RuleRef};

    fn excluded(ignore: &str, path: &str) -> bool {
        Ignore::parse(ignore.as_bytes())
            .unwrap()
            .excluded(path.as_bytes())
            .is_some()
    }

    #[test]
    fn the_last_matching_line_decides() {
        for (ignore, path, wanted) in [
            ("a", "a", true),
            ("a", "a/b/c", true),
            ("a", "b/a", false),
            ("/a/", "a/b", true),
            ("./a/../b", "b", true),
            ("# a\n #b", "a", false),
            ("# a\n #b", "#b", true),
            ("  a  \r\n", "a", true),
            ("\u{feff}a", "a", true),
            ("!a\na", "a", true),
            ("a\n!a/b", "a/b", false),
            ("a\n!a/b", "a/c", true),
            ("a\n! a/b", "a/b", false),
            ("**\n!src/**/*.go", "src/x.go", false),
            ("**\n!src/**/*.go", "src/x.md", true),
            ("*\n!*/sub1*", "subdir/sub1.txt", false),
            ("*", ".hid", true),
            ("../weird", "weird", false),
            (".", "a", false),
            ("/", "a", false),
            ("", "a", false),
            (
                "stuff/huge/*\n!stuff/huge/usr/bin/*",
                "stuff/huge/usr/bin/file1",
                false,
            ),
            (
                "stuff/huge/*\n!stuff/huge/usr/bin/*",
                "stuff/huge/usr/x",
                true,
            ),
        ] {
            assert_eq!(excluded(ignore, path), wanted, "{ignore:?} on {path}");
        }
    }

    #[test]
    fn the_rule_that_excludes_is_named() {
        let ignore = Ignore::parse(b"# build\n\n  dist \n!dist/keep\n").unwrap();
        assert_eq!(
            ignore.excluded(b"/dist/app"),
            Some(RuleRef {
                line: 3,
                text: "dist".into()
            })
        );
        assert_eq!(ignore.excluded(b"./dist/keep"), None);
        assert_eq!(ignore.excluded(b"src"), None);
    }

    #[test]
    fn unusable_rules_name_their_line() {
        assert_eq!(
            Ignore::parse(b"a\n!\n").unwrap_err(),
            IgnoreError::LoneExclamation { line: 2 }
        );
        assert!(matches!(
            Ignore::parse(b"a\nb[\n").unwrap_err(),
            IgnoreError::Pattern { line: 2, .. }
        ));
        assert_eq!(
            Ignore::parse("a\n".repeat(10_001).as_bytes()).unwrap_err(),
            IgnoreError::TooManyRules
        );
        assert_eq!(
            Ignore::parse(&vec![b' '; (1 << 20) + 1]).unwrap_err(),
            IgnoreError::TooLarge
        );
    }

    #[test]
    fn a_folder_is_entered_only_if_something_below_may_come_back() {
        let ignore = Ignore::parse(b"**\n!src/**/*.go\n!docs/a.md\n").unwrap();
        assert!(ignore.may_bring_back_below(b"src"));
        assert!(ignore.may_bring_back_below(b"docs"));
        assert!(!ignore.may_bring_back_below(b"node_modules"));
    }
}
