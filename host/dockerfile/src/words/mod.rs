//! Variable expansion, quoting and splitting of words, as Docker's builders do it.
//!
//! Form            | Means
//! ----------------|---------------------------------------------------------------
//! `$x` `${x}`     | the value, empty when unset
//! `${x:-w}` `-`   | `w` when unset (with `:` also when empty)
//! `${x:+w}` `+`   | `w` when set (with `:` and not empty), else nothing
//! `${x:?w}` `?`   | fails with `w` when unset (with `:` also when empty)
//! `${x#p}` `##`   | the value without its shortest / longest prefix matching `p`
//! `${x%p}` `%%`   | the same for a suffix
//! `${x/p/r}` `//` | the first / every match of `p` replaced by `r`
//!
//! Patterns know `*` and `?`. Single quotes keep everything, double quotes all but `$` and the escape character.
//! Depth, length and matching work are bounded; a word that goes past a bound is an error, never a hang.

mod lexer;
mod pattern;
mod split;
mod substitution;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use split::split_raw;

/// Longest word and longest result, in bytes. Far above any real Dockerfile; stops `A=$A$A` chains.
pub const MAX_LEN: usize = 1 << 20;

/// Deepest nesting of `${…}`.
pub const MAX_DEPTH: usize = 64;

/// Most work on one word, in bytes copied and steps of pattern matching; well below a second.
pub const MAX_WORK: usize = 50_000_000;

/// Where values come from.
pub trait Variables {
    /// The value of `name`, if it is set.
    fn get(&self, name: &str) -> Option<&str>;
}

impl Variables for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        BTreeMap::get(self, name).map(String::as_str)
    }
}

/// No variables at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoVariables;

impl Variables for NoVariables {
    fn get(&self, _: &str) -> Option<&str> {
        None
    }
}

/// How a word is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expander {
    /// Takes the meaning off the next character.
    pub escape: char,
    /// Quotes stay in the result.
    pub keep_quotes: bool,
    /// Escape characters stay in the result.
    pub keep_escapes: bool,
    /// Quotes have no meaning.
    pub plain_quotes: bool,
    /// `$x` stays as it is when `x` is unset.
    pub keep_unset: bool,
}

/// What became of a word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expansion {
    /// As one word.
    pub text: String,
    /// Split at white space that is not quoted.
    pub words: Vec<String>,
    /// Names that were set.
    pub matched: BTreeSet<String>,
    /// Names that were not, where the word has no answer to that: `${x:-y}` has one.
    pub unmatched: BTreeSet<String>,
    /// Bytes copied and matching steps, for callers that bound many words together.
    pub work: usize,
}

impl Expander {
    /// The rules for instructions in a Dockerfile with this escape character.
    #[must_use]
    pub const fn new(escape: char) -> Self {
        Self {
            escape,
            keep_quotes: false,
            keep_escapes: false,
            plain_quotes: false,
            keep_unset: false,
        }
    }

    /// The rules for the body of a heredoc: quotes mean nothing there and the escape is always a backslash.
    #[must_use]
    pub const fn heredoc() -> Self {
        Self {
            plain_quotes: true,
            ..Self::new('\\')
        }
    }

    /// Expands `word`.
    ///
    /// # Errors
    /// When quotes or braces do not match, a substitution is unknown or says so itself, or a bound is passed.
    pub fn expand(&self, word: &str, variables: &dyn Variables) -> Result<Expansion, ExpandError> {
        lexer::run(self, word, variables)
    }
}

/// What can be wrong with a word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpandError {
    /// A quote without its end.
    #[error("unexpected end of statement while looking for matching {quote}")]
    UnterminatedQuote {
        /// Name of the quote.
        quote: &'static str,
    },
    /// `${x` without its end.
    #[error("syntax error: missing `{missing}` in substitution")]
    UnterminatedSubstitution {
        /// What was looked for.
        missing: char,
    },
    /// `${}` and the like.
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    /// `${x^}` and the like.
    #[error("unsupported modifier ({modifier}) in substitution")]
    UnsupportedModifier {
        /// As written.
        modifier: String,
    },
    /// `${x?message}` on an unset variable.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The message of the Dockerfile, or what is wrong.
        message: String,
    },
    /// A pattern with an escape that means nothing.
    #[error("invalid pattern ({pattern}) in substitution")]
    InvalidPattern {
        /// As written.
        pattern: String,
    },
    /// Too long before or after expansion.
    #[error("word is longer than {MAX_LEN} bytes")]
    TooLong,
    /// Too many levels of `${…}`.
    #[error("substitutions are nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// Matching a pattern takes too much work.
    #[error("pattern is too expensive to match")]
    TooExpensive,
}
