//! Whether the host kernel really runs guests.
//!
//! Opening `/dev/kvm` is no proof, nor is a guest of a few instructions: where the kernel only emulates
//! (seen with PVM in nested clouds) a lone `hlt` runs and a Linux kernel hangs. What runs guests at
//! full speed is the module of the processor's vendor, so that is looked for.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use super::Unusable;

/// The vendor modules of this architecture; empty where KVM has no such modules.
const VENDOR_MODULES: &[&str] = if cfg!(target_arch = "x86_64") {
    &["kvm_intel", "kvm_amd"]
} else {
    &[]
};

pub(super) fn check() -> Result<(), Unusable> {
    check_at(Path::new("/dev/kvm"), Path::new("/sys/module"))
}

fn check_at(device: &Path, modules: &Path) -> Result<(), Unusable> {
    match File::options().read(true).write(true).open(device) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(Unusable {
                reason: "/dev/kvm may not be opened by this user",
                hint: "add the user to the group `kvm` and log in again",
            });
        }
        Err(_) => {
            return Err(Unusable {
                reason: "there is no /dev/kvm",
                hint: "switch on virtualization in the firmware, or nested virtualization in the \
                       cloud, and load kvm_intel or kvm_amd",
            });
        }
    }
    let runs = VENDOR_MODULES.is_empty()
        || VENDOR_MODULES
            .iter()
            .any(|module| modules.join(module).exists());
    if runs {
        return Ok(());
    }
    Err(Unusable {
        reason: "/dev/kvm opens, but neither kvm_intel nor kvm_amd is loaded, so no guest would run",
        hint: "switch on nested virtualization for this machine",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_without_vendor_module_runs_no_guest() {
        let dir = tempfile::tempdir().unwrap();
        let device = dir.path().join("kvm");
        assert!(
            check_at(&device, dir.path())
                .unwrap_err()
                .reason
                .contains("no /dev/kvm")
        );
        File::create(&device).unwrap();
        assert_eq!(
            check_at(&device, dir.path()).is_ok(),
            VENDOR_MODULES.is_empty()
        );
        std::fs::create_dir(dir.path().join("kvm_amd")).unwrap();
        assert_eq!(check_at(&device, dir.path()), Ok(()));
    }
}
