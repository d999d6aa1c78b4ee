//! What can be wrong with a Dockerfile, each with the span that it is about.

use crate::source::Span;

/// A mistake in a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct ParseError {
    /// The place to point at.
    pub span: Span,
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// What could be meant, when something known is close.
    pub hint: Option<String>,
}

impl ParseError {
    pub(crate) fn new(span: Span, kind: ParseErrorKind) -> Self {
        Self {
            span,
            kind,
            hint: None,
        }
    }

    pub(crate) fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

/// The closed set of mistakes that the parser finds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Nothing but white space and comments.
    #[error("the Dockerfile has no instructions")]
    NoInstructions,
    /// Larger than the parser accepts.
    #[error("the Dockerfile is larger than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// More instructions than the parser accepts.
    #[error("the Dockerfile has more than {limit} instructions")]
    TooManyInstructions {
        /// The bound.
        limit: usize,
    },
    /// Not text.
    #[error("the Dockerfile is not valid UTF-8")]
    NotUtf8,
    /// The same directive twice.
    #[error("only one `{name}` parser directive can be used")]
    RepeatedDirective {
        /// The directive.
        name: String,
    },
    /// `# escape=` with something else than a backslash or backquote.
    #[error("invalid escape character `{value}`: must be ` or \\")]
    InvalidEscape {
        /// What was given.
        value: String,
    },
    /// A keyword that is no instruction.
    #[error("unknown instruction: {keyword}")]
    UnknownInstruction {
        /// As written.
        keyword: String,
    },
    /// A flag that this instruction does not take.
    #[error("unknown flag for {instruction}: --{flag}")]
    UnknownFlag {
        /// The instruction in upper case.
        instruction: String,
        /// Without the dashes.
        flag: String,
    },
    /// The same flag twice where one is allowed.
    #[error("duplicate flag for {instruction}: --{flag}")]
    DuplicateFlag {
        /// The instruction in upper case.
        instruction: String,
        /// Without the dashes.
        flag: String,
    },
    /// A flag without its value.
    #[error("missing a value for flag --{flag}")]
    MissingFlagValue {
        /// Without the dashes.
        flag: String,
    },
    /// A yes/no flag with another value.
    #[error("flag --{flag} takes true or false, not `{value}`")]
    InvalidFlagBool {
        /// Without the dashes.
        flag: String,
        /// What was given.
        value: String,
    },
    /// A duration that does not parse or is too short.
    #[error("invalid duration `{value}` for --{flag}")]
    InvalidDuration {
        /// Without the dashes.
        flag: String,
        /// What was given.
        value: String,
    },
    /// A duration below the minimum that Docker sets.
    #[error("--{flag} cannot be less than 1ms")]
    DurationTooShort {
        /// Without the dashes.
        flag: String,
    },
    /// `--retries` is not a number from zero.
    #[error("invalid number of retries `{value}`")]
    InvalidRetries {
        /// What was given.
        value: String,
    },
    /// Nothing after the keyword.
    #[error("{instruction} requires at least one argument")]
    MissingArguments {
        /// The instruction in upper case.
        instruction: String,
    },
    /// A wrong number of arguments.
    #[error("{instruction} requires exactly one argument")]
    ExactlyOneArgument {
        /// The instruction in upper case.
        instruction: String,
    },
    /// `COPY` with less than two arguments.
    #[error(
        "{instruction} requires at least two arguments, but only one was provided: destination could not be determined"
    )]
    MissingDestination {
        /// The instruction in upper case.
        instruction: String,
    },
    /// `FROM` with a wrong shape.
    #[error("FROM requires either one or three arguments")]
    FromArguments,
    /// A stage name outside of the allowed characters.
    #[error(
        "invalid name for build stage: `{name}`, a name starts with a letter and holds letters, digits, `-`, `_` and `.`"
    )]
    InvalidStageName {
        /// As written.
        name: String,
    },
    /// `ENV a` or a word without `=` after words with it.
    #[error("{instruction} must have two arguments")]
    KeyWithoutValue {
        /// The instruction in upper case.
        instruction: String,
    },
    /// A word without `=` among pairs.
    #[error("cannot find = in `{word}`, must be of the form name=value")]
    MissingEquals {
        /// The word.
        word: String,
    },
    /// `ENV =value`
    #[error("{instruction} names can not be blank")]
    BlankName {
        /// The instruction in upper case.
        instruction: String,
    },
    /// A JSON array with something else than strings.
    #[error("only arrays of strings can be given in JSON form")]
    JsonNotStrings,
    /// `SHELL` without JSON.
    #[error("SHELL requires the arguments to be in JSON form")]
    ShellNotJson,
    /// `ONBUILD ONBUILD`
    #[error("ONBUILD cannot be chained")]
    OnBuildChained,
    /// `ONBUILD FROM`
    #[error("{instruction} isn't allowed as an ONBUILD trigger")]
    OnBuildTrigger {
        /// The instruction in upper case.
        instruction: String,
    },
    /// `HEALTHCHECK NONE` with more words.
    #[error("HEALTHCHECK NONE takes no arguments")]
    HealthcheckNoneArguments,
    /// `HEALTHCHECK` with another word than CMD or NONE.
    #[error("unknown type `{word}` in HEALTHCHECK, try CMD")]
    HealthcheckType {
        /// As written.
        word: String,
    },
    /// `HEALTHCHECK CMD` alone.
    #[error("missing command after HEALTHCHECK CMD")]
    HealthcheckCommand,
    /// No terminator until the end of the file.
    #[error("unterminated heredoc `{name}`")]
    UnterminatedHeredoc {
        /// The terminator that was looked for.
        name: String,
    },
    /// A heredoc where none can be.
    #[error("{instruction} cannot take a heredoc as its destination")]
    HeredocDestination {
        /// The instruction in upper case.
        instruction: String,
    },
    /// A quote in a word that does not end.
    #[error("unterminated quote in heredoc name")]
    HeredocName,
    /// An invalid `--mount`.
    #[error(transparent)]
    Mount(#[from] crate::mount::MountError),
    /// An invalid `--network`.
    #[error("invalid network mode `{value}`: must be default, none or host")]
    InvalidNetwork {
        /// What was given.
        value: String,
    },
    /// An invalid `--security`.
    #[error("invalid security mode `{value}`: must be sandbox or insecure")]
    InvalidSecurity {
        /// What was given.
        value: String,
    },
    /// An ONBUILD trigger of an image that holds none or several instructions.
    #[error("a trigger must be a single instruction")]
    NotOneInstruction,
    /// More `<<NAME` than the parser accepts.
    #[error("more than {limit} heredocs in one instruction")]
    TooManyHeredocs {
        /// The bound.
        limit: usize,
    },
    /// VOLUME with an empty path.
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
}
