//! What may help against a failure, in one line.

use kiln_rootfs::CopyError;

use crate::error::{Cause, RunFailure};
use crate::source::Sources;

/// The hint for a failure, if there is something to say.
pub fn of(cause: &Cause, sources: &Sources<'_>) -> Option<String> {
    match cause {
        Cause::Copy(CopyError::NotFound {
            ignored_by: Some(rule),
            ..
        }) => Some(format!(
            "{} line {} (`{}`) excludes it",
            sources.ignore_name(),
            rule.line,
            rule.text
        )),
        Cause::Copy(CopyError::NotFound { .. }) => Some(
            "paths are relative to the root of the context, or of the image that --from names"
                .to_owned(),
        ),
        Cause::ImageMissing { name } => Some(format!(
            "`kiln load` or `kiln import` brings `{name}` into the store"
        )),
        Cause::SecretMissing { id } => Some(format!("give it with --secret id={id},src=FILE")),
        Cause::NoContext => Some("give a folder instead of `-`".to_owned()),
        Cause::RunFailed {
            outcome: RunFailure::NotStarted(failure),
            ..
        } if failure.exit_code() == 127 => Some(
            "the image has no such program; RUN in shell form needs the image to have the shell"
                .to_owned(),
        ),
        Cause::Vm(error) => vm(error),
        Cause::Store(kiln_store::Error::NoSpace { .. }) => Some(
            "`kiln system df` shows what uses the disk, `kiln system prune` frees it".to_owned(),
        ),
        _ => None,
    }
}

fn vm(error: &kiln_vmm::VmError) -> Option<String> {
    use kiln_vmm::VmError;
    use kiln_vmm::image::ImageError;
    match error {
        VmError::Image(ImageError::NotFound { searched, .. }) => {
            let places: Vec<String> = searched
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            Some(format!(
                "looked in {}; KILN_VM_IMAGE names another folder",
                places.join(", ")
            ))
        }
        VmError::Image(_) => Some("make or install the VM image again".to_owned()),
        _ => Some("`kiln doctor` tells what this machine lacks".to_owned()),
    }
}
