//! Licences of the dependencies, by the list in `deny.toml`.
//!
//! `cargo deny` knows more (advisories, bans, sources), but takes minutes to install: it runs where it is
//! installed. The licences are checked here in any case, from cargo's own metadata.

use serde::Deserialize;

use crate::error::Error;
use crate::process::{cargo, installed, note, output, run};
use crate::project::Project;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// Absent for members of the workspace.
    source: Option<String>,
}

/// The only place that dependencies come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Checks every dependency of every target.
pub fn check(project: &Project) -> Result<(), Error> {
    let path = project.root.join("deny.toml");
    let deny = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let mut metadata = cargo();
    metadata.args(["metadata", "--format-version", "1", "--locked"]);
    let text = output(metadata.current_dir(&project.root))?;
    let metadata: Metadata = serde_json::from_str(&text).map_err(|source| Error::Malformed {
        what: "cargo's metadata".to_owned(),
        source,
    })?;
    let findings = findings(&metadata, &allowed(&deny));
    for finding in &findings {
        note(finding);
    }
    if !findings.is_empty() {
        return Err(Error::Found {
            what: format!("{} dependencies are not allowed", findings.len()),
        });
    }
    note(&format!("{} packages are allowed", metadata.packages.len()));
    if installed("cargo-deny") {
        let mut deny = cargo();
        deny.args(["deny", "--offline", "check", "licenses", "bans", "sources"]);
        return run("cargo deny", deny.current_dir(&project.root));
    }
    note(
        "cargo-deny is not installed (`cargo xtask setup --tools`): advisories and bans are not checked",
    );
    Ok(())
}

fn findings(metadata: &Metadata, allowed: &[String]) -> Vec<String> {
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let Some(source) = &package.source else {
            continue;
        };
        let name = format!("{} {}", package.name, package.version);
        if source != REGISTRY {
            findings.push(format!("{name} comes from {source}"));
        }
        match &package.license {
            Some(expression) if permits(expression, allowed) => {}
            Some(expression) => findings.push(format!("{name} is licensed {expression}")),
            None => findings.push(format!("{name} names no licence")),
        }
    }
    findings
}

/// The `allow` list of the `[licenses]` table.
fn allowed(deny: &str) -> Vec<String> {
    let list = deny
        .split_once("[licenses]")
        .and_then(|(_, table)| table.split_once("allow = ["))
        .and_then(|(_, list)| list.split_once(']'))
        .map_or("", |(list, _)| list);
    list.lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(|line| line.split(','))
        .map(|word| word.trim().trim_matches('"').to_owned())
        .filter(|word| !word.is_empty())
        .collect()
}

/// Whether an SPDX expression can be met with these licences. `AND` binds tighter than `OR`; the old form
/// `A/B` means `A OR B`.
fn permits(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(&mut rest, allowed) && rest.is_empty()
}

fn any_of(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = all_of(words, allowed);
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        met |= all_of(words, allowed);
    }
    met
}

fn all_of(words: &mut &[&str], allowed: &[String]) -> bool {
    let mut met = one(words, allowed);
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut &[&str], allowed: &[String]) -> bool {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let met = any_of(words, allowed);
            if let [")", rest @ ..] = *words {
                *words = rest;
            }
            met
        }
        [licence, "WITH", exception, rest @ ..] => {
            *words = rest;
            allowed.contains(&format!("{licence} WITH {exception}"))
        }
        [licence, rest @ ..] => {
            *words = rest;
            allowed.iter().any(|name| name == licence)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_met_as_spdx_says() {
        let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"].map(str::to_owned);
        for (expression, met) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("GPL-3.0 OR MIT", true),
            ("MIT/Apache-2.0", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(MIT OR Apache-2.0) AND GPL-3.0", false),
            ("MIT AND GPL-3.0 OR Apache-2.0", true),
            ("Apache-2.0 WITH LLVM-exception", false),
            ("", false),
        ] {
            assert_eq!(permits(expression, &allowed), met, "{expression}");
        }
    }

    #[test]
    fn list_is_read_from_the_kept_file() {
        let path = Project::find().root.join("deny.toml");
        let allowed = allowed(&std::fs::read_to_string(path).unwrap());
        assert!(allowed.contains(&"Apache-2.0".to_owned()));
        assert!(!allowed.iter().any(|name| name.contains("GPL")));
    }

    #[test]
    fn dependency_from_elsewhere_is_found() {
        let package = |source: &str, license: &str| Package {
            name: "p".to_owned(),
            version: "1.0.0".to_owned(),
            license: Some(license.to_owned()),
            source: Some(source.to_owned()),
        };
        let metadata = Metadata {
            packages: vec![package("git+https://x", "MIT"), package(REGISTRY, "MIT")],
        };
        assert_eq!(
            findings(&metadata, &["MIT".to_owned()]),
            ["p 1.0.0 comes from git+https://x"]
        );
    }
}
