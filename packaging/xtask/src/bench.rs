//! Runs the benchmarks.
use crate::error::Error;
use crate::project::Project;
pub fn run(_project: &Project, _args: &[&str]) -> Result<(), Error> {
    Err(Error::Usage)
}
