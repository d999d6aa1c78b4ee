//! Lint rules as data, and what they found. Names and meanings are those of `docker build --check`.

use crate::ast::{From, Instruction, InstructionKind, KeyValue};
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
    /// The body of a heredoc has CRLF line ends, and keeps them. Kiln's own: BuildKit says nothing.
    HeredocCarriageReturn,
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
            Self::HeredocCarriageReturn => "HeredocCarriageReturn",
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

/// The findings that need nothing but the instruction itself.
pub(crate) fn check(instructions: &[Instruction]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    instructions
        .iter()
        .for_each(|instruction| check_one(instruction, &mut warnings));
    warnings
}

fn check_one(instruction: &Instruction, warnings: &mut Vec<Warning>) {
    let mut warn = |rule, span, message| {
        warnings.push(Warning {
            rule,
            span,
            message,
        })
    };
    match &instruction.kind {
        InstructionKind::From(from) => check_from(instruction, from, &mut warn),
        InstructionKind::Env(pairs) | InstructionKind::Label(pairs) => {
            for KeyValue { key, value, .. } in pairs.iter().filter(|pair| pair.legacy) {
                let keyword = instruction.keyword.text.to_uppercase();
                let message = format!(
                    "`{keyword} key=value` should be used instead of `{keyword} key value`"
                );
                warn(Rule::LegacyKeyValueFormat, key.span.to(value.span), message);
            }
        }
        InstructionKind::Maintainer(_) => {
            let message =
                "MAINTAINER is deprecated, use a label such as org.opencontainers.image.authors";
            warn(
                Rule::MaintainerDeprecated,
                instruction.span,
                message.to_owned(),
            );
        }
        InstructionKind::OnBuild(trigger) => check_one(&trigger.instruction, warnings),
        _ => {}
    }
}

fn check_from(instruction: &Instruction, from: &From, warn: &mut impl FnMut(Rule, Span, String)) {
    let Some(name) = &from.name else { return };
    if name.text.chars().any(char::is_uppercase) {
        let message = format!("stage name `{}` should be lowercase", name.text);
        warn(Rule::StageNameCasing, name.span, message);
    }
    let is_upper = |text: &str| !text.chars().any(char::is_lowercase);
    if let Some(word) = &from.as_word
        && is_upper(&word.text) != is_upper(&instruction.keyword.text)
    {
        let message = format!(
            "`{}` and `{}` are in different case",
            word.text, instruction.keyword.text
        );
        warn(Rule::FromAsCasing, word.span, message);
    }
}
