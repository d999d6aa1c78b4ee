//! The typed tree of a Dockerfile: what the planner and the linter read.
//!
//! Every [`Word`] is as written: quotes, escapes and variables are still in it. Flags have had their quotes taken
//! off, as BuildKit does before it expands them. Order is that of the file; grouping into stages is the planner's.

use crate::source::{Source, Span};

/// A parsed Dockerfile.
#[derive(Debug, Clone, PartialEq)]
pub struct Dockerfile {
    /// The text that all spans point into.
    pub source: Source,
    /// Parser directives at the top.
    pub directives: Directives,
    /// Instructions in order.
    pub instructions: Vec<Instruction>,
    /// Lint findings of the parser itself.
    pub warnings: Vec<crate::lint::Warning>,
}

/// The `# key=value` lines at the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// `# syntax=`: named a frontend image; Kiln speaks the language itself and ignores it.
    pub syntax: Option<Word>,
    /// `# escape=`: a backslash or a backquote.
    pub escape: char,
    /// `# check=`: lint options.
    pub check: Option<Word>,
}

impl Default for Directives {
    fn default() -> Self {
        Self {
            syntax: None,
            escape: '\\',
            check: None,
        }
    }
}

/// A piece of text and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Word {
    /// The text, unexpanded.
    pub text: String,
    /// Where it is in the file.
    pub span: Span,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq)]
pub struct Instruction {
    /// From the keyword to the end of the last line, heredoc bodies included.
    pub span: Span,
    /// The keyword as written.
    pub keyword: Word,
    /// The instruction on one line, after joining continuations, without heredoc bodies.
    pub text: String,
    /// Comment lines directly above.
    pub comments: Vec<String>,
    /// What it says.
    pub kind: InstructionKind,
}

/// The closed set of instructions.
#[derive(Debug, Clone, PartialEq)]
pub enum InstructionKind {
    /// `FROM image [AS name]`
    From(From),
    /// `RUN command`
    Run(Run),
    /// `COPY` and `ADD`
    Copy(Copy),
    /// `CMD command`
    Cmd(Command),
    /// `ENTRYPOINT command`
    Entrypoint(Command),
    /// `ENV key=value …`
    Env(Vec<KeyValue>),
    /// `ARG name[=default] …`
    Arg(Vec<Arg>),
    /// `LABEL key=value …`
    Label(Vec<KeyValue>),
    /// `EXPOSE port …`
    Expose(Vec<Word>),
    /// `VOLUME path …`
    Volume(Vec<Word>),
    /// `USER name[:group]`
    User(Word),
    /// `WORKDIR path`
    Workdir(Word),
    /// `HEALTHCHECK …`
    Healthcheck(Healthcheck),
    /// `SHELL ["…"]`
    Shell(Vec<Word>),
    /// `STOPSIGNAL signal`
    StopSignal(Word),
    /// `MAINTAINER name`
    Maintainer(Word),
    /// `ONBUILD instruction`
    OnBuild(OnBuild),
}

/// `FROM [--platform=p] image [AS name]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// `--platform`
    pub platform: Option<Word>,
    /// Image or stage name.
    pub image: Word,
    /// The word `AS` as written.
    pub as_word: Option<Word>,
    /// Stage name as written; compare with [`From::stage_name`].
    pub name: Option<Word>,
}

impl From {
    /// The stage name in lower case, the form in which stages are looked up.
    #[must_use]
    pub fn stage_name(&self) -> Option<String> {
        self.name.as_ref().map(|name| name.text.to_lowercase())
    }
}

/// The two ways to write a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `["program", "argument"]`
    Exec(Vec<Word>),
    /// Text for the shell; empty text is possible where the language allows it.
    Shell(Word),
}

/// `RUN`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The command.
    pub command: Command,
    /// `--mount`, in order.
    pub mounts: Vec<crate::mount::MountFlag>,
    /// `--network`
    pub network: Option<Word>,
    /// `--security`
    pub security: Option<Word>,
    /// Heredocs, in order of mention.
    pub heredocs: Vec<Heredoc>,
}

impl Run {
    /// The heredoc that is the whole command: `RUN <<EOF`. With anything beside it the shell reads the heredocs.
    #[must_use]
    pub fn sole_heredoc(&self) -> Option<&Heredoc> {
        let Command::Shell(word) = &self.command else {
            return None;
        };
        let mark = crate::heredoc::mark(word).ok().flatten();
        mark.and(self.heredocs.first())
    }
}

/// A `<<NAME` document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The terminator, quotes removed.
    pub name: String,
    /// True unless the name was quoted: variables are expanded.
    pub expand: bool,
    /// `<<-`: leading tabs are dropped.
    pub strip_tabs: bool,
    /// File descriptor before `<<`, zero if there was none.
    pub descriptor: u32,
    /// The body as written, tabs still there; see [`Heredoc::body`].
    pub content: String,
    /// Where `<<NAME` is.
    pub mark: Span,
    /// Where the body is, terminator line excluded.
    pub body_span: Span,
}

impl Heredoc {
    /// The body, with leading tabs dropped where `<<-` asks for it.
    #[must_use]
    pub fn body(&self) -> String {
        if !self.strip_tabs {
            return self.content.clone();
        }
        self.content
            .split_inclusive('\n')
            .map(|line| line.trim_start_matches('\t'))
            .collect()
    }
}

/// `COPY` or `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// True for `ADD`.
    pub add: bool,
    /// At least one.
    pub sources: Vec<CopySource>,
    /// The last argument.
    pub destination: Word,
    /// `--from` (COPY)
    pub from: Option<Word>,
    /// `--chown`
    pub chown: Option<Word>,
    /// `--chmod`
    pub chmod: Option<Word>,
    /// `--link`
    pub link: bool,
    /// `--parents` (COPY)
    pub parents: bool,
    /// `--exclude`, repeatable
    pub exclude: Vec<Word>,
    /// `--checksum` (ADD)
    pub checksum: Option<Word>,
    /// `--keep-git-dir` (ADD)
    pub keep_git_dir: Option<bool>,
    /// `--unpack` (ADD)
    pub unpack: Option<bool>,
}

/// One source of `COPY` or `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// A path, pattern or URL, unexpanded.
    Path(Word),
    /// The body of a heredoc, named by its terminator.
    Heredoc(Heredoc),
}

/// One pair of `ENV` or `LABEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// Before the `=`.
    pub key: Word,
    /// After it, quotes kept.
    pub value: Word,
    /// Written in the old form without `=`.
    pub legacy: bool,
}

/// One name of `ARG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// The name, unexpanded.
    pub name: Word,
    /// The default, quotes kept.
    pub default: Option<Word>,
}

/// `HEALTHCHECK`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// `HEALTHCHECK NONE`
    None,
    /// `HEALTHCHECK [options] CMD command`
    Command {
        /// The command.
        command: Command,
        /// `--interval` in nanoseconds, zero when not given.
        interval: i64,
        /// `--timeout`
        timeout: i64,
        /// `--start-period`
        start_period: i64,
        /// `--start-interval`
        start_interval: i64,
        /// `--retries`
        retries: u32,
    },
}

/// `ONBUILD`
#[derive(Debug, Clone, PartialEq)]
pub struct OnBuild {
    /// What is recorded in the image: the trigger with its heredocs.
    pub expression: String,
    /// The trigger, checked; its spans are of this file.
    pub instruction: Box<Instruction>,
}
