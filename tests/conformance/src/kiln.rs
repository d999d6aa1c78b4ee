//! Calls of the program under test, in a closed environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::case::Case;

/// The program under test with its data directory.
#[derive(Debug)]
pub struct Kiln {
    program: PathBuf,
    data_dir: PathBuf,
    vm_image: Option<PathBuf>,
}

impl Kiln {
    /// The program that `KILN_BIN` names, else the release build of this checkout.
    pub fn find(data_dir: PathBuf) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let program = std::env::var_os("KILN_BIN")
            .map_or_else(|| root.join("target/release/kiln"), PathBuf::from);
        let vm_image = std::env::var_os("KILN_VM_IMAGE").map(PathBuf::from);
        Self {
            program,
            data_dir,
            vm_image,
        }
    }

    /// `kiln` with nothing of the user's environment.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.data_dir)
            .env("KILN_DATA_DIR", &self.data_dir)
            .stdin(Stdio::null());
        if let Some(image) = &self.vm_image {
            command.env("KILN_VM_IMAGE", image);
        }
        command.envs(std::env::var_os("KILN_VMM").map(|vmm| ("KILN_VMM", vmm)));
        command
    }

    /// Builds a case whose context lies in `context`; secrets are written to `work`.
    pub fn build(&self, case: &Case, context: &Path, work: &Path) -> std::io::Result<Output> {
        let recipe = &case.recipe;
        let mut build = self.command();
        build.args(["build", "--progress=plain", "-t", &tag(&recipe.name), "-f"]);
        build.arg(context.join(&recipe.dockerfile));
        for (name, value) in &recipe.build_args {
            build.arg("--build-arg").arg(format!("{name}={value}"));
        }
        if let Some(target) = &recipe.target {
            build.args(["--target", target]);
        }
        for (id, value) in &recipe.secrets {
            let file = work.join(format!("secret-{id}"));
            std::fs::write(&file, value)?;
            build
                .arg("--secret")
                .arg(format!("id={id},src={}", file.display()));
        }
        for (name, folder) in &recipe.build_contexts {
            build
                .arg("--build-context")
                .arg(format!("{name}={}", context.join(folder).display()));
        }
        build.arg(context).output()
    }

    /// Saves a case's image as an OCI archive.
    pub fn save(&self, case: &Case, to: &Path) -> std::io::Result<Output> {
        let mut save = self.command();
        save.args(["save", "--format", "oci-archive", "-o"]).arg(to);
        save.arg(tag(&case.recipe.name)).output()
    }
}

/// Name of a case's image.
fn tag(name: &str) -> String {
    format!("conformance/{name}:case")
}
