//! What QEMU's machines differ in, by the guest's architecture. Data only.

use crate::architecture::Architecture;

/// The smallest machine of an architecture that has virtio-mmio slots.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Machine {
    /// QEMU's program.
    pub(super) program: &'static str,
    /// Where Linux distributions have it.
    pub(super) packages: &'static str,
    /// Value of `-machine`.
    pub(super) machine: &'static str,
    /// Properties set for all devices of a kind.
    pub(super) globals: &'static [&'static str],
    /// Words of the kernel's command line.
    pub(super) kernel_words: &'static str,
    /// Further ones for an emulated processor.
    pub(super) emulated_kernel_words: Option<&'static str>,
    /// The guest's clock is the host's time stamp counter, whose frequency it can be told.
    pub(super) has_tsc: bool,
}

/// The machine of an architecture.
pub(super) fn of(architecture: Architecture) -> &'static Machine {
    match architecture {
        Architecture::X86_64 => &X86_64,
        Architecture::Aarch64 => &AARCH64,
    }
}

static X86_64: Machine = Machine {
    program: "qemu-system-x86_64",
    packages: "Debian, Ubuntu, Fedora: qemu-system-x86",
    // Leaving out `rtc` costs a second of boot.
    machine: "microvm,acpi=off,pic=on,pit=on,rtc=on",
    globals: &[],
    // Without ACPI a guest can only stop by a reset, which `-no-reboot` turns into an exit. The frequency is that of
    // the emulated local APIC timer's bus, which the guest need not measure then.
    kernel_words: "console=ttyS0 reboot=t no_timer_check lapic_timer_khz=1000000",
    // Patching the lock prefixes out for one processor costs a fifth of an emulated boot.
    emulated_kernel_words: Some("noreplace-smp"),
    has_tsc: true,
};

static AARCH64: Machine = Machine {
    program: "qemu-system-aarch64",
    packages: "Debian, Ubuntu: qemu-system-arm; Fedora: qemu-system-aarch64",
    machine: "virt,gic-version=max,its=off",
    // Devices of ours speak virtio 1 only, which this machine hides by default.
    globals: &["virtio-mmio.force-legacy=false"],
    kernel_words: "console=ttyAMA0",
    emulated_kernel_words: None,
    has_tsc: false,
};
