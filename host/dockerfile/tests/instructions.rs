//! What each instruction becomes, and what is wrong with those that are none.

use kiln_dockerfile::ast::{Command, Copy, CopySource, Healthcheck, InstructionKind, Run};
use kiln_dockerfile::{Dockerfile, Position, Source, Span, parse, parse_trigger};

fn parsed(text: &str) -> Dockerfile {
    parse(&Source::new("Dockerfile", text)).expect("the Dockerfile is fine")
}

fn kind(text: &str) -> InstructionKind {
    parsed(text).instructions.remove(0).kind
}

fn run(text: &str) -> Run {
    match kind(text) {
        InstructionKind::Run(run) => run,
        other => panic!("{other:?}"),
    }
}

fn copy(text: &str) -> Copy {
    match kind(text) {
        InstructionKind::Copy(copy) => copy,
        other => panic!("{other:?}"),
    }
}

/// The text under the error, the message, and the hint.
fn mistake(text: &str) -> String {
    let source = Source::new("Dockerfile", text);
    let error = parse(&source).expect_err(text);
    let hint = error
        .hint
        .as_ref()
        .map(|hint| format!(" ({hint})"))
        .unwrap_or_default();
    format!("{:?} {error}{hint}", source.slice(error.span))
}

#[test]
fn mistakes_point_at_their_place() {
    let cases = [
        ("", "\"\" the Dockerfile has no instructions"),
        (
            "# escape=x\nFROM a",
            "\"x\" invalid escape character `x`: must be ` or \\",
        ),
        (
            "# syntax=a\n# syntax=b\nFROM a",
            "\"# syntax=b\" only one `syntax` parser directive can be used",
        ),
        (
            "FROM a\nCOPPY b c",
            "\"COPPY\" unknown instruction: COPPY (did you mean COPY?)",
        ),
        (
            "FROM a\napt-get x",
            "\"apt-get\" unknown instruction: apt-get",
        ),
        (
            "FROM a\nCOPY --form=x a b",
            "\"--form=x\" unknown flag for COPY: --form (did you mean --from?)",
        ),
        (
            "FROM a\nCOPY --chown a b",
            "\"--chown\" missing a value for flag --chown",
        ),
        (
            "FROM a\nCOPY --link=yes a b",
            "\"--link=yes\" flag --link takes true or false, not `yes`",
        ),
        (
            "FROM a\nCOPY --from=a --from=b c d",
            "\"--from=b\" duplicate flag for COPY: --from",
        ),
        (
            "FROM a\nADD --from=a c d",
            "\"--from=a\" unknown flag for ADD: --from",
        ),
        (
            "FROM a\nCOPY a",
            "\"COPY a\" COPY requires at least two arguments, but only one was provided",
        ),
        (
            "FROM a\nCOPY a <<E\nE",
            "\"<<E\" COPY cannot take a heredoc as its destination",
        ),
        (
            "FROM a b",
            "\"FROM a b\" FROM requires either one or three arguments",
        ),
        (
            "FROM a IS b",
            "\"FROM a IS b\" FROM requires either one or three arguments",
        ),
        ("FROM a AS 1b", "\"1b\" invalid name for build stage: `1b`"),
        ("FROM a\nENV B", "\"B\" ENV must have two arguments"),
        (
            "FROM a\nENV B=1 C",
            "\"C\" cannot find = in `C`, must be of the form name=value",
        ),
        ("FROM a\nENV =1", "\"=1\" ENV names can not be blank"),
        ("FROM a\nARG B =1", "\"=1\" ARG names can not be blank"),
        ("FROM a\nARG", "\"ARG\" ARG requires at least one argument"),
        (
            "FROM a\nWORKDIR",
            "\"WORKDIR\" WORKDIR requires exactly one argument",
        ),
        (
            "FROM a\nSHELL bash",
            "\"bash\" SHELL requires the arguments to be in JSON form",
        ),
        (
            "FROM a\nSHELL []",
            "\"SHELL []\" SHELL requires at least one argument",
        ),
        (
            "FROM a\nCMD [\"a\", 1]",
            "\"[\\\"a\\\", 1]\" only arrays of strings can be given in JSON form",
        ),
        (
            "FROM a\nVOLUME [\" \"]",
            "\"\\\" \\\"\" VOLUME specified can not be an empty string",
        ),
        (
            "FROM a\nONBUILD ONBUILD RUN x",
            "\"ONBUILD\" ONBUILD cannot be chained",
        ),
        (
            "FROM a\nONBUILD FROM b",
            "\"FROM\" FROM isn't allowed as an ONBUILD trigger",
        ),
        (
            "FROM a\nONBUILD RUNN b",
            "\"RUNN\" unknown instruction: RUNN (did you mean RUN?)",
        ),
        (
            "FROM a\nONBUILD",
            "\"ONBUILD\" ONBUILD requires at least one argument",
        ),
        (
            "FROM a\nHEALTHCHECK",
            "\"HEALTHCHECK\" HEALTHCHECK requires at least one argument",
        ),
        (
            "FROM a\nHEALTHCHECK NONE x",
            "\"HEALTHCHECK NONE x\" HEALTHCHECK NONE takes no arguments",
        ),
        (
            "FROM a\nHEALTHCHECK TCP x",
            "\"TCP\" unknown type `TCP` in HEALTHCHECK, try CMD",
        ),
        (
            "FROM a\nHEALTHCHECK CMD []",
            "\"CMD\" missing command after HEALTHCHECK CMD",
        ),
        (
            "FROM a\nHEALTHCHECK --interval=5 CMD x",
            "\"5\" invalid duration `5` for --interval",
        ),
        (
            "FROM a\nHEALTHCHECK --timeout=1us CMD x",
            "\"1us\" --timeout cannot be less than 1ms",
        ),
        (
            "FROM a\nHEALTHCHECK --retries=-1 CMD x",
            "\"-1\" invalid number of retries `-1`",
        ),
        (
            "FROM a\nRUN --network=lan x",
            "\"lan\" invalid network mode `lan`: must be default, none or host",
        ),
        (
            "FROM a\nRUN --security=off x",
            "\"off\" invalid security mode `off`",
        ),
        (
            "FROM a\nRUN --mount=from=$X,target=/a b",
            "\"from=$X,target=/a\" `from=$X`: variables are not expanded",
        ),
        (
            "FROM a\nRUN --mount= b",
            "\"\" failed to parse `` as comma-separated values",
        ),
        (
            "FROM a\nRUN cat <<EOF\nx",
            "\"<<EOF\" unterminated heredoc `EOF`",
        ),
    ];
    for (text, expected) in cases {
        let got = mistake(text);
        assert!(
            got.starts_with(expected),
            "{text}\n  got      {got}\n  expected {expected}"
        );
    }
}

#[test]
fn places_survive_continuations_and_comments() {
    let text = "FROM a\nRUN one \\\n# between\n  --two \\\n  three\nCOPY a \\\n  --form=b c\nCOPY \\\n  --form=b c d";
    let source = Source::new("Dockerfile", text);
    let error = parse(&source).expect_err("a flag that is none");
    assert_eq!(source.slice(error.span), "--form=b");
    assert_eq!(
        source.position(error.span.start),
        Position { line: 9, column: 3 }
    );
}

#[test]
fn directives_end_at_the_first_other_line() {
    let dockerfile = parsed(
        "#  SYNTAX = docker/dockerfile:1 \n# check=skip=all\n# escape=`\nFROM a\nRUN b `\n c",
    );
    let directives = &dockerfile.directives;
    assert_eq!(
        directives.syntax.as_ref().map(|word| word.text.as_str()),
        Some("docker/dockerfile:1")
    );
    assert_eq!(
        directives.check.as_ref().map(|word| word.text.as_str()),
        Some("skip=all")
    );
    assert_eq!(directives.escape, '`');
    assert_eq!(dockerfile.instructions[1].text, "RUN b  c");
    for text in [
        "\n# escape=`\nFROM a",
        "# note\n# escape=`\nFROM a",
        "# other=1\n# escape=`\nFROM a",
    ] {
        assert_eq!(parsed(text).directives.escape, '\\', "{text:?}");
    }
}

#[test]
fn windows_files_and_byte_order_marks_are_read() {
    let dockerfile =
        parsed("\u{feff}# escape=`\r\nFROM a\r\nRUN b `\r\n  c\r\nCOPY <<E /d\r\nx\r\nE\r\n");
    assert_eq!(dockerfile.directives.escape, '`');
    assert_eq!(dockerfile.instructions[1].text, "RUN b   c");
    let InstructionKind::Copy(copy) = &dockerfile.instructions[2].kind else {
        panic!("a copy")
    };
    let CopySource::Heredoc(heredoc) = &copy.sources[0] else {
        panic!("a heredoc")
    };
    assert_eq!(heredoc.content, "x\r\n");
    assert_eq!(dockerfile.source.slice(heredoc.body_span), "x\r\n");
}

#[test]
fn bytes_that_are_no_text_are_allowed_in_comments_only() {
    let comment = Source::from_bytes("Dockerfile", b"# \xe9\nFROM a\n");
    assert!(parse(&comment).is_ok());
    let instruction = Source::from_bytes("Dockerfile", b"FROM a\nRUN echo \xe9\n");
    let error = parse(&instruction).expect_err("Latin-1 in a command");
    assert_eq!(error.to_string(), "the Dockerfile is not valid UTF-8");
}

#[test]
fn heredocs_are_found_where_the_shell_finds_them() {
    let names = |text: &str| -> Vec<String> {
        run(text)
            .heredocs
            .into_iter()
            .map(|heredoc| heredoc.name)
            .collect()
    };
    assert_eq!(
        names("RUN cat <<A 3<<-'B C' <<\"D\"\nA\nB C\nD"),
        ["A", "B C", "D"]
    );
    for text in [
        "RUN echo $((1<<2))",
        "RUN echo '<<A'",
        "RUN cat <<< A",
        "RUN [\"a\", \"<<A\"]",
        "RUN a << b",
    ] {
        assert_eq!(names(text), Vec::<String>::new(), "{text}");
    }
    let heredocs = run("RUN x 3<<-A <<'B'\n\tone\n\tA\n\ttwo\nB").heredocs;
    assert_eq!(
        (
            heredocs[0].expand,
            heredocs[0].strip_tabs,
            heredocs[0].descriptor
        ),
        (true, true, 3)
    );
    assert_eq!(
        (heredocs[0].content.as_str(), heredocs[0].body().as_str()),
        ("\tone\n", "one\n")
    );
    assert_eq!((heredocs[1].expand, heredocs[1].strip_tabs), (false, false));
    assert_eq!(heredocs[1].body(), "\ttwo\n");
    assert!(run("RUN <<A\nA").sole_heredoc().is_some());
    assert!(run("RUN x <<A\nA").sole_heredoc().is_none());
}

#[test]
fn copy_has_all_its_flags() {
    let copy = copy(
        "COPY --from=s --chown='a b' --chmod=644 --link --parents=false --exclude=x --exclude=\"y z\" a <<E b c/\nE",
    );
    let text =
        |word: &Option<kiln_dockerfile::ast::Word>| word.as_ref().map(|word| word.text.clone());
    assert_eq!(text(&copy.from).as_deref(), Some("s"));
    assert_eq!(text(&copy.chown).as_deref(), Some("a b"));
    assert_eq!(text(&copy.chmod).as_deref(), Some("644"));
    assert!(copy.link && !copy.parents && !copy.add);
    assert_eq!(
        copy.exclude
            .iter()
            .map(|word| word.text.as_str())
            .collect::<Vec<_>>(),
        ["x", "y z"]
    );
    assert!(
        matches!(&copy.sources[..], [CopySource::Path(a), CopySource::Heredoc(_), CopySource::Path(b)]
        if a.text == "a" && b.text == "b")
    );
    assert_eq!(copy.destination.text, "c/");
}

#[test]
fn a_lone_double_dash_ends_the_flags() {
    let run = run("RUN --network=none -- --mount=x");
    assert!(run.mounts.is_empty() && run.network.is_some());
    assert!(matches!(run.command, Command::Shell(word) if word.text == "--mount=x"));
}

#[test]
fn healthchecks_keep_their_times() {
    let text = "HEALTHCHECK --interval=1m --timeout=3s --start-period=0 --start-interval=5ms --retries=3 CMD [\"a\"]";
    let InstructionKind::Healthcheck(Healthcheck::Command {
        command,
        interval,
        start_interval,
        retries,
        ..
    }) = kind(text)
    else {
        panic!("a health check")
    };
    assert!(matches!(command, Command::Exec(words) if words[0].text == "a"));
    assert_eq!(
        (interval, start_interval, retries),
        (60_000_000_000, 5_000_000, 3)
    );
    assert_eq!(
        kind("healthcheck none"),
        InstructionKind::Healthcheck(Healthcheck::None)
    );
}

#[test]
fn triggers_keep_their_text_and_their_heredocs() {
    let InstructionKind::OnBuild(on_build) = kind("onbuild   RUN cat <<E \\\n && x\nbody\nE")
    else {
        panic!()
    };
    assert_eq!(on_build.expression, "RUN cat <<E  && x\nbody\nE");
    assert!(
        matches!(&on_build.instruction.kind, InstructionKind::Run(run) if run.heredocs.len() == 1)
    );
    let place = Span::new(5, 9);
    let again = parse_trigger(&on_build.expression, place).expect("what was recorded parses");
    assert_eq!(again.span, place);
    let InstructionKind::Run(run) = again.kind else {
        panic!("a run")
    };
    assert_eq!(
        (run.heredocs[0].mark, run.heredocs[0].body_span),
        (place, place)
    );
}

#[test]
fn comments_above_belong_to_the_instruction() {
    let dockerfile = parsed("# far\n\n# base the image\n#  more\nFROM a\n# b\nRUN x");
    assert_eq!(
        dockerfile.instructions[0].comments,
        ["base the image", "more"]
    );
    assert_eq!(dockerfile.instructions[1].comments, ["b"]);
}

#[test]
fn lint_findings_are_in_order_of_the_file() {
    let dockerfile = parsed(
        "FROM a as Base\nENV a b\nLABEL c=d\nRUN a \\\n\n b\nMAINTAINER me\nONBUILD ENV a b",
    );
    let found: Vec<_> = dockerfile
        .warnings
        .iter()
        .map(|warning| (warning.rule.name(), dockerfile.source.lines(warning.span).0))
        .collect();
    let expected = [
        ("FromAsCasing", 1),
        ("StageNameCasing", 1),
        ("LegacyKeyValueFormat", 2),
        ("NoEmptyContinuation", 5),
        ("MaintainerDeprecated", 7),
        ("LegacyKeyValueFormat", 8),
    ];
    assert_eq!(found, expected);
}
