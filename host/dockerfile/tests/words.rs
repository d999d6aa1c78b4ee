//! Expansion against the recorded word cases.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test reports by panicking and printing"
)]

mod corpus;

use kiln_dockerfile::words::{ExpandError, Expander, MAX_LEN, NoVariables};
use std::collections::BTreeMap;
use std::fs;

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn every_recorded_expansion_agrees() {
    let Some(folder) = corpus::folder("words") else {
        return;
    };
    let env = variables(&[
        ("PWD", "/home"),
        ("SHELL", "bash"),
        ("KOREAN", "한국어"),
        ("NULL", ""),
    ]);
    let text = fs::read_to_string(folder.join("envVarTest")).unwrap();
    let mut cases = 0;
    let mut wrong = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
    {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [platform, input, expected] = fields[..] else {
            panic!("odd line: {line}")
        };
        if platform == "W" {
            continue;
        }
        cases += 1;
        let got = Expander::new('\\')
            .expand(input, &env)
            .map(|expansion| expansion.text);
        let same = match &got {
            Ok(text) => expected != "error" && text == expected,
            Err(_) => expected == "error",
        };
        if !same {
            wrong.push(format!("{input}: {got:?} is not {expected:?}"));
        }
    }
    assert!(cases > 100, "only {cases} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_recorded_split_agrees() {
    let Some(folder) = corpus::folder("words") else {
        return;
    };
    let text = fs::read_to_string(folder.join("wordsTest")).unwrap();
    let mut env = BTreeMap::new();
    let mut cases = 0;
    for line in text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
    {
        if let Some(assignment) = line.strip_prefix("ENV ") {
            let (name, value) = assignment.trim_start().split_once('=').unwrap();
            env.insert(name.to_owned(), value.to_owned());
            continue;
        }
        let (input, expected) = line.split_once('|').unwrap();
        let got = Expander::new('\\').expand(input.trim(), &env);
        cases += 1;
        if expected.trim() == "error" {
            assert!(got.is_err(), "{line}");
            continue;
        }
        let expected = expected.trim_start_matches(' ');
        let expected: Vec<&str> = if expected.is_empty() {
            Vec::new()
        } else {
            expected.split(',').collect()
        };
        assert_eq!(got.unwrap().words, expected, "{line}");
    }
    assert!(cases > 20, "only {cases} cases");
}

#[test]
fn substitutions_follow_the_table() {
    let env = variables(&[
        ("x", "aXbXc"),
        ("e", ""),
        ("p", "/usr/local/bin"),
        ("s", "*lit*"),
        ("nl", "a\nb"),
    ]);
    let cases = [
        ("${x-d}", "aXbXc"),
        ("${u-d}", "d"),
        ("${e-d}", ""),
        ("${e:-d}", "d"),
        ("${e+s}", "s"),
        ("${e:+s}", ""),
        ("${x#*X}", "bXc"),
        ("${x##*X}", "c"),
        ("${x%X*}", "aXb"),
        ("${x%%X*}", "a"),
        ("${p##*/}", "bin"),
        ("${p%/*}", "/usr/local"),
        ("${x/X/-}", "a-bXc"),
        ("${x//X/-}", "a-b-c"),
        ("${x//?/_}", "_____"),
        ("${x/b*/}", "aX"),
        ("${x//}", "error"),
        ("${x///-}", "-a-X-b-X-c-"),
        ("${p//\\//:}", ":usr:local:bin"),
        ("${s#\\*}", "lit*"),
        ("${s#\\q}", "error"),
        ("${nl#*b}", "a\nb"),
        ("${u/*/w}", "w"),
        ("${x:-${y:-${z:-deep}}}", "aXbXc"),
        ("${y:-${z:-deep}}", "deep"),
        ("${x^}", "error"),
        ("${x:", "error"),
        ("${x:-a", "error"),
    ];
    for (input, expected) in cases {
        let got = Expander::new('\\')
            .expand(input, &env)
            .map(|expansion| expansion.text);
        assert_eq!(got.as_deref().unwrap_or("error"), expected, "{input}");
    }
}

#[test]
fn names_that_were_asked_for_are_reported() {
    let env = variables(&[("a", "1")]);
    let expansion = Expander::new('\\').expand("$a $b ${c:-x}", &env).unwrap();
    assert_eq!(expansion.matched.into_iter().collect::<Vec<_>>(), ["a"]);
    assert_eq!(expansion.unmatched.into_iter().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn unset_names_stay_where_asked() {
    let rules = Expander {
        keep_unset: true,
        keep_quotes: true,
        keep_escapes: true,
        ..Expander::new('\\')
    };
    for text in [
        "$a",
        "${a}",
        "${a:-b}",
        "${a%%x}",
        "${a/b/c}",
        "\"$a\" 'b' \\c",
    ] {
        assert_eq!(rules.expand(text, &NoVariables).unwrap().text, text);
    }
}

#[test]
fn bodies_of_heredocs_expand_with_quotes_plain() {
    let env = variables(&[("a", "1")]);
    assert_eq!(
        Expander::heredoc()
            .expand("'$a' \"${a}\" \\$a", &env)
            .unwrap()
            .text,
        "'1' \"1\" $a"
    );
}

#[test]
fn backquote_can_be_the_escape() {
    assert_eq!(
        Expander::new('`')
            .expand("a\\b `$x `` \"`\"\"", &NoVariables)
            .unwrap()
            .text,
        "a\\b $x ` \""
    );
}

#[test]
fn bounds_are_errors() {
    let long = "a".repeat(MAX_LEN + 1);
    assert_eq!(
        Expander::new('\\').expand(&long, &NoVariables),
        Err(ExpandError::TooLong)
    );
    let env = variables(&[("a", &"b".repeat(MAX_LEN))]);
    assert_eq!(
        Expander::new('\\').expand("$a$a", &env),
        Err(ExpandError::TooLong)
    );
    assert_eq!(
        Expander::new('\\').expand("\"$a$a\"", &env),
        Err(ExpandError::TooLong)
    );
    let deep = "${a:-".repeat(500) + &"}".repeat(500);
    assert_eq!(
        Expander::new('\\').expand(&deep, &NoVariables),
        Err(ExpandError::TooDeep)
    );
    let costly = format!("${{a//{}c/}}", "*b".repeat(1000));
    assert_eq!(
        Expander::new('\\').expand(&costly, &env),
        Err(ExpandError::TooExpensive)
    );
}
