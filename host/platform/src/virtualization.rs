//! Whether this machine can run virtual machines on its processor, and what stands in the way if not.
//!
//! Each system has its own facts; what they mean is decided by functions from facts to an answer, which are the same on every
//! system and tested with recorded facts. Only collecting them differs. Nothing is changed and no VM is started: a back-end
//! that tries knows better, this knows why.

/// What stands in the way, or that nothing does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Virtualization {
    /// Nothing that is known of.
    Ready,
    /// The processor cannot, or the firmware has it switched off.
    FirmwareOff,
    /// This machine is itself a VM whose host does not let it run others.
    NoNested,
    /// The kernel's module is not loaded.
    NoModule {
        /// Its name.
        module: &'static str,
    },
    /// The user may not use it.
    Denied,
    /// The operating system's optional feature is not switched on (Windows).
    FeatureOff,
    /// The hypervisor is there and not started with the system (Windows).
    NotLaunched,
    /// The program is translated for another processor, and translated programs may not start VMs (macOS).
    Translated,
    /// Nothing is known of it.
    Unknown,
}

/// How to get where virtualization is switched on.
pub const TO_THE_FIRMWARE: &str = if cfg!(windows) {
    "`shutdown /r /fw /t 0` restarts into the firmware's settings: switch on VT-x or SVM"
} else {
    "`systemctl reboot --firmware-setup` restarts into the firmware's settings: switch on VT-x or SVM"
};

/// What Linux tells.
#[derive(Debug, Clone, Copy)]
pub struct LinuxFacts<'a> {
    /// `/proc/cpuinfo`.
    pub cpuinfo: &'a str,
    /// `/dev/kvm` is there.
    pub device: bool,
    /// It may be opened.
    pub opens: bool,
    /// A module of the processor's vendor is loaded, or none is needed.
    pub vendor_module: bool,
}

/// What Windows tells.
#[derive(Debug, Clone, Copy)]
pub struct WindowsFacts {
    /// The platform's library is installed, which the optional feature does.
    pub library: bool,
    /// A hypervisor runs below this system.
    pub hypervisor: bool,
    /// The processor's virtualization is switched on in the firmware; false too while a hypervisor has it.
    pub firmware: bool,
}

/// Looks at this machine.
#[must_use]
pub fn look() -> Virtualization {
    #[cfg(target_os = "linux")]
    {
        linux()
    }
    #[cfg(target_os = "macos")]
    {
        macos()
    }
    #[cfg(windows)]
    {
        windows()
    }
    #[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
    {
        Virtualization::Unknown
    }
}

/// Linux: the device, then why it is missing.
#[must_use]
pub fn of_linux(facts: LinuxFacts<'_>) -> Virtualization {
    let flag = |wanted: &str| {
        let flags = facts.cpuinfo.lines().find(|line| line.starts_with("flags"));
        flags.is_some_and(|line| line.split_whitespace().any(|flag| flag == wanted))
    };
    let module = match (flag("vmx"), flag("svm")) {
        (true, _) => Some("kvm_intel"),
        (_, true) => Some("kvm_amd"),
        _ => None,
    };
    match (facts.device, module) {
        (true, _) if !facts.opens => Virtualization::Denied,
        (true, _) if facts.vendor_module => Virtualization::Ready,
        (_, Some(module)) => Virtualization::NoModule { module },
        (_, None) if flag("hypervisor") => Virtualization::NoNested,
        // Processors whose flags are not told this way.
        (_, None) if !facts.cpuinfo.contains("\nflags") => Virtualization::Unknown,
        (_, None) => Virtualization::FirmwareOff,
    }
}

/// macOS: `sysctl kern.hv_support sysctl.proc_translated`, of which the second may be missing.
#[must_use]
pub fn of_macos(sysctl: &str) -> Virtualization {
    let value = |name: &str| {
        sysctl
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    match (value("sysctl.proc_translated"), value("kern.hv_support")) {
        (Some("1"), _) => Virtualization::Translated,
        (_, Some("1")) => Virtualization::Ready,
        // Every Mac that can run a supported macOS has it, so this one is a VM.
        (_, Some(_)) => Virtualization::NoNested,
        _ => Virtualization::Unknown,
    }
}

/// Windows: the feature first, as without it nothing else can be told for sure.
#[must_use]
pub fn of_windows(facts: WindowsFacts) -> Virtualization {
    match (facts.library, facts.hypervisor, facts.firmware) {
        (false, false, false) => Virtualization::FirmwareOff,
        (false, ..) => Virtualization::FeatureOff,
        (true, true, _) => Virtualization::Ready,
        (true, false, true) => Virtualization::NotLaunched,
        (true, false, false) => Virtualization::FirmwareOff,
    }
}

#[cfg(target_os = "linux")]
fn linux() -> Virtualization {
    use std::path::Path;
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let opened = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm");
    let loaded = |module: &str| Path::new("/sys/module").join(module).exists();
    of_linux(LinuxFacts {
        cpuinfo: &cpuinfo,
        device: Path::new("/dev/kvm").exists(),
        opens: opened.is_ok(),
        vendor_module: !cfg!(target_arch = "x86_64") || loaded("kvm_intel") || loaded("kvm_amd"),
    })
}

#[cfg(target_os = "macos")]
fn macos() -> Virtualization {
    let output = std::process::Command::new("/usr/sbin/sysctl")
        .args(["kern.hv_support", "sysctl.proc_translated"])
        .stdin(std::process::Stdio::null())
        .output();
    output.map_or(Virtualization::Unknown, |output| {
        of_macos(&String::from_utf8_lossy(&output.stdout))
    })
}

#[cfg(windows)]
fn windows() -> Virtualization {
    let root = std::path::PathBuf::from(crate::windows::system_directory());
    of_windows(WindowsFacts {
        library: root.join("WinHvPlatform.dll").is_file(),
        hypervisor: crate::windows::hypervisor_runs(),
        firmware: crate::windows::firmware_virtualization(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTEL: &str = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vme vmx sse2\n";
    const AMD_GUEST: &str = "processor\t: 0\nflags\t\t: fpu svm hypervisor\n";
    const GUEST: &str = "processor\t: 0\nflags\t\t: fpu hypervisor sse2\n";
    const OFF: &str = "processor\t: 0\nflags\t\t: fpu vme sse2\n";
    const ARM: &str = "processor\t: 0\nBogoMIPS\t: 48.00\nFeatures\t: fp asimd\n";

    #[test]
    fn linux_facts_have_one_reason() {
        use Virtualization::{Denied, FirmwareOff, NoModule, NoNested, Ready, Unknown};
        for (cpuinfo, device, opens, vendor_module, wanted) in [
            (INTEL, true, true, true, Ready),
            (INTEL, true, false, true, Denied),
            (
                INTEL,
                false,
                false,
                false,
                NoModule {
                    module: "kvm_intel",
                },
            ),
            (
                AMD_GUEST,
                false,
                false,
                false,
                NoModule { module: "kvm_amd" },
            ),
            (GUEST, false, false, false, NoNested),
            // Seen in nested clouds: a device that opens and runs no guest.
            (GUEST, true, true, false, NoNested),
            (OFF, false, false, false, FirmwareOff),
            (ARM, false, false, true, Unknown),
            (ARM, true, true, true, Ready),
            ("", false, false, false, Unknown),
        ] {
            let facts = LinuxFacts {
                cpuinfo,
                device,
                opens,
                vendor_module,
            };
            assert_eq!(of_linux(facts), wanted, "{facts:?}");
        }
    }

    #[test]
    fn macos_tells_by_sysctl() {
        for (text, wanted) in [
            (
                "kern.hv_support: 1\nsysctl.proc_translated: 0\n",
                Virtualization::Ready,
            ),
            // Intel Macs do not know the second name.
            ("kern.hv_support: 1\n", Virtualization::Ready),
            ("kern.hv_support: 0\n", Virtualization::NoNested),
            (
                "kern.hv_support: 0\nsysctl.proc_translated: 1\n",
                Virtualization::Translated,
            ),
            ("", Virtualization::Unknown),
        ] {
            assert_eq!(of_macos(text), wanted, "{text}");
        }
    }

    #[test]
    fn windows_needs_feature_firmware_and_launch() {
        for (library, hypervisor, firmware, wanted) in [
            (true, true, false, Virtualization::Ready),
            (true, true, true, Virtualization::Ready),
            (false, true, false, Virtualization::FeatureOff),
            (false, false, true, Virtualization::FeatureOff),
            (false, false, false, Virtualization::FirmwareOff),
            (true, false, false, Virtualization::FirmwareOff),
            (true, false, true, Virtualization::NotLaunched),
        ] {
            let facts = WindowsFacts {
                library,
                hypervisor,
                firmware,
            };
            assert_eq!(of_windows(facts), wanted, "{facts:?}");
        }
    }
}
