//! Damaged and hostile Dockerfiles: any answer is fine, a panic or a hang is not.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test reports by panicking and printing"
)]

mod corpus;

use kiln_dockerfile::ast::{CopySource, Dockerfile, InstructionKind, Word};
use kiln_dockerfile::words::{Expander, NoVariables};
use kiln_dockerfile::{MAX_INSTRUCTIONS, MAX_SIZE, ParseErrorKind, Source, Span, parse};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Parses, and looks at everything a caller would: spans must be inside of the text and on character borders.
fn survive(bytes: &[u8]) {
    let source = Source::from_bytes("Dockerfile", bytes);
    match parse(&source) {
        Err(error) => check_span(&source, error.span),
        Ok(dockerfile) => {
            words(&dockerfile).iter().for_each(|word| {
                check_span(&source, word.span);
                let _ =
                    Expander::new(dockerfile.directives.escape).expand(&word.text, &NoVariables);
            });
            dockerfile
                .warnings
                .iter()
                .for_each(|warning| check_span(&source, warning.span));
        }
    }
}

fn check_span(source: &Source, span: Span) {
    assert!(span.start <= span.end, "{span:?}");
    let text = source.text();
    assert!(
        text.get(span.start as usize..span.end as usize).is_some(),
        "{span:?} of {text:?}"
    );
    assert!(source.lines(span).0 <= source.line_count());
}

fn words(dockerfile: &Dockerfile) -> Vec<Word> {
    let mut words = Vec::new();
    for instruction in &dockerfile.instructions {
        words.push(Word {
            text: String::new(),
            span: instruction.span,
        });
        match &instruction.kind {
            InstructionKind::From(from) => words.push(from.image.clone()),
            InstructionKind::Env(pairs) | InstructionKind::Label(pairs) => {
                words.extend(
                    pairs
                        .iter()
                        .flat_map(|pair| [pair.key.clone(), pair.value.clone()]),
                );
            }
            InstructionKind::Arg(args) => {
                words.extend(
                    args.iter().flat_map(|arg| {
                        std::iter::once(arg.name.clone()).chain(arg.default.clone())
                    }),
                );
            }
            InstructionKind::Expose(list) | InstructionKind::Volume(list) => {
                words.extend(list.clone())
            }
            InstructionKind::User(word) | InstructionKind::Workdir(word) => {
                words.push(word.clone())
            }
            InstructionKind::Run(run) => {
                words.extend(run.mounts.iter().map(|mount| mount.text.clone()))
            }
            InstructionKind::Copy(copy) => {
                words.extend(
                    [&copy.from, &copy.chown, &copy.chmod]
                        .into_iter()
                        .flatten()
                        .cloned(),
                );
                words.push(copy.destination.clone());
                words.extend(copy.sources.iter().map(|source| match source {
                    CopySource::Path(word) => word.clone(),
                    CopySource::Heredoc(heredoc) => Word {
                        text: heredoc.body(),
                        span: heredoc.body_span,
                    },
                }));
            }
            _ => {}
        }
    }
    words
}

/// A small generator with a fixed seed: the same mutations in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }
}

const TOKENS: [&str; 24] = [
    "<<EOF", "<<-'A'", "\\", "\n", "\r\n", "[\"", "\"]", "'", "\"", "${", "}", "$", "--mount=",
    "--", "=", "ONBUILD ", "RUN ", "COPY ", "`", "#", "\u{e9}", "\0", "\t", "ENV ",
];

fn mutate(text: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = text.to_vec();
    for _ in 0..1 + random.below(4) {
        let at = random.below(out.len() + 1);
        let end = (at + random.below(12)).min(out.len());
        match random.below(4) {
            0 => drop(out.drain(at..end)),
            1 => drop(out.splice(at..at, TOKENS[random.below(TOKENS.len())].bytes())),
            2 => drop(out.splice(at..end, [random.below(256) as u8])),
            _ => {
                let piece = out[at..end].to_vec();
                let to = random.below(out.len() + 1);
                drop(out.splice(to..to, piece));
            }
        }
    }
    out
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![
        b"# escape=`\nFROM a AS b\nRUN --mount=type=cache,target=/a <<E cat\n$x\nE\nCOPY <<-'F' a /b\n\tq\n\tF\n".to_vec(),
        "FROM a\nENV a\\\n\u{e9}=b\\\n\u{e9} c\\\n=\u{e9}\nARG q\\\n\u{e9}=1\n".as_bytes().to_vec(),
        "FROM a\nCOPY --from\\\n# \u{e9}\u{e9}\n=\u{e9} --chown='\u{e9}' a b\n".as_bytes().to_vec(),
        b"ARG a=1 b\nFROM $a\nENV a=\"b\\\n c\" d='e'\nONBUILD RUN [\"x\", \"\\u00e9\"]\nHEALTHCHECK --interval=5s CMD x".to_vec(),
    ];
    for (folder, file) in [
        ("parser/testfiles", "Dockerfile"),
        ("cases", "context/Dockerfile"),
    ] {
        let Some(folder) = corpus::folder(folder) else {
            continue;
        };
        let paths = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        seeds.extend(paths.filter_map(|path| fs::read(Path::new(&path).join(file)).ok()));
    }
    seeds.sort();
    seeds
}

#[test]
fn every_prefix_is_survived() {
    for seed in seeds().iter().filter(|seed| seed.len() < 2_000) {
        for end in 0..=seed.len() {
            survive(&seed[..end]);
        }
    }
}

#[test]
fn mutations_are_survived() {
    let mut random = Random(1);
    for seed in seeds() {
        for _ in 0..100 {
            survive(&mutate(&seed, &mut random));
        }
    }
}

#[test]
fn bounds_are_errors() {
    let kind = |text: String| {
        parse(&Source::new("Dockerfile", text))
            .expect_err("past a bound")
            .kind
    };
    assert_eq!(
        kind("#".repeat(MAX_SIZE + 1)),
        ParseErrorKind::TooLarge { limit: MAX_SIZE }
    );
    let many = "RUN a\n".repeat(MAX_INSTRUCTIONS + 1);
    assert_eq!(
        kind(many),
        ParseErrorKind::TooManyInstructions {
            limit: MAX_INSTRUCTIONS
        }
    );
    let heredocs = format!("RUN{}\n", " <<A".repeat(1_000));
    assert!(matches!(
        kind(heredocs),
        ParseErrorKind::TooManyHeredocs { .. }
    ));
}

#[test]
fn large_shapes_take_linear_time() {
    let shapes = [
        format!("RUN a{}", " \\\n# c\n b".repeat(300_000)),
        format!("ENV{}", " a=b".repeat(500_000)),
        format!("COPY{} /d", " a".repeat(500_000)),
        format!("RUN [{}\"a\"]", "\"a\",".repeat(500_000)),
        format!("RUN{} x", " --mount=type=tmpfs,target=/a".repeat(50_000)),
        format!("RUN {}", "[".repeat(2_000_000)),
        format!("RUN <<A\n{}A", "x\n".repeat(1_000_000)),
        format!("ONBUILD {}", "x".repeat(2_000_000)),
        "\\\n".repeat(1_000_000),
        "#\n".repeat(1_000_000),
    ];
    for shape in shapes {
        let start = Instant::now();
        let _ = parse(&Source::new("Dockerfile", shape.as_str()));
        let took = start.elapsed();
        assert!(
            took < Duration::from_secs(5),
            "{took:?} for {}…",
            &shape[..20]
        );
    }
}
