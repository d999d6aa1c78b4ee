//! What runs VMs: the image, the back-ends, and below them the processor and the system's permission.

use std::path::Path;

use kiln_oci::Platform;
use kiln_platform::signature;
use kiln_platform::virtualization::{self, Virtualization};
use kiln_vmm::image::ImageError;
use kiln_vmm::probe::BackendStatus;
use kiln_vmm::{Architecture, BackendReport, VmImage};

use super::finding::{Finding, State};
use crate::invocation::Invocation;

/// What macOS wants to see in a program that starts VMs.
const HYPERVISOR: &str = "com.apple.security.hypervisor";

/// The VM image for guests of an architecture, once it is sure that it can be used.
fn verified_image(invocation: &Invocation, guest: Architecture) -> Result<VmImage, ImageError> {
    let image = VmImage::find(guest, &invocation.vm_image_dirs())?;
    image.check_protocol(kiln_protocol::VERSION)?;
    image.verify()?;
    Ok(image)
}

/// The image that VMs start from.
pub fn vm_image(invocation: &Invocation) -> Finding {
    const NAME: &str = "VM image";
    match verified_image(invocation, Architecture::HOST) {
        Ok(image) => Finding::new(
            NAME,
            State::Ok,
            format!("{} (verified)", image.dir.display()),
        ),
        Err(error) => {
            let failure = Finding::new(NAME, State::Broken, error.to_string());
            failure.hint(crate::hints::of_vm_image(&error))
        }
    }
}

/// The back-ends, and whether one works. One that does not is no failure while another does.
pub fn backends(invocation: &Invocation) -> (Vec<Finding>, bool) {
    let reports = kiln_vmm::probe(&invocation.environment.program_dirs, None);
    let chosen = invocation.environment.vmm.as_deref();
    let usable = |report: &BackendReport| {
        report.works() && (!report.on_request_only || chosen == Some(report.kind.name()))
    };
    let works = reports.iter().any(usable);
    let findings = reports.iter().map(|report| {
        let wanted = chosen == Some(report.kind.name());
        backend(report, works && !wanted)
    });
    let mut findings: Vec<Finding> = findings.collect();
    if findings.is_empty() {
        findings.push(Finding::new(
            "back-end",
            State::Broken,
            "this build of kiln has none for this system",
        ));
    }
    (findings, works)
}

fn backend(report: &BackendReport, dispensable: bool) -> Finding {
    let name = format!("back-end {}", report.kind.name());
    match &report.status {
        BackendStatus::Works { detail } if report.on_request_only => Finding::new(
            &name,
            State::Ok,
            format!("{detail} (used only with --vmm={})", report.kind.name()),
        ),
        BackendStatus::Works { detail } if report.capabilities.hardware => {
            Finding::new(&name, State::Ok, detail)
        }
        BackendStatus::Works { detail } => Finding::new(
            &name,
            State::Ok,
            format!("{detail} (emulation: RUNs are slower)"),
        ),
        BackendStatus::Broken { reason, hint } => {
            let state = if dispensable {
                State::Warning
            } else {
                State::Broken
            };
            Finding {
                hint: hint.clone(),
                ..Finding::new(&name, state, reason)
            }
        }
    }
}

/// Whether RUNs for other architectures can be emulated. Nothing is said of one whose VM image was not installed.
pub fn emulated(invocation: &Invocation) -> Vec<Finding> {
    let foreign = Architecture::ALL
        .into_iter()
        .filter(|guest| guest.is_foreign());
    foreign
        .filter_map(|guest| match verified_image(invocation, guest) {
            Err(ImageError::NotFound { .. }) => None,
            found => Some(emulation(invocation, guest, found)),
        })
        .collect()
}

fn emulation(
    invocation: &Invocation,
    guest: Architecture,
    image: Result<VmImage, ImageError>,
) -> Finding {
    let name = Platform::linux(guest.name()).to_string();
    let image = match image {
        Ok(image) => image.dir.display().to_string(),
        Err(error) => {
            let finding = Finding::new(&name, State::Warning, error.to_string());
            return finding.hint(crate::hints::of_vm_image(&error));
        }
    };
    let reports = kiln_vmm::probe_for(guest, &invocation.environment.program_dirs, None);
    let usable = |report: &&BackendReport| report.works() && !report.on_request_only;
    if let Some(report) = reports.iter().find(usable) {
        let detail = format!("{image} (verified), emulated with {}", report.kind.name());
        return Finding::new(&name, State::Ok, detail);
    }
    let broken = reports
        .iter()
        .rev()
        .find_map(|report| match &report.status {
            BackendStatus::Broken { reason, hint } => Some((reason.as_str(), hint.clone())),
            BackendStatus::Works { .. } => None,
        });
    let (reason, hint) = broken.unwrap_or(("nothing emulates it here", None));
    Finding {
        hint,
        ..Finding::new(&name, State::Warning, reason)
    }
}

/// Whether the processor runs VMs; `emulated` tells that they work without it.
pub fn processor(emulated: bool) -> Option<Finding> {
    judged(&virtualization::look(), emulated)
}

fn judged(found: &Virtualization, emulated: bool) -> Option<Finding> {
    const NAME: &str = "virtualization";
    let (detail, hint) = match found {
        Virtualization::Unknown => return None,
        Virtualization::Ready => {
            return Some(Finding::new(NAME, State::Ok, "the processor runs VMs"));
        }
        Virtualization::FirmwareOff => (
            "the firmware has it switched off, or the processor cannot".to_owned(),
            virtualization::TO_THE_FIRMWARE,
        ),
        Virtualization::NoNested => (
            "this machine is a VM that may not run VMs".to_owned(),
            "switch on nested virtualization for it where it is run; until then VMs are emulated",
        ),
        Virtualization::NoModule { module } => {
            let detail = format!("the kernel's module {module} is not loaded");
            return Some(troubled(
                NAME,
                detail,
                &format!("sudo modprobe {module}"),
                emulated,
            ));
        }
        Virtualization::Denied => (
            "this user may not open /dev/kvm".to_owned(),
            "sudo usermod -aG kvm \"$USER\", then log in again",
        ),
        Virtualization::FeatureOff => (
            "the feature Windows Hypervisor Platform is off".to_owned(),
            "as administrator: dism /online /enable-feature /featurename:HypervisorPlatform /all, then restart",
        ),
        Virtualization::NotLaunched => (
            "Windows did not start its hypervisor".to_owned(),
            "as administrator: bcdedit /set hypervisorlaunchtype auto, then restart",
        ),
        Virtualization::Translated => (
            "this kiln is built for Intel and runs translated by Rosetta, which may not start VMs"
                .to_owned(),
            "install the build for Apple silicon (aarch64-apple-darwin)",
        ),
    };
    Some(troubled(NAME, detail, hint, emulated))
}

fn troubled(name: &str, detail: String, hint: &str, emulated: bool) -> Finding {
    let state = if emulated {
        State::Warning
    } else {
        State::Broken
    };
    Finding::new(name, state, detail).hint(hint)
}

/// Whether this program may start VMs, where the system asks its signature: nowhere but on macOS is a program of this form.
pub fn entitlement(invocation: &Invocation) -> Option<Finding> {
    const NAME: &str = "entitlement";
    let program = invocation.environment.current_exe.as_deref()?;
    let granted = std::fs::File::open(program)
        .and_then(|mut file| signature::has_entitlement(&mut file, HYPERVISOR));
    match granted {
        Ok(None) => None,
        Ok(Some(true)) => Some(Finding::new(NAME, State::Ok, HYPERVISOR)),
        Ok(Some(false)) => Some(unentitled(NAME, program)),
        Err(error) => Some(Finding::new(NAME, State::Warning, error.to_string())),
    }
}

fn unentitled(name: &str, program: &Path) -> Finding {
    let detail = format!("the signature of {} lacks {HYPERVISOR}", program.display());
    let hint = format!(
        "install kiln again, or sign it: codesign --force --sign - --entitlements kiln.entitlements '{}'",
        program.display()
    );
    Finding::new(name, State::Broken, detail).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trouble_has_a_command_or_a_setting_that_mends_it() {
        use Virtualization::{
            Denied, FeatureOff, FirmwareOff, NoModule, NoNested, NotLaunched, Translated,
        };
        for (found, words) in [
            (FirmwareOff, "firmware"),
            (NoNested, "nested virtualization"),
            (NoModule { module: "kvm_amd" }, "sudo modprobe kvm_amd"),
            (Denied, "usermod -aG kvm"),
            (FeatureOff, "/featurename:HypervisorPlatform"),
            (NotLaunched, "bcdedit"),
            (Translated, "aarch64-apple-darwin"),
        ] {
            let finding = judged(&found, true).expect("a finding");
            assert_eq!(finding.state, State::Warning);
            assert!(finding.hint.expect("a hint").contains(words), "{found:?}");
            let finding = judged(&found, false).expect("a finding");
            assert_eq!(finding.state, State::Broken, "nothing else works");
        }
        assert!(judged(&Virtualization::Unknown, true).is_none());
    }

    #[test]
    fn a_program_without_the_entitlement_is_told_how_to_get_it() {
        let finding = unentitled("entitlement", Path::new("/opt/my apps/kiln"));
        assert!(finding.detail.contains(HYPERVISOR));
        assert!(
            finding
                .hint
                .expect("a hint")
                .ends_with("'/opt/my apps/kiln'")
        );
    }
}
