//! QEMU's command line. Pure: the helper's current directory is the VM's, so sockets and files that
//! belong to the VM are named without a path.

use std::ffi::OsString;

use super::program::SANDBOX;
use super::wires::Words;
use super::{Accelerator, SCRATCH_FILE};
use crate::control::HelperConfig;

/// Bus frequency of the emulated local APIC timer, which the guest need not measure then.
const LAPIC_TIMER_KHZ: u32 = 1_000_000;

/// Guest counters slower than this cannot be told on the command line; none is that slow.
const MIN_TSC_KHZ: u64 = 100_000;

/// All arguments.
pub(super) fn of(accelerator: Accelerator, config: &HelperConfig, wires: &Words) -> Vec<OsString> {
    let mut arguments = Vec::new();
    let mut push = |words: &[&str]| arguments.extend(words.iter().map(OsString::from));
    let memory = config.memory_mib;
    // Emulated processors are slow to start, and a second one helps only much later.
    let cpus = if accelerator == Accelerator::Tcg {
        1
    } else {
        config.cpus.max(1)
    };

    push(&[
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
    ]);
    push(&["-machine", &format!("{}{}", machine(), wires.machine)]);
    push(&["-accel", accelerator.words()]);
    push(&["-cpu", accelerator.processor()]);
    push(&["-smp", &cpus.to_string()]);
    push(&["-m", &format!("{memory}M")]);
    if config.facts.sandbox {
        push(&["-sandbox", SANDBOX]);
    }
    for argument in &wires.arguments {
        push(&[argument]);
    }
    push(&["-mon", "chardev=monitor,mode=control"]);
    // Nothing on it outlives the VM: no flush is worth its time. A full host disk stops the guest, which
    // the monitor then ends: the guest itself could only call it an I/O error.
    let drive = "if=none,id=scratch,format=raw,cache=unsafe,discard=unmap,werror=enospc";
    push(&["-drive", &format!("{drive},file={SCRATCH_FILE}")]);
    push(&["-device", "virtio-blk-device,drive=scratch"]);

    let command_line = kernel_command_line(accelerator, config, wires);
    push(&["-append", &command_line]);
    arguments.extend(["-kernel".into(), config.kernel.clone()]);
    arguments.extend(["-initrd".into(), config.initramfs.clone()]);
    arguments
}

/// The smallest machine with virtio-mmio slots. Leaving out `rtc` costs a second of boot.
fn machine() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "virt,gic-version=max"
    } else {
        "microvm,acpi=off,pic=on,pit=on,rtc=on"
    }
}

fn kernel_command_line(accelerator: Accelerator, config: &HelperConfig, wires: &Words) -> String {
    let console = if cfg!(target_arch = "aarch64") {
        "ttyAMA0"
    } else {
        "ttyS0"
    };
    // Without ACPI a guest can only stop by a reset, which `-no-reboot` turns into an exit.
    let mut words = vec![format!("console={console} quiet panic=-1")];
    if cfg!(target_arch = "x86_64") {
        words.push("reboot=t no_timer_check".to_owned());
        words.push(format!("lapic_timer_khz={LAPIC_TIMER_KHZ}"));
    }
    if accelerator == Accelerator::Tcg && cfg!(target_arch = "x86_64") {
        // Patching the lock prefixes out for one processor costs a fifth of an emulated boot.
        words.push("noreplace-smp".to_owned());
        if let Some(khz) = config.facts.tsc_khz.filter(|khz| *khz > MIN_TSC_KHZ) {
            words.push(format!("tsc_early_khz={khz} tsc=reliable"));
        }
    }
    words.extend(wires.kernel.iter().map(|word| (*word).to_owned()));
    words.extend(config.kernel_args.iter().cloned());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::Facts;
    use crate::config::BackendKind;

    fn config() -> HelperConfig {
        HelperConfig {
            directory: "/run/vm-1".into(),
            backend: BackendKind::QemuTcg,
            program: "qemu".into(),
            facts: Facts {
                sandbox: true,
                tsc_khz: Some(2_600_000),
            },
            kernel: "/image/vmlinux".into(),
            initramfs: "/image/initramfs".into(),
            scratch: "/image/scratch.img".into(),
            memory_mib: 512,
            cpus: 4,
            token: "abc".to_owned(),
            kernel_args: vec!["kiln.token=abc".to_owned()],
        }
    }

    fn wires() -> Words {
        Words {
            machine: ",memory-backend=ram",
            arguments: vec!["-serial".to_owned(), "stdio".to_owned()],
            kernel: vec!["kiln.link=x"],
        }
    }

    fn line(accelerator: Accelerator) -> String {
        let words = of(accelerator, &config(), &wires());
        words
            .iter()
            .map(|word| word.to_str().unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn emulated_guest_has_one_processor_and_knows_its_clock() {
        let line = line(Accelerator::Tcg);
        assert!(line.contains("-smp 1 "), "{line}");
        let knows = line.contains("tsc_early_khz=2600000 tsc=reliable");
        assert_eq!(knows, cfg!(target_arch = "x86_64"), "{line}");
        assert!(
            line.contains("kiln.link=x kiln.token=abc -kernel /image/vmlinux"),
            "{line}"
        );
        assert!(line.contains(",memory-backend=ram -accel tcg "), "{line}");
        assert!(
            line.contains(" -serial stdio -mon chardev=monitor,mode=control "),
            "{line}"
        );
    }

    #[test]
    fn real_processors_come_as_asked_and_measure_their_own_clock() {
        let line = line(Accelerator::Kvm);
        assert!(line.contains("-smp 4 "), "{line}");
        assert!(!line.contains("tsc_early_khz"), "{line}");
    }
}
