//! A case of the corpus: how its context is built, and what is expected of the build.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// A case.
#[derive(Debug)]
pub struct Case {
    /// Its folder.
    pub folder: PathBuf,
    /// File with the expected result.
    pub expected_file: PathBuf,
    /// How to build it.
    pub recipe: Recipe,
    /// How the build must end.
    pub expected: Expected,
}

/// `case.json`, as far as a builder needs it.
#[derive(Debug, Deserialize)]
pub struct Recipe {
    /// Name of the case.
    pub name: String,
    /// Dockerfile, relative to the context.
    pub dockerfile: String,
    /// `--build-arg`.
    #[serde(default)]
    pub build_args: BTreeMap<String, String>,
    /// `--target`.
    pub target: Option<String>,
    /// `--secret`: id and value.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// `--build-context`: name and folder in the context.
    #[serde(default)]
    pub build_contexts: BTreeMap<String, String>,
}

/// The expected result, as far as it says how the build ends; the rest is compared by the corpus's own tool.
#[derive(Debug, Deserialize)]
pub struct Expected {
    /// `ok` or `error`.
    pub outcome: Outcome,
    /// Words that any builder's error can be asked for.
    pub error_contains: Option<String>,
}

/// How a build ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// With an image.
    Ok,
    /// With an error.
    Error,
}

/// Names of all cases, sorted.
pub fn names(corpus: &Path) -> Result<Vec<String>, Error> {
    let folder = corpus.join("cases");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(Error::file("list", &folder))? {
        let name = entry.map_err(Error::file("list", &folder))?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The cases whose name holds one of the filters; all of them without filters.
pub fn read_all(corpus: &Path, filters: &[String]) -> Result<Vec<Case>, Error> {
    names(corpus)?
        .iter()
        .filter(|name| filters.is_empty() || filters.iter().any(|filter| name.contains(filter)))
        .map(|name| read(corpus, name))
        .collect()
}

fn read(corpus: &Path, name: &str) -> Result<Case, Error> {
    let folder = corpus.join("cases").join(name);
    let expected_file = corpus.join("expected").join(format!("{name}.json"));
    let recipe = read_json(&folder.join("case.json"))?;
    let expected = read_json(&expected_file)?;
    Ok(Case {
        folder,
        expected_file,
        recipe,
        expected,
    })
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = std::fs::read(path).map_err(Error::file("read", path))?;
    serde_json::from_slice(&text).map_err(|source| Error::Malformed {
        path: path.to_owned(),
        source,
    })
}
