//! WORKDIR: makes a folder where there is none.

use kiln_context::clean;
use kiln_oci::Hasher;

use crate::error::CopyError;
use crate::owner::Owner;
use crate::plan::CopyPlan;
use crate::staging::{NewDirs, Staging};
use crate::view::MergedView;

/// Make `path` and its missing parents for `user` (empty for root). The plan is empty if it is there already.
pub fn plan_workdir(
    path: &[u8],
    user: &str,
    epoch: Option<i64>,
    below: &MergedView,
) -> Result<CopyPlan, CopyError> {
    let owner = if user.is_empty() {
        Owner::default()
    } else {
        Owner::resolve(user, below)?
    };
    let mut staging = Staging::new(below);
    let target = staging.resolve(&clean(path))?.path;
    staging.make_dirs(
        &target,
        &NewDirs {
            mode: 0o755,
            owner,
            mtime: epoch.unwrap_or(0),
        },
    )?;
    let mut hasher = Hasher::new();
    for field in [
        b"kiln-workdir-1".as_slice(),
        path,
        user.as_bytes(),
        format!("{epoch:?}").as_bytes(),
    ] {
        hasher.update(&(field.len() as u64).to_le_bytes());
        hasher.update(field);
    }
    CopyPlan::new(staging, hasher.finish())
}
