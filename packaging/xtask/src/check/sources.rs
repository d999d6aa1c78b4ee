//! Rules that hold of the source text: where `cfg` of the operating system, `unsafe` and printing may stand, and
//! which files have grown past reading.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::project::Project;

/// Folders of the checkout that hold Rust.
const FOLDERS: &[&str] = &["guest-agent", "host", "packaging", "tests"];

/// Where the operating system may be asked for.
const OPERATING_SYSTEM: &[&str] = &[
    // Linux only, all of it.
    "guest-agent/agent/",
    // Metadata of files: what a system knows of them differs.
    "host/context/src/metadata/",
    "host/platform/",
    // Positioned reads.
    "host/share/src/file.rs",
    "host/vmm/src/backends/",
];

/// Leaf modules that may be unsafe: system calls only.
const UNSAFE: &[&str] = &[
    "guest-agent/agent/src/sys/",
    "host/platform/src/holes.rs",
    "host/platform/src/hypervisor_platform.rs",
    "host/platform/src/job.rs",
    "host/platform/src/process.rs",
    // The function that libkrun calls for its kernel, and a structure of the C library.
    "host/vmm/src/backends/krun/firmware.rs",
    "host/vmm/src/backends/krun/stat.rs",
    "host/platform/src/windows.rs",
    // The processor's time stamp counter.
    "host/vmm/src/backends/tsc.rs",
];

/// What may print: the program itself, the task runner, and the agent to the guest's console.
const PRINTING: &[&str] = &[
    "guest-agent/agent/src/connection.rs",
    "host/cli/",
    "packaging/xtask/",
];

/// Lines from which on a file is told to be long.
const LONG: usize = 400;

const SYSTEM_WORDS: &[&str] = &[
    "target_os",
    "cfg(unix",
    "cfg(windows",
    "cfg!(unix",
    "cfg!(windows",
    "std::os::",
];
const PRINT_WORDS: &[&str] = &["println!", "print!", "eprintln!", "eprint!"];

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Broken rules.
    pub findings: Vec<String>,
    /// Long files, which are told but allowed.
    pub long: Vec<String>,
}

/// Reads every source file.
pub fn check(project: &Project) -> Result<Report, Error> {
    let mut report = Report::default();
    for folder in FOLDERS {
        for path in rust_files(&project.root.join(folder))? {
            let text = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
            let name = path.strip_prefix(&project.root).unwrap_or(&path);
            check_file(
                &name.to_string_lossy().replace('\\', "/"),
                &text,
                &mut report,
            );
        }
    }
    Ok(report)
}

fn check_file(name: &str, text: &str, report: &mut Report) {
    let lines = text.lines().count();
    if lines > LONG {
        report.long.push(format!("{name} has {lines} lines"));
    }
    let is_test = is_test(name);
    let allowed = |places: &[&str]| is_test || places.iter().any(|place| name.starts_with(place));
    let root = name.ends_with("/src/lib.rs") || name.ends_with("/src/main.rs");
    let krate = name.split("/src/").next().unwrap_or_default();
    let leaf = UNSAFE
        .iter()
        .any(|place| place.starts_with(&format!("{krate}/")));
    if root && !leaf && !is_test && !text.contains("#![forbid(unsafe_code)]") {
        report
            .findings
            .push(format!("{name}: lacks #![forbid(unsafe_code)]"));
    }
    for (number, line) in code_lines(text) {
        let line = without_strings(line);
        let mut found = |what: &str| report.findings.push(format!("{name}:{number}: {what}"));
        if !allowed(OPERATING_SYSTEM) && SYSTEM_WORDS.iter().any(|word| line.contains(word)) {
            found("asks for the operating system; that belongs into host/platform");
        }
        if !allowed(UNSAFE) && has_word(&line, "unsafe") {
            found("is unsafe outside of the named leaf modules");
        }
        if !allowed(PRINTING) && PRINT_WORDS.iter().any(|word| has_word(&line, word)) {
            found("prints; only host/cli does");
        }
    }
}

/// Whether a file is a test or an example, which may do what the program may not.
fn is_test(name: &str) -> bool {
    name.starts_with("tests/")
        || name.contains("/tests/")
        || name.contains("/examples/")
        || name.ends_with("/tests.rs")
        || name.ends_with("_tests.rs")
}

/// A line without what stands in its string literals.
fn without_strings(line: &str) -> String {
    let mut rest = String::with_capacity(line.len());
    let mut inside = false;
    let mut escaped = false;
    for c in line.chars() {
        let quote = c == '"' && !escaped;
        escaped = inside && c == '\\' && !escaped;
        if quote {
            inside = !inside;
        }
        if quote || !inside {
            rest.push(c);
        }
    }
    rest
}

/// Lines that are neither comments nor part of the tests at a file's end, numbered from 1.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim_start()))
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .filter(|(_, line)| !line.starts_with("//"))
}

/// Whether `word` stands in the line on its own, not as part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let part_of_name = |c: char| c.is_alphanumeric() || c == '_' || c == '"';
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(part_of_name)
            && !after.is_some_and(|c| part_of_name(c) && !word.ends_with('!'))
    })
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(Error::file("list", &folder))? {
            let path = entry.map_err(Error::file("list", &folder))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, text: &str) -> Vec<String> {
        let mut report = Report::default();
        check_file(name, text, &mut report);
        report.findings
    }

    #[test]
    fn rules_are_broken_outside_of_their_places_only() {
        let system = "#[cfg(target_os = \"linux\")]\n";
        assert_eq!(findings("host/store/src/a.rs", system).len(), 1);
        assert_eq!(findings("host/platform/src/a.rs", system).len(), 0);
        let block = "let x = unsafe { f() };\n";
        assert_eq!(findings("host/store/src/a.rs", block).len(), 1);
        assert_eq!(findings("guest-agent/agent/src/sys/a.rs", block).len(), 0);
        assert_eq!(
            findings("host/store/src/a.rs", "println!(\"x\");\n").len(),
            1
        );
        assert_eq!(findings("host/cli/src/a.rs", "println!(\"x\");\n").len(), 0);
    }

    #[test]
    fn words_in_strings_break_no_rule() {
        let line = r#"let option = "cache=unsafe \" println!()"; f()"#;
        assert_eq!(findings("host/vmm/src/a.rs", line), Vec::<String>::new());
        assert_eq!(
            findings("host/vmm/src/a.rs", r#"f("x"); unsafe { g() }"#).len(),
            1
        );
    }

    #[test]
    fn comments_tests_and_longer_names_break_no_rule() {
        let text = "// unsafe println!\n#![forbid(unsafe_code)]\n#[cfg(test)]\nmod tests { fn f() { println!() } }\n";
        assert_eq!(findings("host/store/src/a.rs", text), Vec::<String>::new());
    }

    #[test]
    fn crate_root_that_allows_unsafe_is_found() {
        assert_eq!(findings("host/store/src/lib.rs", "mod a;\n").len(), 1);
        assert_eq!(findings("host/platform/src/lib.rs", "mod a;\n").len(), 0);
    }
}
