//! Release archives.
use crate::error::Error;
use crate::project::Project;
pub fn run(_project: &Project) -> Result<(), Error> {
    Err(Error::Usage)
}
