//! Lint rules as data, and what they found. Names and meanings are those of `docker build --check`.

use crate::source::Span;

/// A rule of the linter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// `as` and `FROM` are in different case.
    FromAsCasing,
    /// A stage name has upper-case letters.
    StageNameCasing,
    /// `ENV key value` in place of `ENV key=value`.
    LegacyKeyValueFormat,
    /// `CMD` or `ENTRYPOINT` as text for the shell.
    JsonArgsRecommended,
    /// `MAINTAINER` in place of a label.
    MaintainerDeprecated,
    /// An empty line inside of a continued instruction.
    NoEmptyContinuation,
    /// A build argument that no ARG declares.
    UnusedBuildArg,
    /// Two stages with one name.
    DuplicateStageName,
    /// A stage named like a word of the language.
    ReservedStageName,
    /// A name in `$NAME` that nothing defines.
    UndefinedVar,
    /// `WORKDIR` relative to an unknown directory.
    WorkdirRelativePath,
    /// More than one CMD, ENTRYPOINT or HEALTHCHECK in a stage.
    MultipleInstructionsDisallowed,
}

impl Rule {
    /// The name that users know.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FromAsCasing => "FromAsCasing",
            Self::StageNameCasing => "StageNameCasing",
            Self::LegacyKeyValueFormat => "LegacyKeyValueFormat",
            Self::JsonArgsRecommended => "JSONArgsRecommended",
            Self::MaintainerDeprecated => "MaintainerDeprecated",
            Self::NoEmptyContinuation => "NoEmptyContinuation",
            Self::UnusedBuildArg => "UnusedBuildArg",
            Self::DuplicateStageName => "DuplicateStageName",
            Self::ReservedStageName => "ReservedStageName",
            Self::UndefinedVar => "UndefinedVar",
            Self::WorkdirRelativePath => "WorkdirRelativePath",
            Self::MultipleInstructionsDisallowed => "MultipleInstructionsDisallowed",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The rule.
    pub rule: Rule,
    /// Where; an empty span at zero when it is about no line.
    pub span: Span,
    /// What to show.
    pub message: String,
}
