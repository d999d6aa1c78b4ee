//! The task `bench`: builds what is measured, as it is released, and measures it.

use crate::error::Error;
use crate::process::{cargo, run as run_command, step};
use crate::project::Project;
use crate::setup::{self, Scope};
use crate::{test, vm_image};

/// Measures everything, or what the filters name; the report lands in `target/bench`.
pub fn run(project: &Project, filters: &[&str]) -> Result<(), Error> {
    setup::run(project, Scope::Everything)?;
    vm_image::build(project, std::env::consts::ARCH)?;
    test::build_kiln(project)?;
    step("benchmarks");
    let mut command = cargo();
    command
        .args(["run", "--locked", "--quiet", "-p", "kiln-bench", "--"])
        .arg(project.target().join("bench"))
        .args(filters);
    run_command("benchmarks", &mut test::with_kiln(command, project))
}
