//! The recipe of the VM image, as data: `vm-image/recipe.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Everything that the image is made from, save the files it names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    pub kernel: KernelRecipe,
    pub scratch: ScratchRecipe,
    architectures: BTreeMap<String, Architecture>,
}

/// Where the kernel comes from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelRecipe {
    /// Series that the config is written for; another one is refused.
    pub version: String,
    /// Source tarball, as the Debian package installs it.
    pub source: PathBuf,
    /// Time that the kernel says it was built at, so that the same inputs give the same bytes.
    pub timestamp: String,
}

/// The scratch disk: a sparse raw file with an ext4 file system.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScratchRecipe {
    /// Length of the file; only what is written takes room.
    pub size_gib: u64,
    /// Identity of the file system and seed of its directory hashes: fixed, since each VM has its own copy.
    pub uuid: String,
    /// Options of `mkfs.ext4`.
    pub options: Vec<String>,
    /// Its `-O`.
    pub features: String,
    /// Its `-E`, but for the seed.
    pub extended_options: String,
}

/// What differs from one architecture to the next.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// `ARCH=` of the kernel's make.
    pub kernel_arch: String,
    /// Target of the kernel's make.
    pub make_target: String,
    /// What that makes, in the kernel's tree.
    pub kernel_file: PathBuf,
    /// Config fragments, merged in this order.
    pub configs: Vec<String>,
    /// Prefix of the C tools; empty for those of the host.
    pub cross_compile: String,
    /// Rust target of the agent.
    pub agent_target: String,
    /// `RUSTFLAGS` of the agent.
    pub agent_rustflags: String,
}

impl Recipe {
    /// Parses a recipe.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Reads the recipe.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
        Self::parse(&text).map_err(|source| Error::Malformed {
            what: path.display().to_string(),
            source,
        })
    }

    /// The entry of an architecture.
    pub fn architecture(&self, name: &str) -> Result<&Architecture, Error> {
        self.architectures.get(name).ok_or_else(|| Error::Missing {
            what: format!("the recipe has no architecture `{name}`"),
            hint: format!(
                "it has: {}",
                self.architectures
                    .keys()
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_recipe_parses_and_names_existing_files() {
        let project = crate::project::Project::find();
        let recipe = Recipe::read(&project.vm_image().join("recipe.json")).unwrap();
        for arch in ["x86_64", "aarch64"] {
            for config in &recipe.architecture(arch).unwrap().configs {
                assert!(
                    project.vm_image().join("config").join(config).is_file(),
                    "{config}"
                );
            }
        }
        assert!(recipe.architecture("vax").is_err());
    }
}
