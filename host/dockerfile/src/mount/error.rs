//! What can be wrong with a mount.

use crate::words::ExpandError;

/// Why a `--mount` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// A type that does not exist.
    #[error("unsupported mount type `{kind}`")]
    UnsupportedType {
        /// As written.
        kind: String,
    },
    /// A key that does not exist.
    #[error("unexpected mount option `{key}`")]
    UnexpectedKey {
        /// The key.
        key: String,
    },
    /// A key that this type does not take.
    #[error("mount option `{key}` is not for type `{kind}`")]
    KeyNotForType {
        /// The key.
        key: &'static str,
        /// The mount type.
        kind: &'static str,
    },
    /// A key without its value.
    #[error("mount option `{key}` needs a value: {key}=…")]
    MissingValue {
        /// The key.
        key: String,
    },
    /// A value that does not parse.
    #[error("invalid value for mount option `{key}`: {value}")]
    InvalidValue {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Quotes that do not match.
    #[error("failed to parse `{text}` as comma-separated values")]
    Csv {
        /// The flag's value.
        text: String,
    },
    /// `from=$X`
    #[error(
        "`from={value}`: variables are not expanded here, define a stage with FROM and name it instead"
    )]
    FromVariable {
        /// As written.
        value: String,
    },
    /// A target that would cover everything.
    #[error("invalid mount target `{target}`")]
    InvalidTarget {
        /// As resolved.
        target: String,
    },
    /// A secret without id, target and source.
    #[error("a secret mount needs `id`, `source` or `target`")]
    SecretWithoutName,
    /// A secret with two names.
    #[error("a secret mount takes `id` or `source`, not both")]
    SecretWithTwoNames,
    /// A variable of the value could not be expanded.
    #[error("in mount option `{key}`")]
    Expand {
        /// The key.
        key: String,
        /// Why.
        #[source]
        source: ExpandError,
    },
}
