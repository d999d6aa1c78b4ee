//! The cases of the conformance corpus that need no RUN, built by this crate alone and compared with what BuildKit
//! made of them. Without the corpus next to the repository, this says so and passes. Not on Windows: the contexts have
//! modes, links and names that only Unix can give files.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod build;
mod case;

use std::collections::BTreeMap;
use std::path::PathBuf;

use case::Case;

/// Cases that this crate treats otherwise on purpose, or that are about something else.
const APART: &[(&str, &str)] = &[
    (
        "k-add-archives",
        "xz is unpacked here, as Docker's documentation says; the oracle had no xz program",
    ),
    (
        "b-dockerignore-allowlist-alternating-other",
        "two sources are missing; this names the first of them",
    ),
    ("k-parser-empty", "about the parser"),
];

#[test]
fn cases_without_run_build_as_recorded() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance");
    let Ok(folders) = std::fs::read_dir(corpus.join("cases")) else {
        eprintln!("skipped: no conformance corpus at {}", corpus.display());
        return;
    };
    let only = std::env::var("KILN_CASE").ok();
    let mut failures = BTreeMap::new();
    let mut compared = 0;
    for folder in folders {
        let name = folder.unwrap().file_name().into_string().unwrap();
        let apart = APART.iter().any(|(apart, _)| *apart == name);
        if apart || only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let case = Case::read(&corpus, &name);
        let Some(result) = build::build(&case) else {
            continue;
        };
        compared += 1;
        let differences = case.differences(&result);
        if !differences.is_empty() {
            failures.insert(name, differences);
        }
    }
    eprintln!("{compared} cases compared");
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(
        compared > 90 || only.is_some(),
        "only {compared} cases were compared"
    );
}
