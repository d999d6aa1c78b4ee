//! What the user may do about a failure that the libraries only name. Text only; decides nothing.

use kiln_context::ContextError;
use kiln_engine::{Cause, RunFailure};
use kiln_oci::Platform;
use kiln_plan::PlanErrorKind;
use kiln_rootfs::CopyError;
use kiln_store::Holder;
use kiln_vmm::image::ImageError;
use kiln_vmm::{BackendReport, VmError};

/// Where images come from as long as there is no registry client.
const NO_PULL: &str = "this version cannot pull: bring it in with `kiln load` or `kiln import`";

/// The hint for a failed build.
#[must_use]
pub fn of_build(cause: &Cause) -> Option<String> {
    Some(match cause {
        Cause::Parse(error) => return error.hint.clone(),
        Cause::Plan(error) => return error.hint.clone().or_else(|| of_plan(&error.kind)),
        Cause::Vm(error) => return of_vm(error),
        Cause::Store(error) => return of_store(error),
        Cause::Ignored { file, rule, .. } => {
            format!("{file} line {} (`{}`) excludes it", rule.line, rule.text)
        }
        Cause::Project(error) => return error.error.problem.hint(),
        Cause::Context(ContextError::CaseClash { .. })
        | Cause::Copy(CopyError::Context(ContextError::CaseClash { .. })) => {
            "rename one of them, or exclude it in .dockerignore".to_owned()
        }
        Cause::Copy(CopyError::NotFound {
            similar: Some(path),
            ..
        }) => format!("there is `{path}`: upper and lower case count, on every system"),
        Cause::Copy(CopyError::NotFound { .. }) => {
            "paths are relative to the root of the context, or of the image that --from names"
                .to_owned()
        }
        Cause::ImageMissing { .. } => NO_PULL.to_owned(),
        Cause::OtherPlatform { found, wanted, .. } => of_platform(found, wanted),
        Cause::NoGuest { .. } => "COPY and metadata instructions work for every platform; RUN \
            and `kiln run` for those of amd64, 386, arm64 and arm"
            .to_owned(),
        Cause::SecretMissing { id } => format!("give it with --secret id={id},src=FILE"),
        Cause::NoContext => "give a folder instead of `-`".to_owned(),
        Cause::RunFailed {
            outcome: RunFailure::NotStarted(failure),
            ..
        } if failure.exit_code() == 127 => {
            "the image has no such program; RUN in shell form needs the image to have the shell"
                .to_owned()
        }
        _ => return None,
    })
}

fn of_plan(kind: &PlanErrorKind) -> Option<String> {
    match kind {
        PlanErrorKind::ImageNotFound { .. } => Some(NO_PULL.to_owned()),
        PlanErrorKind::OtherPlatform { found, wanted, .. } => Some(of_platform(found, wanted)),
        _ => None,
    }
}

/// The hint for an image of another platform than asked for.
fn of_platform(found: &Platform, wanted: &Platform) -> String {
    format!(
        "use --platform={found}, or bring in the image for {wanted} with `kiln load` or `kiln import`"
    )
}

/// The hint for a VM that cannot be had.
fn of_vm(error: &VmError) -> Option<String> {
    match error {
        VmError::Image(error) => Some(of_vm_image(error)),
        // Back-ends that cannot emulate are not even tried.
        VmError::NoBackend { guest, reports } if guest.is_foreign() && reports.is_empty() => {
            Some(format!(
                "the back-end that --vmm or KILN_VMM names does not emulate {guest}: qemu-tcg does"
            ))
        }
        VmError::NoBackend { reports, .. } => Some(of_backends(reports)),
        VmError::Exited { .. } | VmError::Timeout { .. } => {
            Some("`kiln doctor` shows which back-ends work here; --vmm chooses another".to_owned())
        }
        _ => Some("`kiln doctor` tells what this machine lacks".to_owned()),
    }
}

fn of_backends(reports: &[BackendReport]) -> String {
    use kiln_vmm::probe::BackendStatus;
    let hint = reports.iter().find_map(|report| match &report.status {
        BackendStatus::Broken { hint, .. } => hint.clone(),
        BackendStatus::Works { .. } => None,
    });
    hint.unwrap_or_else(|| "`kiln doctor` tells what is missing".to_owned())
}

/// The hint for a VM image that cannot be used.
#[must_use]
pub fn of_vm_image(error: &ImageError) -> String {
    match error {
        ImageError::NotFound { searched, .. } => {
            let dirs: Vec<String> = searched
                .iter()
                .map(|dir| dir.display().to_string())
                .collect();
            format!(
                "looked in {}; KILN_VM_IMAGE names the folder that has it, or has a folder for each architecture",
                dirs.join(", ")
            )
        }
        _ => {
            "install kiln again, or set KILN_VM_IMAGE to the folder of another VM image".to_owned()
        }
    }
}

/// The hint for a store that failed.
#[must_use]
pub fn of_store(error: &kiln_store::Error) -> Option<String> {
    use kiln_store::Error;
    Some(match error {
        Error::NoSpace { .. } => {
            "`kiln prune` makes room; KILN_DATA_DIR can name a folder on another disk".to_owned()
        }
        Error::NewerStore { .. } => {
            "use the newer kiln, or another folder with KILN_DATA_DIR".to_owned()
        }
        Error::LockBusy { holders } => of_holders(holders),
        Error::NoSuchImage { .. } => "`kiln images` lists what there is".to_owned(),
        Error::AmbiguousId { .. } => "give more of the id".to_owned(),
        Error::NamedSeveralTimes { names, .. } => {
            format!("it is {}; use --force", names.join(", "))
        }
        Error::MissingLayer { .. } | Error::DigestMismatch { .. } => {
            "`kiln system check --repair` mends the store".to_owned()
        }
        _ => return None,
    })
}

/// Who holds the store.
#[must_use]
pub fn of_holders(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return "another kiln uses the store; try again when it is done".to_owned();
    }
    let holders: Vec<String> = holders
        .iter()
        .map(|holder| format!("`{}` (pid {})", holder.purpose, holder.pid))
        .collect();
    format!("held by {}", holders.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_vmm::Architecture;

    #[test]
    fn back_end_that_cannot_emulate_is_told_to_give_way_to_one_that_can() {
        for guest in Architecture::ALL {
            let reports = Vec::new();
            let hint = of_vm(&VmError::NoBackend { guest, reports }).expect("a hint");
            assert_eq!(hint.contains("qemu-tcg"), guest.is_foreign(), "{hint}");
        }
    }
}
