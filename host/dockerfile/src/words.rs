//! Variable expansion and quoting of words, as Docker's builders do it.

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
}
