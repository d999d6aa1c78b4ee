//! Every Dockerfile of the corpus: where the plan alone decides, config and outcome agree with the recording.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test reports by panicking and printing"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use kiln_dockerfile::{Source, parse};
use kiln_oci::{ContainerConfig, ImageConfig, Platform};
use kiln_plan::{BaseResolver, BuildGraph, NamedContext, PlanRequest, ResolveError, plan};
use serde_json::Value;

/// Cases that fail before anything is built: parser or plan must refuse them.
const REFUSED: [&str; 9] = [
    "b-env-invalid-ssquote",
    "k-add-checksum-local",
    "k-copy-chmod-invalid",
    "k-mount-bad-type",
    "k-parser-bad-flag",
    "k-parser-empty",
    "k-parser-no-from",
    "k-stage-name-invalid",
    "k-vars-required-error",
];

struct Corpus;

impl BaseResolver for Corpus {
    fn image(&self, name: &str, _: &Platform) -> Result<Option<ImageConfig>, ResolveError> {
        let config = ContainerConfig {
            env: vec![
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            ],
            cmd: Some(vec!["sh".to_owned()]),
            ..ContainerConfig::default()
        };
        let known = matches!(name, "busybox" | "alpine" | "centos:7");
        Ok(known.then(|| ImageConfig {
            config,
            os: "linux".into(),
            architecture: "amd64".into(),
            ..Default::default()
        }))
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn request(case: &Value) -> PlanRequest {
    let amd64: Platform = "linux/amd64".parse().unwrap();
    let object = |key: &str| case[key].as_object().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    PlanRequest {
        build_args: object("build_args")
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        target: case["target"].as_str().map(str::to_owned),
        platform: amd64.clone(),
        build_platform: amd64,
        labels: BTreeMap::new(),
        named_contexts: object("build_contexts")
            .keys()
            .map(|name| (name.clone(), NamedContext::Directory))
            .collect(),
    }
}

/// The plan, or the whole chain of what is wrong.
fn outcome(folder: &Path, case: &Value) -> Result<BuildGraph, String> {
    let path = folder
        .join("context")
        .join(case["dockerfile"].as_str().unwrap());
    let source = Source::from_bytes(
        "Dockerfile",
        &fs::read(&path).unwrap_or_else(|_| dockerfile_bytes(folder, case)),
    );
    let dockerfile = parse(&source).map_err(|error| chain(&error))?;
    plan(&dockerfile, &request(case), &Corpus).map_err(|error| chain(&error))
}

/// A Dockerfile whose bytes are in `context.json`.
fn dockerfile_bytes(folder: &Path, case: &Value) -> Vec<u8> {
    let entries = json(&folder.join("context.json"));
    let entries = entries
        .as_array()
        .or_else(|| entries["entries"].as_array())
        .unwrap();
    let entry = entries
        .iter()
        .find(|entry| entry["path"] == case["dockerfile"])
        .unwrap();
    base64(entry["data_b64"].as_str().unwrap())
}

fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    let (mut bits, mut len) = (0u32, 0);
    for ch in text.chars().filter(|ch| *ch != '=') {
        bits = bits << 6 | ALPHABET.find(ch).unwrap() as u32;
        len += 6;
        if len >= 8 {
            len -= 8;
            out.push((bits >> len) as u8);
        }
    }
    out
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The config in the corpus's form: sets as sorted lists.
fn normalised(graph: &BuildGraph) -> Value {
    let stage = &graph.stages[graph.target];
    let mut value = serde_json::to_value(&stage.config).unwrap();
    let object = value.as_object_mut().unwrap();
    object.remove("ArgsEscaped");
    for key in ["ExposedPorts", "Volumes"] {
        if let Some(set) = object.get_mut(key) {
            *set = set.as_object().unwrap().keys().cloned().collect();
        }
    }
    for key in ["Cmd", "Entrypoint"] {
        if object
            .get(key)
            .is_some_and(|words| words.as_array().is_some_and(Vec::is_empty))
        {
            object.remove(key);
        }
    }
    if let Some(author) = &stage.author {
        object.insert("author".to_owned(), author.clone().into());
    }
    object.insert(
        "architecture".to_owned(),
        stage.platform.architecture.clone().into(),
    );
    object.insert("os".to_owned(), stage.platform.os.clone().into());
    value
}

fn compare(folder: &Path, expected: &Value) -> Result<(), String> {
    let case = json(&folder.join("case.json"));
    let name = case["name"].as_str().unwrap();
    let outcome = outcome(folder, &case);
    if REFUSED.contains(&name) {
        let error = outcome.err().ok_or("planned, but must fail")?;
        let part = expected["error_contains"].as_str().unwrap_or_default();
        return if error.contains(part) {
            Ok(())
        } else {
            Err(format!("`{error}` does not say `{part}`"))
        };
    }
    let graph = outcome?;
    if expected["outcome"] == "ok" {
        let got = normalised(&graph);
        if got != expected["config"] {
            return Err(format!(
                "config\n  got      {got}\n  expected {}",
                expected["config"]
            ));
        }
    }
    Ok(())
}

#[test]
fn every_case_of_the_corpus_agrees() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance");
    if !root.is_dir() {
        println!("skipped: no conformance corpus at {}", root.display());
        return;
    }
    let mut cases = 0;
    let mut wrong = Vec::new();
    let mut folders: Vec<_> = fs::read_dir(root.join("cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let expected = json(&root.join("expected").join(format!("{name}.json")));
        cases += 1;
        if let Err(difference) = compare(&folder, &expected) {
            wrong.push(format!("{name}: {difference}"));
        }
    }
    assert!(cases >= 200, "only {cases} cases");
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
