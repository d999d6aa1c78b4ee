//! `--env-file`: docker's format. One `NAME=VALUE` or `NAME` a line, `#` at the start of a line begins a comment; no quotes,
//! no expansion.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::variable;
use crate::failure::Failure;

/// Largest file: environments of processes are smaller.
const MAX_FILE: u64 = 2 << 20;

/// Reads the variables of a file.
pub fn read(path: &Path) -> Result<Vec<String>, Failure> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text))
        .map_err(|error| {
            Failure::usage(format!("cannot read {}", path.display())).because(&error)
        })?;
    if text.len() as u64 > MAX_FILE {
        return Err(Failure::usage(format!(
            "{} is larger than {} MiB",
            path.display(),
            MAX_FILE >> 20
        )));
    }
    parse(&text, &path.display().to_string())
}

fn parse(text: &str, name: &str) -> Result<Vec<String>, Failure> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = line.split('=').next().unwrap_or_default();
        if key.contains(char::is_whitespace) {
            return Err(Failure::usage(format!(
                "{name}:{}: the name `{key}` has a space in it",
                index + 1
            )));
        }
        variables.extend(variable(line)?);
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_as_they_are() {
        let text = "\u{feff}# comment\n\n  A=1\nB=\"two words\" # kept\r\nC=\nKILN_TEST_NOT_SET\n";
        assert_eq!(
            parse(text, "f").ok(),
            Some(
                ["A=1", "B=\"two words\" # kept", "C="]
                    .map(str::to_owned)
                    .to_vec()
            )
        );
        for text in ["=x", "A B=1", "A =1"] {
            assert!(parse(text, "f").is_err(), "{text}");
        }
    }
}
