//! The parser against the recorded trees.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test reports by panicking and printing"
)]

mod corpus;

use kiln_dockerfile::ast::Word;
use kiln_dockerfile::syntax::{Arguments, Statement};
use kiln_dockerfile::{Source, parse, statements};
use std::fs;
use std::path::{Path, PathBuf};

/// Cases whose recorded tree is not followed, with the reason.
const KNOWN_DIFFERENCES: [(&str, &str); 0] = [];

fn source(path: &Path) -> Source {
    Source::from_bytes("Dockerfile", &fs::read(path).unwrap())
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

#[test]
fn every_recorded_tree_agrees() {
    let Some(folder) = corpus::folder("parser/testfiles") else {
        return;
    };
    let mut wrong = Vec::new();
    let cases = cases(&folder);
    assert!(cases.len() >= 30);
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        if let Some((_, reason)) = KNOWN_DIFFERENCES.iter().find(|(known, _)| *known == name) {
            println!("known difference {name}: {reason}");
            continue;
        }
        let expected = fs::read_to_string(case.join("result")).unwrap();
        let got = match statements(&source(&case.join("Dockerfile"))) {
            Ok(statements) => statements
                .iter()
                .map(|statement| format!("({})\n", dump(statement)))
                .collect(),
            Err(error) => error.to_string(),
        };
        if got.trim() != expected.trim() {
            wrong.push(format!("== {name}\n-- got\n{got}\n-- expected\n{expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_recorded_mistake_is_refused() {
    let Some(folder) = corpus::folder("parser/testfiles-negative") else {
        return;
    };
    for case in cases(&folder) {
        assert!(
            statements(&source(&case.join("Dockerfile"))).is_err(),
            "{}",
            case.display()
        );
    }
}

#[test]
fn instructions_know_their_lines() {
    let Some(folder) = corpus::folder("parser/testfile-line") else {
        return;
    };
    let source = source(&folder.join("Dockerfile"));
    let dockerfile = parse(&source).unwrap();
    let lines: Vec<_> = dockerfile
        .instructions
        .iter()
        .map(|instruction| source.lines(instruction.span))
        .collect();
    assert_eq!(lines, [(5, 5), (11, 12), (17, 31)]);
}

fn dump(statement: &Statement) -> String {
    let mut out = statement.keyword.text.to_lowercase();
    if !statement.flags.is_empty() {
        let flags: Vec<_> = statement
            .flags
            .iter()
            .map(|flag| quote(&flag.text))
            .collect();
        out.push_str(&format!(" [{}]", flags.join(" ")));
    }
    out.push_str(&dump_arguments(&statement.arguments));
    out.trim().to_owned()
}

fn dump_arguments(arguments: &Arguments) -> String {
    let words = |words: &[Word]| {
        words
            .iter()
            .map(|word| format!(" {}", quote(&word.text)))
            .collect::<String>()
    };
    match arguments {
        Arguments::None => String::new(),
        Arguments::Text(word) => format!(" {}", quote(&word.text)),
        Arguments::Words(list) | Arguments::Json(list) => words(list),
        Arguments::Declarations(args) => args
            .iter()
            .map(|arg| {
                let default = arg.default.as_ref().map(|word| format!("={}", word.text));
                format!(
                    " {}",
                    quote(&(arg.name.text.clone() + &default.unwrap_or_default()))
                )
            })
            .collect(),
        Arguments::Pairs(pairs) => pairs
            .iter()
            .map(|pair| {
                let separator = if pair.legacy { "" } else { "=" };
                format!(
                    " {} {} \"{separator}\"",
                    quote(&pair.key.text),
                    quote(&pair.value.text)
                )
            })
            .collect(),
        Arguments::Health(word, command) => {
            format!(" {}{}", quote(&word.text), dump_arguments(command))
        }
        Arguments::Nested(inner) => format!(" ({})", dump(inner)),
    }
}

/// As Go's `%q` for text.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for ch in text.chars() {
        match ch {
            '"' | '\\' => out.extend(['\\', ch]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ch if (ch as u32) < 0x20 => out.push_str(&format!("\\x{:02x}", ch as u32)),
            ch => out.push(ch),
        }
    }
    out.push('"');
    out
}

/// Everything that a Dockerfile says, without places.
fn said(text: &str) -> Vec<String> {
    let source = Source::from_bytes("Dockerfile", text.as_bytes());
    statements(&source).unwrap().iter().map(dump).collect()
}

#[test]
fn crlf_and_a_byte_order_mark_change_nothing() {
    let text = "# syntax=docker/dockerfile:1\n# escape=`\n\n  FROM a AS b\n# note\nRUN one `\n # no\n\n  two ` \n\tthree\n\
                LABEL a=\"x\" `\n  b='y z'\nCMD [\"a\", `\n  \"b\"]\nENV k v w  \nONBUILD COPY a `\n b\n";
    let lf = said(text);
    assert_eq!(lf.len(), 6);
    assert_eq!(said(&text.replace('\n', "\r\n")), lf);
    assert_eq!(said(&format!("\u{feff}{}", text.replace('\n', "\r\n"))), lf);
    let Some(folder) = corpus::folder("parser/testfiles") else {
        return;
    };
    for case in cases(&folder) {
        let text = fs::read_to_string(case.join("Dockerfile")).unwrap();
        let text = text.replace("\r\n", "\n");
        if !text.contains("<<") && statements(&Source::new("Dockerfile", text.as_str())).is_ok() {
            let name = case.display();
            assert_eq!(said(&text.replace('\n', "\r\n")), said(&text), "{name}");
        }
    }
}

#[test]
fn bodies_of_heredocs_keep_crlf_and_are_warned_of() {
    let text = "FROM a\nRUN <<EOF\n\tone\nEOF\nCOPY <<-X /x\n\tX\n".replace('\n', "\r\n");
    let source = Source::new("Dockerfile", text.as_str());
    let statements = statements(&source).unwrap();
    assert_eq!(statements[1].heredocs[0].content, "\tone\r\n");
    assert_eq!(statements[2].heredocs[0].content, "");
    let warnings = parse(&source).unwrap().warnings;
    let told: Vec<_> = warnings
        .iter()
        .filter(|warning| warning.rule.name() == "HeredocCarriageReturn")
        .map(|warning| source.slice(warning.span))
        .collect();
    assert_eq!(told, ["<<EOF"]);
}
