//! The bill of materials of a binary: a CycloneDX 1.5 document, from cargo's own answer for exactly the target and
//! features that are released.
//!
//! Only what is linked in counts: dependencies of build scripts and of tests do not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::cross::Target;
use crate::error::Error;
use crate::process::{cargo, output};
use crate::project::Project;

/// A package that is part of the binary.
#[derive(Clone, Debug, Deserialize)]
pub struct Package {
    id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, as an SPDX expression.
    pub license: Option<String>,
    source: Option<String>,
    /// Its Cargo.toml; licence texts lie beside it.
    pub manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// None for an ordinary one.
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<LockedPackage>,
}

#[derive(Deserialize)]
struct LockedPackage {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// What a binary is made of.
#[derive(Debug)]
pub struct Materials {
    triple: &'static str,
    /// The packages, the binary's own first, then by name and version.
    pub packages: Vec<Package>,
    /// By package id: the ids of the packages that it uses.
    uses: BTreeMap<String, BTreeSet<String>>,
    /// By name and version: the digest of the package's archive.
    checksums: BTreeMap<(String, String), String>,
}

/// Asks cargo what `kiln` for `target` is made of.
pub fn of(project: &Project, target: &Target) -> Result<Materials, Error> {
    let mut ask = cargo();
    ask.current_dir(&project.root)
        .args(["metadata", "--format-version=1", "--locked"])
        .args(["--filter-platform", target.triple]);
    let answer = output(&mut ask)?;
    let metadata = serde_json::from_str(&answer).map_err(|source| Error::Malformed {
        what: "the answer of cargo metadata".to_owned(),
        source,
    })?;
    let path = project.root.join("Cargo.lock");
    let lock = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    Ok(materials(metadata, &checksums(&lock), target.triple))
}

fn materials(
    metadata: Metadata,
    checksums: &BTreeMap<(String, String), String>,
    triple: &'static str,
) -> Materials {
    let linked = |node: &Node| {
        let ordinary = |dependency: &&Dependency| {
            let kinds = &dependency.dep_kinds;
            kinds.iter().any(|kind| kind.kind.is_none())
        };
        let used = node.deps.iter().filter(ordinary);
        used.map(|dependency| dependency.pkg.clone()).collect()
    };
    let edges: BTreeMap<String, BTreeSet<String>> = metadata
        .resolve
        .nodes
        .iter()
        .map(|node| (node.id.clone(), linked(node)))
        .collect();
    let root = metadata
        .packages
        .iter()
        .find(|package| package.name == "kiln");
    let mut waiting: Vec<String> = root.iter().map(|package| package.id.clone()).collect();
    let mut uses = BTreeMap::new();
    while let Some(id) = waiting.pop() {
        let used = edges.get(&id).cloned().unwrap_or_default();
        if uses.insert(id, used.clone()).is_none() {
            waiting.extend(used);
        }
    }
    let mut packages = metadata.packages;
    packages.retain(|package| uses.contains_key(&package.id));
    packages.sort_by_key(|package| {
        let other = package.name != "kiln";
        (other, package.name.clone(), package.version.clone())
    });
    Materials {
        triple,
        packages,
        uses,
        checksums: checksums.clone(),
    }
}

/// The digests in Cargo.lock, whose form is a small and fixed part of TOML.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let lock = Lock {
        package: lock.split("[[package]]").filter_map(locked).collect(),
    };
    let known = lock.package.into_iter();
    known
        .filter_map(|package| Some(((package.name, package.version), package.checksum?)))
        .collect()
}

fn locked(block: &str) -> Option<LockedPackage> {
    let value = |key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.strip_prefix(" = \"")?.strip_suffix('"')?.to_owned())
    };
    Some(LockedPackage {
        name: value("name")?,
        version: value("version")?,
        checksum: value("checksum"),
    })
}

impl Materials {
    /// The document, the same bytes each time.
    pub fn to_json(&self) -> String {
        let (own, others) = self
            .packages
            .split_first()
            .expect("kiln is made of itself at least");
        let dependencies: Vec<Value> = self
            .packages
            .iter()
            .map(|package| {
                let used = self.packages.iter().filter(|other| {
                    self.uses
                        .get(&package.id)
                        .is_some_and(|used| used.contains(&other.id))
                });
                let names: Vec<String> = used.map(reference).collect();
                json!({ "ref": reference(package), "dependsOn": names })
            })
            .collect();
        let document = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {
                "timestamp": "2026-01-01T00:00:00Z",
                "component": self.component(own, "application"),
                "properties": [{ "name": "kiln:target", "value": self.triple }],
            },
            "components": others
                .iter()
                .map(|package| self.component(package, "library"))
                .collect::<Vec<_>>(),
            "dependencies": dependencies,
        });
        format!("{document:#}\n")
    }

    fn component(&self, package: &Package, kind: &str) -> Value {
        let mut component = json!({
            "type": kind,
            "bom-ref": reference(package),
            "name": package.name,
            "version": package.version,
        });
        if let Some(license) = &package.license {
            // An old way to write OR.
            let expression = license.replace('/', " OR ").replace("  ", " ");
            component["licenses"] = json!([{ "expression": expression }]);
        }
        if package.source.is_some() {
            component["purl"] = reference(package).into();
        }
        let key = (package.name.clone(), package.version.clone());
        if let Some(checksum) = self.checksums.get(&key) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        }
        component
    }
}

/// The package URL of a package.
fn reference(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cross::target::{RELEASED, WINDOWS};
    use crate::dist::VERSION;

    #[test]
    fn bill_lists_what_is_linked_for_the_target_and_nothing_else() {
        let project = Project::find();
        let windows = of(&project, &WINDOWS).unwrap();
        let names = |materials: &Materials| -> BTreeSet<String> {
            let packages = materials.packages.iter();
            packages.map(|package| package.name.clone()).collect()
        };
        let windows_names = names(&windows);
        assert!(windows_names.contains("kiln-engine") && windows_names.contains("rusqlite"));
        for absent in ["insta", "cc", "kiln-agent", "xtask", "vhost", "kiln-e2e"] {
            assert!(!windows_names.contains(absent), "{absent}");
        }
        assert!(names(&of(&project, &RELEASED[3]).unwrap()).contains("vhost"));
        assert_eq!(VERSION, windows.packages[0].version);
    }

    #[test]
    fn document_has_the_fields_that_its_schema_requires() {
        let materials = of(&Project::find(), &WINDOWS).unwrap();
        let document: Value = serde_json::from_str(&materials.to_json()).unwrap();
        assert_eq!(document["bomFormat"], "CycloneDX");
        assert_eq!(document["specVersion"], "1.5");
        assert_eq!(document["metadata"]["component"]["type"], "application");
        let components = document["components"].as_array().unwrap();
        let mut references = BTreeSet::from(["pkg:cargo/kiln@".to_owned() + VERSION]);
        for component in components {
            assert_eq!(component["type"], "library");
            assert!(
                component["licenses"][0]["expression"].is_string(),
                "{component}"
            );
            let own = component["name"].as_str().unwrap().starts_with("kiln-");
            assert_eq!(own, component.get("purl").is_none(), "{component}");
            if !own {
                assert_eq!(
                    component["hashes"][0]["content"].as_str().unwrap().len(),
                    64
                );
            }
            let reference = component["bom-ref"].as_str().unwrap().to_owned();
            assert!(references.insert(reference), "twice: {component}");
        }
        for entry in document["dependencies"].as_array().unwrap() {
            let targets = entry["dependsOn"].as_array().unwrap();
            for name in targets.iter().chain([&entry["ref"]]) {
                assert!(references.contains(name.as_str().unwrap()), "{name}");
            }
        }
    }
}
