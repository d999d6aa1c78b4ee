//! Runs the tests.
use crate::error::Error;
use crate::project::Project;
pub fn run(_project: &Project, _only: Option<&str>) -> Result<(), Error> { Err(Error::Usage) }
