//! What runs the guest's instructions.

use crate::backends::Unusable;

/// How QEMU runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "each system has only its own hypervisor")
)]
pub(super) enum Accelerator {
    /// Linux's hypervisor.
    Kvm,
    /// That of macOS.
    Hvf,
    /// That of Windows.
    Whpx,
    /// None: QEMU translates them.
    Tcg,
}

impl Accelerator {
    /// Value of `-accel`.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Hvf => "hvf",
            // With the hypervisor's own interrupt controller Linux guests lose interrupts (QEMU's issue 346).
            Self::Whpx => "whpx,kernel-irqchip=off",
            Self::Tcg => "tcg",
        }
    }

    /// Value of `-cpu`.
    pub(super) fn processor(self) -> &'static str {
        match self {
            Self::Kvm | Self::Hvf => "host",
            // Neither `host` nor `max` is known to start there; this one has what x86-64-v2 programs ask for.
            Self::Whpx => "Nehalem",
            Self::Tcg => "max",
        }
    }

    /// Whether this system can do it.
    pub(super) fn check(self) -> Result<(), Unusable> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Kvm => crate::backends::kvm::check(),
            #[cfg(target_os = "macos")]
            Self::Hvf => crate::backends::hvf::check(),
            #[cfg(windows)]
            Self::Whpx => crate::backends::whpx::check(),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hypervisors_that_pass_the_processor_on_are_asked_for_the_hosts() {
        let words = [
            Accelerator::Kvm,
            Accelerator::Hvf,
            Accelerator::Whpx,
            Accelerator::Tcg,
        ]
        .map(|accelerator| (accelerator.words(), accelerator.processor()));
        assert_eq!(
            words,
            [
                ("kvm", "host"),
                ("hvf", "host"),
                ("whpx,kernel-irqchip=off", "Nehalem"),
                ("tcg", "max")
            ]
        );
    }
}
