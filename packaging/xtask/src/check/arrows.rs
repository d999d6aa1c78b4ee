//! Which crate may use which. The table is the design's; a new arrow is a decision, made here.

use std::process::Command;

use serde::Deserialize;

use crate::error::Error;
use crate::process::{cargo, output};
use crate::project::Project;

/// Crate and the crates of this workspace that it may use, in the order of the layers from the bottom.
const ARROWS: &[(&str, &[&str])] = &[
    ("kiln-protocol", &[]),
    ("kiln-layer", &[]),
    ("kiln-mux", &[]),
    ("kiln-agent", &["kiln-protocol", "kiln-layer", "kiln-mux"]),
    ("kiln-platform", &[]),
    ("kiln-oci", &[]),
    ("kiln-dockerfile", &[]),
    ("kiln-share", &[]),
    ("kiln-plan", &["kiln-dockerfile", "kiln-oci"]),
    ("kiln-erofs", &["kiln-layer"]),
    ("kiln-context", &["kiln-platform"]),
    ("kiln-config", &["kiln-context"]),
    ("kiln-agent-client", &["kiln-protocol"]),
    (
        "kiln-store",
        &["kiln-erofs", "kiln-layer", "kiln-oci", "kiln-platform"],
    ),
    (
        "kiln-rootfs",
        &[
            "kiln-context",
            "kiln-erofs",
            "kiln-layer",
            "kiln-oci",
            "kiln-store",
        ],
    ),
    ("kiln-vmm", &["kiln-mux", "kiln-platform", "kiln-share"]),
    (
        "kiln-engine",
        &[
            "kiln-agent-client",
            "kiln-config",
            "kiln-context",
            "kiln-dockerfile",
            "kiln-erofs",
            "kiln-layer",
            "kiln-oci",
            "kiln-plan",
            "kiln-platform",
            "kiln-protocol",
            "kiln-rootfs",
            "kiln-store",
            "kiln-vmm",
        ],
    ),
];

/// Crates at the top, which may use everything below them.
const TOP: &[&str] = &[
    "kiln",
    "xtask",
    "kiln-bench",
    "kiln-conformance",
    "kiln-e2e",
    "kiln-fuzz",
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// A package of the workspace.
#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// Absent for what is no development or build dependency.
    kind: Option<String>,
    path: Option<String>,
}

/// Arrows that the table does not have.
pub fn check(project: &Project) -> Result<Vec<String>, Error> {
    let mut metadata: Command = cargo();
    metadata.args(["metadata", "--format-version", "1", "--no-deps", "--locked"]);
    let text = output(metadata.current_dir(&project.root))?;
    findings(&text).map_err(|source| Error::Malformed {
        what: "cargo's metadata".to_owned(),
        source,
    })
}

fn findings(metadata: &str) -> Result<Vec<String>, serde_json::Error> {
    let metadata: Metadata = serde_json::from_str(metadata)?;
    Ok(metadata.packages.iter().flat_map(findings_of).collect())
}

fn findings_of(package: &Package) -> Vec<String> {
    if TOP.contains(&package.name.as_str()) {
        return Vec::new();
    }
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == package.name) else {
        return vec![format!(
            "crate `{}` is not in the table of arrows",
            package.name
        )];
    };
    let inside = |dependency: &&Dependency| dependency.path.is_some() && dependency.kind.is_none();
    package
        .dependencies
        .iter()
        .filter(inside)
        .filter(|dependency| !allowed.contains(&dependency.name.as_str()))
        .map(|dependency| format!("`{}` must not use `{}`", package.name, dependency.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_crate_that_uses_the_host_is_found() {
        let metadata = r#"{"packages":[
            {"name":"kiln-layer","dependencies":[
                {"name":"kiln-store","kind":null,"path":"/x"},
                {"name":"kiln-oci","kind":"dev","path":"/y"},
                {"name":"thiserror","kind":null}]},
            {"name":"kiln","dependencies":[{"name":"kiln-engine","kind":null,"path":"/z"}]},
            {"name":"kiln-new","dependencies":[]}]}"#;
        assert_eq!(
            findings(metadata).unwrap(),
            [
                "`kiln-layer` must not use `kiln-store`",
                "crate `kiln-new` is not in the table of arrows"
            ]
        );
    }
}
