//! Whether this Windows runs guests: the Windows Hypervisor Platform.

use kiln_platform::hypervisor_platform::{Presence, presence};

use super::Unusable;

/// Asks the platform's library, which is there only where the optional feature is on.
pub(super) fn check() -> Result<(), Unusable> {
    match presence() {
        Presence::Ready => Ok(()),
        Presence::NoLibrary => Err(Unusable {
            reason: "the Windows feature HypervisorPlatform is off",
            hint: "as administrator: Enable-WindowsOptionalFeature -Online -FeatureName \
                   HypervisorPlatform; then restart Windows",
        }),
        Presence::NoHypervisor => Err(Unusable {
            reason: "the Windows Hypervisor Platform is installed, but no hypervisor runs",
            hint: "switch on virtualization (VT-x, SVM) in the firmware, and \
                   `bcdedit /set hypervisorlaunchtype auto`; then restart Windows",
        }),
    }
}
