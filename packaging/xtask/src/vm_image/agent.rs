//! The agent as a static binary for the guest.

use std::path::PathBuf;

use crate::check::cross::cargo_for;
use crate::error::Error;
use crate::process::{cargo, note, run};
use crate::project::Project;
use crate::vm_image::recipe::Architecture;

/// Builds the agent and returns the binary.
pub fn build(project: &Project, architecture: &Architecture) -> Result<PathBuf, Error> {
    note("building the agent");
    // A folder of its own: other flags in the shared one would throw away what the workspace built.
    let target = project.target().join("agent");
    let mut command = if architecture
        .agent_target
        .starts_with(std::env::consts::ARCH)
    {
        cargo()
    } else {
        cargo_for(project, &architecture.agent_target)?
    };
    command
        .current_dir(&project.root)
        .args([
            "build",
            "--locked",
            "--profile",
            "agent",
            "-p",
            "kiln-agent",
        ])
        .args(["--target", &architecture.agent_target])
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", &architecture.agent_rustflags);
    run("building the agent", &mut command)?;
    Ok(target
        .join(&architecture.agent_target)
        .join("agent")
        .join("kiln-agent"))
}
